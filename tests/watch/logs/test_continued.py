"""Which run log a job goes into: one that is there is continued where it is of this very work, or a
person says so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments import wk
from tests.watch.logs.test_run_logs import committed, keep, logs, told, value
from watchkeeper.core.code import git
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Documented, Observed
from watchkeeper.report.runlog.document import parse
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.logs.said import Said, check_said

SCRIPT = """#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --partition=gpu
mkdir -p artifacts/epoch_0
: --config ../conf/low.yaml
echo w >artifacts/epoch_0/model.bin
"""
LOG = """# train — by hand

## Mode
- run_type: experiment
- objective: does it work

## Config
- script: `arm/train/finetune.slurm`
- config: `arm/conf/low.yaml`
- dataset: `shelf-v2`
- key settings: lr 1e-4
- commit: `{commit}`

## Job
- execution_id: 70412
- submitted/start: `2026-05-04T09:12:00Z`

## Status
- 2026-05-04 10:20 UTC — failed: node lost at step 900, train_loss 0.77

## Results
- start_train_loss: 1.31
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with an experiment in it, all of it committed."""
    (tmp_path / "arm/train").mkdir(parents=True)
    (tmp_path / "arm/conf").mkdir()
    (tmp_path / "run_logs").mkdir()
    (tmp_path / "arm/train/finetune.slurm").write_text(SCRIPT)
    (tmp_path / "arm/conf/low.yaml").write_text("lr: 0.0001\n")
    (tmp_path / "arm/conf/high.yaml").write_text("lr: 0.01\n")
    return committed(tmp_path)


def by_hand(work: Path, old: str = "", new: str = "") -> Path:
    """A log that a person wrote at the present commit; `new` stands in it where `old` would."""
    path = work / "run_logs/2026-05-04_train.md"
    path.write_text(
        LOG.format(commit=git.state(work).sha[:10]).replace(old, new, 1)
        if old
        else LOG.format(commit=git.state(work).sha)
    )
    return path


def run(work: Path, **said: object) -> list[Path]:
    """Run the experiment to its end; the logs of its task."""
    assert keep(
        work / "arm",
        FakeScheduler(),
        **({"dataset": "shelf-v2", "settings": ("lr 0.0001",)} | said),
    )
    return sorted((work / "run_logs").rglob("*_train*.md"))


def test_the_log_of_this_very_work_is_continued(work: Path) -> None:
    """Where path, content, configuration, dataset and settings are the same, the job becomes a
    block of that log; what stands in its Config and Results stays.
    """
    log = by_hand(work)
    before = log.read_text()
    assert run(work) == [log]
    document = parse(log.read_text())
    assert [job.heading.text for job in document.of("job")] == ["Job", "Job (resumed)"]
    assert value(document, "results", "start_train_loss") == "1.31"
    assert all(line in log.read_text() for line in before.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("arm/train/finetune.slurm", "other/train/finetune.slurm", "its script is other/train"),
        ("arm/train/finetune.slurm", "finetune.slurm", "its script is finetune.slurm"),
        ("arm/conf/low.yaml", "arm/conf/high.yaml", "its configuration is"),
        ("shelf-v2", "shelf-v3", "its dataset is shelf-v3"),
        ("lr 1e-4", "learning rate 1e-2", "its lr is 0.01"),
        ("- commit:", "- comment:", "names no commit"),
        (
            "failed: node lost at step 900",
            "abandoned, superseded by 2026-05-05_train.md",
            "its run was given up",
        ),
    ],
)
def test_a_log_of_other_work_is_not_continued(work: Path, old: str, new: str, why: str) -> None:
    """Another script, configuration, dataset or setting, a content that cannot be known, or a run
    that was given up: a log of its own, the one by hand untouched, and the reason in the journal.
    """
    log = by_hand(work, old, new)
    before = log.read_text()
    found = run(work)
    assert len(found) == 2 and log.read_text() == before
    (left,) = [
        event for event in told(work / "arm", Observed) if event.what == "run log not continued"
    ]
    assert why in left.detail and "--continue run_logs/2026-05-04_train.md" in left.detail


@pytest.mark.parametrize("name", ["arm/train/finetune.slurm", "arm/conf/low.yaml"])
def test_another_content_at_the_same_path_is_other_work(work: Path, name: str) -> None:
    """A script or configuration that was changed since the log's commit is not the one that the log
    is of.
    """
    log = by_hand(work)
    (work / name).write_text((work / name).read_text() + "# lr=1e-5\n")
    committed(work)
    assert len(run(work)) == 2 and "Job (resumed)" not in log.read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--time=01:00:00", "--time=08:00:00"),
        (
            "#SBATCH --partition=gpu",
            "#SBATCH --partition=long\n#SBATCH --mem=64G\n#SBATCH --gpus=2",
        ),
        (
            ": --config ../conf/low.yaml",
            ": --config ../conf/low.yaml --resume checkpoints/step_900",
        ),
    ],
)
def test_time_resources_and_a_resume_path_may_differ(work: Path, old: str, new: str) -> None:
    """What is asked of the scheduler, and from where a training goes on, do not make it another
    experiment.
    """
    log = by_hand(work)
    script = work / "arm/train/finetune.slurm"
    script.write_text(script.read_text().replace(old, new))
    assert run(work) == [log]


def test_a_log_in_which_no_job_has_run_waits_for_this_one(work: Path) -> None:
    """A log that was begun before its job, and names no commit yet, is the job's."""
    log = by_hand(work)
    text = log.read_text().replace("70412", "pending")
    log.write_text("\n".join(line for line in text.splitlines() if "commit" not in line) + "\n")
    assert run(work) == [log]
    assert value(parse(log.read_text()), "job", "execution_id") not in ("pending", "70412")


