"""Scripts as they lie on a real Slurm: `watchkeeper run train.sh` in place of `sbatch train.sh`."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from tests.experiments import state_of
from tests.slurm.lab import USER, Lab
from watchkeeper.schedulers.shell import as_user

TRAIN = """#!/bin/bash
#SBATCH --job-name=train
#SBATCH --time=00:05:00
#SBATCH --output=out-%j.txt
echo "in $PWD: $*" >> ran.txt
"""
SWEEP = """#!/bin/bash
#SBATCH --array=0-2
#SBATCH --time=00:05:00
echo "$1" > task-$SLURM_ARRAY_TASK_ID
"""


@pytest.fixture
def work(clone: Path) -> Path:
    """A project of the ordinary user with `slurm/train.sh` and `slurm/eval.sh`."""
    work = clone / f"project-{secrets.token_hex(4)}"
    (work / "slurm").mkdir(parents=True)
    (work / "slurm/train.sh").write_text(TRAIN)
    (work / "slurm/eval.sh").write_text(TRAIN.replace("ran.txt", "evaluated.txt"))
    (work / "slurm/sweep.sh").write_text(SWEEP)
    subprocess.run(["chown", "-R", f"{USER}:", work], check=True)
    return work


def wk(lab: Lab, work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command on the cluster, typed in the project by the ordinary user."""
    lab.up()
    program = work.parent / ".venv/bin/watchkeeper"
    verb, *others = words
    options = ["--cluster", "lab", "--stagger", "0"]
    if verb == "run":
        options += ["--poll", "1"]
    return subprocess.run(
        [*as_user(USER), program, verb, *options, *others],
        cwd=work,
        env=lab.environment | {"HOME": str(work.parent), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_scripts_run_as_with_sbatch_and_one_after_another(work: Path, slurm_lab: Lab) -> None:
    """In the folder where they were typed, with their own directives and arguments; the second is
    queued behind the first with a dependency, and each runs once.
    """
    first = wk(slurm_lab, work, "submit", "slurm/train.sh", "--", "--lr", "two words")
    assert first.returncode == 0, first.stderr
    (train,) = state_of(work / "slurm").runs
    done = wk(slurm_lab, work, "run", "slurm/eval.sh", "--after", train)
    assert done.returncode == 0, done.stderr
    assert (work / "ran.txt").read_text() == f"in {work}: --lr two words\n"
    assert (work / "evaluated.txt").read_text() == f"in {work}: \n"
    assert len(list(work.glob("out-*.txt"))) == 2
    runs = state_of(work / "slurm").runs
    assert [run.latest.judged.outcome for run in runs.values()] == ["done", "done"]
    again = wk(slurm_lab, work, "run", "slurm/train.sh", "--", "--lr", "two words")
    assert again.returncode == 0 and f"{train}: done" in again.stderr
    assert len((work / "ran.txt").read_text().splitlines()) == 1
    assert not list(work.glob("wk-*")), "the batch script beside the user's is removed"


def test_an_array_runs_task_by_task(work: Path, slurm_lab: Lab) -> None:
    """Its tasks are rows of the status, and the arguments reach each of them."""
    done = wk(slurm_lab, work, "run", "slurm/sweep.sh", "--", "word")
    assert done.returncode == 0, done.stderr
    assert [(work / f"task-{task}").read_text() for task in range(3)] == ["word\n"] * 3
