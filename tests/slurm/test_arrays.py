"""Job arrays on a real Slurm: claimed, watched and judged task by task."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.experiments import blocks_of, command, env, state_of, write_experiment
from tests.slurm.lab import USER, Lab, make_job, until, write_settings
from watchkeeper.core.state import Attempt
from watchkeeper.schedulers.base import TERMINAL
from watchkeeper.schedulers.shell import as_user
from watchkeeper.schedulers.wrapper.claims import read_claims, read_task_ends

SCRIPT = """#!/bin/bash
#SBATCH --job-name=sweep
#SBATCH --output=out/%A_%a.out
#SBATCH --array=0-3%2
#SBATCH --time=00:05:00
echo "start $SLURM_ARRAY_TASK_ID"
echo ran >> task-$SLURM_ARRAY_TASK_ID.ran
{body}
mkdir -p artifacts/epoch_0 && echo weights > artifacts/epoch_0/model-$SLURM_ARRAY_TASK_ID.bin
"""


@pytest.fixture
def folder(slurm_lab: Lab) -> Path:
    """An experiment whose only fine-tune is an array of four tasks."""
    slurm_lab.up()
    folder = write_experiment(slurm_lab.workspace() / "exp")
    prefix = ", ".join(f'"{word}"' for word in as_user(USER))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777)
    cluster = (
        f'kind = "slurm"\nuser = "{USER}"\ncommand_prefix = [{prefix}]\nvisibility_lag_s = 1\n'
    )
    write_settings(folder, f'cluster = "lab"\npoll_s = 5\nstagger_s = 0\n[clusters.lab]\n{cluster}')
    return folder


def run(lab: Lab, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`watchkeeper run` on the cluster."""
    environment = env(folder.parent / "state", **lab.environment) | {"PATH": os.environ["PATH"]}
    words = command("run", folder, *options)
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=240, check=False, umask=0
    )


def attempts(folder: Path) -> list[Attempt]:
    """The attempts of the array."""
    return list(state_of(folder).runs["one"].attempts.values())


def test_each_task_is_judged_and_only_what_failed_runs_again(folder: Path, slurm_lab: Lab) -> None:
    """A failed task makes the array fail with the task's number and last words; a retry submits
    that task alone, and no other task ever runs twice.
    """
    body = '[[ $SLURM_ARRAY_TASK_ID != 2 || -e ok ]] || { echo "no data" >&2; exit 3; }'
    (folder / "one" / "finetune.slurm").write_text(SCRIPT.format(body=body))
    assert run(slurm_lab, folder).returncode == 1
    (first,) = attempts(folder)
    assert first.intended and first.intended.array == "0-3%2"
    assert first.seen and first.seen.facts.tasks == {"COMPLETED": "0-1,3", "FAILED": "2"}
    assert (
        first.judged and "1 FAILED (task 2)" in first.judged.why and "no data" in first.judged.why
    )
    changes = [
        block.result
        for block in blocks_of(folder, "run-training.log")
        if block.action == "STATE_CHANGE"
    ]
    assert any("task 2" in words for words in changes), changes
    (folder / "one" / "ok").touch()
    done = run(slurm_lab, folder, "--retry-failed")
    assert done.returncode == 0, done.stdout + done.stderr
    _, second = attempts(folder)
    assert second.intended and second.intended.array == "2%2"
    assert second.seen and second.seen.facts.tasks == {"COMPLETED": "2"}
    ran = {path.name: len(path.read_text().split()) for path in (folder / "one").glob("task-*.ran")}
    assert ran == {"task-0.ran": 1, "task-1.ran": 1, "task-2.ran": 2, "task-3.ran": 1}
    tasks = sorted(folder.glob(".watchkeeper/runs/one/*/task-*"))
    claims = [(task.name, claim.job_id) for task in tasks for claim in read_claims(task)]
    claimed = [name for name, job_id in claims if job_id]  # a claim without a job closes its task
    assert claimed == ["task-0", "task-1", "task-2", "task-3", "task-2"]


def test_a_requeued_task_runs_again_and_its_neighbours_do_not(slurm_lab: Lab) -> None:
    """Slurm may requeue one task: it is the next execution of that task alone."""
    slurm_lab.up()
    root, scheduler = slurm_lab.workspace(), slurm_lab.scheduler()
    source = (
        "#SBATCH --array=0-1\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"
        "echo $SLURM_ARRAY_TASK_ID >> ran\nuntil [[ -e go ]]; do sleep 0.1; done\n"
    )
    job = make_job(root, source)
    job_id = scheduler.submit(job).job_id
    attempt = job.wrapper.parent
    until(lambda: set(read_task_ends(attempt)) == {0, 1})
    assert read_claims(attempt)[-1].job_id == job_id
    ran = root / "exp" / "ran"
    until(lambda: ran.exists() and sorted(ran.read_text().split()) == ["0", "1"])
    slurm_lab.root("scontrol", "requeue", f"{job_id}_1")
    until(lambda: len(read_claims(attempt / "task-1")) == 2)
    (root / "exp" / "go").touch()
    until(lambda: scheduler.poll([job_id]).facts[job_id].state in TERMINAL)
    facts = scheduler.poll([job_id]).facts[job_id]
    assert facts.state == "COMPLETED" and facts.tasks == {"COMPLETED": "0-1"}
    assert sorted(ran.read_text().split()) == ["0", "1", "1"]
    ends = read_task_ends(attempt)
    assert {number: end and (end.exit_code, end.execution) for number, end in ends.items()} == {
        0: (0, 1),
        1: (0, 2),
    }


def test_a_second_array_of_the_same_attempt_runs_no_task(slurm_lab: Lab) -> None:
    """Of two arrays with one token one runs, task by task once; every task of the other ends as a
    twin.
    """
    slurm_lab.up()
    root, scheduler = slurm_lab.workspace(), slurm_lab.scheduler()
    job = make_job(root, "#SBATCH --array=0-2\necho $SLURM_ARRAY_TASK_ID >> ran\nsleep 1\n")
    ids = [scheduler.submit(job).job_id for _ in range(2)]
    assert list(scheduler.find(job.token)) == ids
    for job_id in ids:
        until(lambda job_id=job_id: scheduler.poll([job_id]).facts[job_id].state in TERMINAL)
    states = {job_id: dict(scheduler.poll([job_id]).facts[job_id].tasks) for job_id in ids}
    owner = read_claims(job.wrapper.parent)[0].job_id
    (twin,) = set(ids) - {owner}
    assert states == {owner: {"COMPLETED": "0-2"}, twin: {"FAILED": "0-2"}}
    assert sorted((root / "exp" / "ran").read_text().split()) == ["0", "1", "2"]