def test_a_person_may_say_which_log_to_continue(work: Path) -> None:
    """`--continue LOG` continues a log of other work, whose Config stays; the job's own block names
    its commit.
    """
    log = by_hand(work, "arm/train/finetune.slurm", "other.slurm")
    assert run(work, log=log) == [log]
    document = parse(log.read_text())
    assert value(document, "config", "script") == "other.slurm"
    assert value(document, "job", "commit", 1) == git.state(work).sha
    assert {event.path for event in told(work / "arm", Documented)} == {
        "../run_logs/2026-05-04_train.md"
    }


def test_a_persons_value_stays_theirs_where_the_machine_says_the_same(work: Path) -> None:
    """A field by hand that happens to hold what the machine would write is never changed later."""
    log = by_hand(work)
    run(work)
    fields = [event.fields for event in told(work / "arm", Documented)]
    assert not any(
        "config.commit" in one or "config.script" in one or "mode.run_type" in one for one in fields
    )
    assert value(parse(log.read_text()), "config", "commit") == git.state(work).sha


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"log": "gone.md"}, "gone.md"),
        ({"log": "notes.md"}, "it is no run log"),
        (
            {"log": "run_logs/2026-05-04_train.md", "group": "g"},
            "--group is for a log that is begun",
        ),
        ({"log": "run_logs/2026-05-04_train.md", "task": "t"}, "--task is for a log that is begun"),
    ],
)
def test_what_cannot_be_continued_is_refused(work: Path, said: dict[str, str], match: str) -> None:
    """A log that is not there or is none, and options that only a new log can have, are refused
    before any submission.
    """
    by_hand(work)
    (work / "notes.md").write_text("# Notes\n\nnothing\n")
    with pytest.raises(UsageError, match=match):
        check_said(Said(**(said | {"log": work / said["log"]})), {"train"})


def test_the_log_of_another_run_is_refused(work: Path) -> None:
    """A run is not written into the log that another run of the experiment keeps, nor several into
    one.
    """
    (work / "arm/other").mkdir()
    (work / "arm/other/finetune.slurm").write_text(SCRIPT)
    assert keep(work / "arm", FakeScheduler())
    (mine,) = (work / "run_logs").rglob("*_train.md")
    with pytest.raises(UsageError, match="it is the log of train"):
        keep(work / "arm", FakeScheduler(), log=mine, runs="other")
    with pytest.raises(UsageError, match="2 are selected"):
        check_said(Said(log=mine), {"train", "other"})


def test_an_edited_time_limit_stays_in_the_log(tmp_path: Path) -> None:
    """A retry whose script asks for more time is the same work: one log, two blocks."""
    (tmp_path / "exp/one").mkdir(parents=True)
    script = tmp_path / "exp/one/finetune.slurm"
    script.write_text(SCRIPT.replace("mkdir", "[ -e ../good ] || exit 3\nmkdir"))
    fake = FakeScheduler()
    keep(tmp_path / "exp", fake)
    script.write_text(script.read_text().replace("--time=01:00:00", "--time=09:00:00"))
    (tmp_path / "exp/good").touch()
    assert keep(tmp_path / "exp", fake, retry_failed=True)
    assert sorted(logs(tmp_path / "exp")) == ["one.md", "timeline.md"]
    assert logs(tmp_path / "exp")["one.md"].count("## Job") == 2


def test_options_that_a_log_will_not_show_are_said(work: Path, tmp_path: Path) -> None:
    """Said again of a run that has a log: an objective is put in while the field is the machine's;
    a group, a task, and a setting of what ran already are not, nor is what a person wrote over;
    each is said.
    """
    state = tmp_path / "state"
    assert (
        wk("run", work / "arm", "--objective", "first", "--set", "lr 1e-4", state=state).returncode
        == 0
    )
    (log,) = (work / "run_logs").rglob("*_train.md")
    words = [
        "--objective",
        "second",
        "--group",
        "g",
        "--task",
        "t",
        "--set",
        "lr 1e-2",
        "--dataset",
        "d",
    ]
    done = wk("run", work / "arm", *words, state=state)
    assert done.returncode == 0 and "objective" not in done.stderr
    for option, why in (
        ("--group g", "stays where it is"),
        ("--task t", "keeps its name"),
        ("--set 'lr 1e-2'", "what ran"),
    ):
        assert any(
            option in line and "not applied" in line and why in line
            for line in done.stderr.splitlines()
        ), option
    assert "lr 1e-4" in log.read_text() and "lr 1e-2" not in log.read_text()
    log.write_text(log.read_text().replace("run_type: pending", "run_type: replication"))
    done = wk("run", work / "arm", "--mode", "experiment", state=state)
    assert "--mode 'experiment' is not applied: a person wrote 'replication' there" in done.stderr
