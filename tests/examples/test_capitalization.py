"""The capitalization experiment, cut to one run and two evaluations: real tools, the local
scheduler.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments import blocks_of, claims, env, wk
from watchkeeper.experiment.experiment import read
from watchkeeper.reading.tool_calls import read_inspect_call, read_training
from watchkeeper.report.runlog.document import parse
from watchkeeper.schedulers.sbatch_head import read_head

ROOT = Path(__file__).parents[2]
CAPITALIZATION = ROOT / "examples" / "capitalization"
LOGS = ("run-torchtune.log", "run-inspect.log", "run-experiment.log")
RUN = "r8_lr1e-2"
MISSING = [
    name
    for name in ("torch", "torchtune", "torchao", "inspect_ai", "transformers")
    if not importlib.util.find_spec(name)
]
if MISSING and os.environ.get("CI") == "true":
    pytest.fail(f"the real tools are not there: {', '.join(MISSING)}", pytrace=False)
needs_tools = pytest.mark.skipif(
    bool(MISSING), reason=f"the real tools are not there: {', '.join(MISSING)}"
)


def copied(to: Path) -> Path:
    """The experiment as it is in a fresh clone."""
    made = shutil.ignore_patterns(
        ".watchkeeper",
        "artifacts",
        "slurm-*.out",
        "logs",
        "run-*.log*",
        "__pycache__",
        "work",
        ".tmp-*",
    )
    return shutil.copytree(CAPITALIZATION, to / "examples" / "capitalization", ignore=made)


def small() -> list[str]:
    """What the Makefile's SIZE=small gives to `watchkeeper run`."""
    (line,) = re.findall(
        r"^CAPITALIZATION_small := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    return [word.strip("'") for word in line.split()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The small cut in a copy beside an environment like the repository's, run to its end; and what
    that printed.
    """
    root = tmp_path_factory.mktemp("capitalization")
    folder = copied(root)
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "activate").write_text(
        f'export PATH="{Path(sys.executable).parent}:$PATH"\n'
    )
    prepare = [sys.executable, folder / "prepare.py", "--steps", "250"]
    for _ in range(2):
        made = subprocess.run(
            prepare,
            env=env(root, OMP_NUM_THREADS="1"),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert made.returncode == 0, made.stderr
    assert made.stdout == f"{folder}/work is there: nothing to make\n"
    done = wk("run", folder, *small(), state=root / "state", timeout_s=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def rows(folder: Path) -> dict[str, dict]:
    """The rows of `status --json`, by key."""
    done = wk("status", folder, "--json", "--limit", "0", state=folder.parents[1] / "state")
    assert done.returncode == 0, done.stderr
    return {row["key"]: row for row in json.loads(done.stdout)["data"]["rows"]}


def test_it_is_4_fine_tunes_18_evaluations_and_a_control() -> None:
    """The summary is read without a finding, and every script says what it makes: sbatch takes it,
    the judges know it.
    """
    experiment = read(CAPITALIZATION)
    assert experiment.problems == ()
    assert all(promise.training for promise in experiment.checkpoints.values())
    assert all(promise.expected for promise in experiment.results.values())
    kinds = [(item.phase, item.control) for item in experiment.items if item.script]
    assert (
        kinds.count(("preparation", False)),
        sum(phase == "evaluation" for phase, _ in kinds),
    ) == (4, 18)
    assert [item.key for item in experiment.items if not item.script] == ["base"]
    for item in experiment.items:
        if not item.script:
            continue
        head = read_head(CAPITALIZATION / item.script)
        assert head.problems == () and head.name == item.key.replace("/", "_")
        if item.phase == "preparation":
            assert read_training(CAPITALIZATION, item.script).training.epochs == 2
        else:
            asked = read_inspect_call(CAPITALIZATION / item.script)
            assert (asked.file, asked.task, asked.model) == (
                "capitalization.py",
                item.key.split("/")[1],
                "hf/tiny",
            )


def test_the_configurations_differ_in_what_varies_only() -> None:
    """The four configurations are one but for rank, alpha and learning rate, which are what the
    run's folder says.
    """
    texts = {}
    for path in CAPITALIZATION.glob("*/finetune.yaml"):
        text = path.read_text()
        rank, alpha, rate = (
            re.search(rf"^  {key}: (\S+)$", text, re.MULTILINE)[1]
            for key in ("lora_rank", "lora_alpha", "lr")
        )
        assert path.parent.name == f"r{rank}_lr{rate.replace('.0', '')}" and int(alpha) == 2 * int(
            rank
        )
        texts[path.parent.name] = re.sub(r"(lora_rank|lora_alpha|lr): \S+", "", text)
    assert len(texts) == 4 and len(set(texts.values())) == 1


@needs_tools
def test_the_table_has_what_inspect_measured(demo) -> None:
    """The cut's three jobs are done, each claimed once; what was taught is known, what was known
    before forgotten.
    """
    folder, done = demo
    told = rows(folder)
    assert {key for key, row in told.items() if row["standing"] == "done"} == {
        RUN, f"{RUN}/capitalization/epoch1", f"{RUN}/copying/epoch1",
    }  # fmt: skip
    assert len(claims(folder)) == 3
    taught, before = (
        told[f"{RUN}/{task}/epoch1"]["metrics"]["accuracy"]
        for task in ("capitalization", "copying")
    )
    assert taught > 0.5 > before
    # The run's row of the matrix, with as many decimals as its column needs.
    shown = re.escape(f"{taught:.4f}"[:4])
    assert re.search(rf"^{RUN}\s.*\s{shown}\d*\s", done.stdout, re.MULTILINE)


@needs_tools
def test_the_logs_could_be_the_documents_examples(demo) -> None:
    """The logs hold the document's actions in its order, with its words, and nothing that is no
    block.
    """
    folder, _ = demo
    torchtune, inspect, whole = (blocks_of(folder, name) for name in LOGS)
    assert torchtune[0].action == "DISCOVER_EXPERIMENT" and torchtune[0].details.startswith(
        f"Found experiment at {folder}"
    )
    assert [(b.subject, b.details) for b in torchtune if b.action == "SUBMIT_JOB"] == [
        (RUN, "bash finetune.slurm")
    ]
    assert [b.details for b in torchtune if b.action == "STATE_CHANGE"][-1] == "RUNNING → COMPLETED"
    assert (torchtune[-1].action, torchtune[-1].result) == (
        "ALL_COMPLETE",
        "1 COMPLETED, 0 FAILED, 3 not selected",
    )
    assert [b.action for b in inspect[:3]] == [
        "DISCOVER_EXPERIMENT",
        "VERIFY_FINETUNING",
        "VERIFY_CHECKPOINTS",
    ]
    verified = inspect[2]
    assert (
        "last loss and step, and Checkpoint saved" in verified.details
        and "adapter_config.json" not in verified.details
    )
    submitted = [b.subject for b in inspect if b.action == "SUBMIT_EVAL"]
    assert submitted == [f"{RUN}/capitalization/epoch1", f"{RUN}/copying/epoch1"]
    assert (inspect[-1].action, inspect[-1].result) == (
        "ALL_COMPLETE",
        "2 COMPLETED, 0 FAILED, 16 not selected",
    )
    assert [b.action for b in whole] == ["DISCOVER_EXPERIMENT", "VALIDATE", "ALL_COMPLETE"]


@needs_tools
def test_a_second_run_submits_nothing_and_says_why(demo) -> None:
    """Typed again, the command submits nothing; what is there is named with its evidence, and what
    was cut away as such.
    """
    folder, _ = demo
    before = {name: len(blocks_of(folder, name)) for name in LOGS}
    done = wk("run", folder, *small(), state=folder.parents[1] / "state")
    assert done.returncode == 0 and len(claims(folder)) == 3
    new = [block for name in LOGS for block in blocks_of(folder, name)[before[name] :]]
    assert not [b for b in new if b.action in ("ALL_COMPLETE", "SUBMIT_JOB", "SUBMIT_EVAL")]
    skips = {b.subject: b.details for b in new if b.action == "SKIP"}
    assert skips[RUN].startswith(
        f"checkpoint exists; {RUN}/artifacts/epoch_0/model-00001-of-00001.safetensors: weights"
    )
    assert skips[f"{RUN}/copying/epoch1"].startswith(
        f"result exists; {RUN}/eval/copying_epoch1/logs/"
    )
    assert skips["r2_lr2e-3"].startswith("not selected")


@needs_tools
def test_the_run_leaves_its_log(demo) -> None:
    """The run's log tells what torchtune and inspect-ai left: steps, losses, the curve, the
    checkpoint, each accuracy.
    """
    folder, _ = demo
    (path,) = (folder / "run_logs").rglob(f"*_{RUN}.md")
    document = parse(path.read_text())
    (results,) = document.of("results")
    found = {field.name: field.value for field in results.fields()}
    assert int(found["final_step"]) > 100 and 0 < float(found["end_train_loss"]) < float(
        found["start_train_loss"]
    )
    assert found["checkpoint"] == f"{RUN}/artifacts/epoch_1" and found["loss_one_liner"].startswith(
        "the training loss "
    )
    assert found["config_snapshot"] == f"{RUN}/artifacts/torchtune_config.yaml"
    assert found["capitalization_epoch_1"].startswith("accuracy ") and found[
        "copying_epoch_1"
    ].startswith("accuracy ")


@needs_tools
def test_its_checkpoint_can_be_published(demo) -> None:
    """The package of its last checkpoint holds, says what the run says, and loads."""
    folder, _ = demo
    package, state = folder.parent / "package", folder.parents[1] / "state"
    checkpoint = folder / RUN / "artifacts" / "epoch_1"
    words = ("--benchmark", "capitalization=ada/capitalization", "--allow-unsigned")
    # The copy lies in no repository, so that the commit is not known, which nobody may sign.
    commit = folder / "commit.toml"
    commit.write_text(f"[provenance]\ntraining_repo_commit = '{'a' * 40}'\n")
    passport = ("passport", checkpoint, "--run", folder, "--key", RUN, "--declare", commit)
    assert wk("checkpoint", *passport, state=state).returncode == 0
    done = wk("publish", "stage", checkpoint, "-o", package, *words, state=state)
    assert done.returncode == 0, done.stdout + done.stderr
    accuracy = rows(folder)[f"{RUN}/capitalization/epoch1"]["metrics"]["accuracy"]
    card = (package / "README.md").read_text()
    assert f"| capitalization | accuracy | {accuracy:.6g} | 100 |" in card
    assert f"value: {accuracy}" in (package / ".eval_results/capitalization.yaml").read_text()
    for text in (card, (package / "TRAINING_LOG.md").read_text()):
        assert str(folder) not in text
    checked = wk("publish", "check", package, state=state)
    assert checked.returncode == 0, checked.stdout
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=package, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
