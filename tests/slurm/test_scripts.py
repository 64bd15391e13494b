"""Scripts as they lie on a real Slurm: `watchkeeper run train.sh` in place of `sbatch train.sh`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.experiments import command, env, state_of
from tests.slurm.lab import USER, Lab, write_settings
from watchkeeper.schedulers.shell import as_user

TRAIN = """#!/bin/bash
#SBATCH --job-name=train
#SBATCH --time=00:05:00
#SBATCH --output=out-%j.txt
echo "in $PWD: $*" >> ran.txt
"""


@pytest.fixture
def work(slurm_lab: Lab) -> Path:
    """A project with `slurm/train.sh` and `slurm/eval.sh`, on a cluster."""
    slurm_lab.up()
    work = slurm_lab.workspace() / "project"
    (work / "slurm").mkdir(parents=True)
    (work / "slurm/train.sh").write_text(TRAIN)
    (work / "slurm/eval.sh").write_text(TRAIN.replace("ran.txt", "evaluated.txt"))
    prefix = ", ".join(f'"{word}"' for word in as_user(USER))
    cluster = (
        f'kind = "slurm"\nuser = "{USER}"\ncommand_prefix = [{prefix}]\nvisibility_lag_s = 1\n'
    )
    write_settings(
        work / "slurm", f'cluster = "lab"\npoll_s = 1\nstagger_s = 0\n[clusters.lab]\n{cluster}'
    )
    for path in [work, *work.rglob("*")]:
        path.chmod(0o777)
    return work


def wk(lab: Lab, work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, typed in the project."""
    environment = env(work / ".state", **lab.environment) | {"PATH": os.environ["PATH"]}
    return subprocess.run(
        command(*words),
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        umask=0,
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
    script = work / "slurm/sweep.sh"
    script.write_text(
        '#!/bin/bash\n#SBATCH --array=0-2\n#SBATCH --time=5\necho "$1" > task-$SLURM_ARRAY_TASK_ID\n'
    )
    script.chmod(0o777)
    done = wk(slurm_lab, work, "run", "slurm/sweep.sh", "--", "word")
    assert done.returncode == 0, done.stderr
    assert [(work / f"task-{task}").read_text() for task in range(3)] == ["word\n"] * 3
