"""The demo, whole: real digits, real scripts, the local scheduler, and what a person would do with
it next.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.experiments import blocks_of, claims, state_of, wk

ROOT = Path(__file__).parents[2]
LOGS = ("run-training.log", "run-evaluation.log", "run-experiment.log")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo beside an environment like the repository's, run to its end."""
    root = tmp_path_factory.mktemp("demo")
    made = shutil.ignore_patterns(
        ".watchkeeper",
        "artifacts",
        "slurm-*.out",
        "*_epoch?",
        "*_base",
        "run-*.log*",
        "__pycache__",
    )
    folder = shutil.copytree(
        ROOT / "examples" / "digits", root / "examples" / "digits", ignore=made
    )
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "activate").write_text(
        f'export PATH="{Path(sys.executable).parent}:$PATH"\n'
    )
    done = wk("run", folder, state=root / "state")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def rows(folder: Path) -> dict[str, dict]:
    """The rows of `status --json`, by key."""
    done = wk("status", folder, "--json", "--limit", "0", state=folder.parents[1] / "state")
    assert done.returncode == 0, done.stderr
    return {row["key"]: row for row in json.loads(done.stdout)["data"]["rows"]}


def test_every_job_of_the_demo_is_done_and_says_how_well(demo: Path) -> None:
    """4 fine-tunes and 18 evaluations are done, each claimed once; trained models read digits
    better than the untrained.
    """
    told = rows(demo)
    assert (
        sum(row["standing"] == "done" for row in told.values()) == 22
        and told["untrained"]["standing"] == "not needed"
    )
    assert len(claims(demo)) == 22
    accuracy = {key: row["metrics"]["accuracy"] for key, row in told.items() if row.get("metrics")}
    assert len(accuracy) == 18
    assert (
        min(a for key, a in accuracy.items() if not key.startswith("untrained"))
        > accuracy["untrained/clean/base"]
    )
    assert accuracy["h64_lr1e-1/clean/epoch1"] > 0.9 > accuracy["h64_lr1e-1/noisy/epoch1"]


def test_the_demos_logs_could_be_the_documents_examples(demo: Path) -> None:
    """The logs hold the document's actions in its order, with its words, and nothing that is no
    block.
    """
    torchtune, inspect, whole = (blocks_of(demo, name) for name in LOGS)
    assert torchtune[0].action == "DISCOVER_EXPERIMENT" and torchtune[0].details.startswith(
        f"Found experiment at {demo}"
    )
    assert torchtune[1].result == "All runs have finetune.slurm scripts"
    assert [b.result.split()[0:2] for b in torchtune if b.action == "SUBMIT_JOB"] == [
        ["Job", "ID"]
    ] * 4
    assert {b.details for b in torchtune if b.action == "SUBMIT_JOB"} == {"bash finetune.slurm"}
    assert (torchtune[-1].details, torchtune[-1].result) == (
        "All 4 jobs reached terminal states",
        "4 COMPLETED, 0 FAILED",
    )
    assert [b.action for b in inspect[:4]] == [
        "DISCOVER_EXPERIMENT",
        "VERIFY_FINETUNING",
        "VERIFY_CHECKPOINTS",
        "IDENTIFY_EVALS",
    ]
    assert [b.result for b in inspect[1:3]] == [
        "All fine-tuning jobs COMPLETED",
        "All 8 checkpoints exist",
    ]
    assert inspect[3].details == "4 runs × 2 tasks × 2 epochs + 1 control run × 2 tasks"
    assert "untrained/clean/base" in [b.subject for b in inspect if b.action == "SUBMIT_EVAL"]
    assert inspect[-1].action == "ALL_COMPLETE"
    assert re.fullmatch(r"\d+ (second|minute)s?", inspect[-1].duration)
    assert [b.action for b in whole] == ["DISCOVER_EXPERIMENT", "VALIDATE", "ALL_COMPLETE"]


def test_rebuild_makes_the_same_bytes(demo: Path) -> None:
    """Deleting every view and rebuilding gives the same bytes, and check finds nothing wrong."""
    state = demo.parents[1] / "state"
    before = {name: hashlib.sha256((demo / name).read_bytes()).hexdigest() for name in LOGS}
    for name in LOGS:
        (demo / name).unlink()
    broken = wk("check", demo, state=state)
    assert broken.returncode == 1 and "rebuild" in broken.stdout
    assert wk("rebuild", demo, state=state).returncode == 0
    assert {name: hashlib.sha256((demo / name).read_bytes()).hexdigest() for name in LOGS} == before
    assert wk("check", demo, state=state).returncode == 0


def test_a_second_run_submits_nothing_and_says_why_for_each_of_the_22_jobs(demo: Path) -> None:
    """Typed again, the command submits nothing; each of the 22 jobs has its reason and its evidence
    in the log.
    """
    before = {name: len(blocks_of(demo, name)) for name in LOGS}
    done = wk("run", demo, state=demo.parents[1] / "state")
    assert done.returncode == 0 and len(claims(demo)) == 22
    new = [block for name in LOGS for block in blocks_of(demo, name)[before[name] :]]
    skips = {b.subject: b.details for b in new if b.action == "SKIP"}
    assert len(skips) == 23 and skips.pop("untrained").startswith("control run")
    assert all(
        details.startswith(("checkpoint exists; ", "result exists; ")) and " bytes" in details
        for details in skips.values()
    )
    assert not [b for b in new if b.action in ("ALL_COMPLETE", "SUBMIT_JOB", "SUBMIT_EVAL")]


def test_what_was_deleted_is_made_again_with_exactly_what_depends_on_it(demo: Path) -> None:
    """A deleted checkpoint redoes its fine-tune and its two evaluations, a deleted result only
    itself: 4 jobs in all.
    """
    shutil.rmtree(demo / "h16_lr1e-2" / "artifacts" / "epoch_1")
    (demo / "h64_lr1e-1" / "eval" / "clean_epoch0" / "result.json").unlink()
    before = {name: len(blocks_of(demo, name)) for name in LOGS}
    assert wk("run", demo, state=demo.parents[1] / "state").returncode == 0
    new = [block for name in LOGS for block in blocks_of(demo, name)[before[name] :]]
    assert sorted(b.subject for b in new if b.action.startswith("SUBMIT_")) == [
        "h16_lr1e-2",
        "h16_lr1e-2/clean/epoch1",
        "h16_lr1e-2/noisy/epoch1",
        "h64_lr1e-1/clean/epoch0",
    ]
    attempts = {key: len(run.attempts) for key, run in state_of(demo).runs.items()}
    assert sum(attempts.values()) == 26 and attempts["h16_lr1e-2"] == 2
    assert all(row["standing"] in ("done", "not needed") for row in rows(demo).values())
