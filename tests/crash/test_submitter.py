"""SIGKILL the submitter, or the local supervisor, before every write and every command that it
makes; then type the same command again. Every job ran exactly once, no attempt is left unresolved,
and the logs tell the truth.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.experiments import (
    blocks_of,
    claims,
    command,
    env,
    state_of,
    times_run,
    wk,
    write_experiment,
)

INJECT = Path(__file__).parent / "inject"
FAST = ("--poll", "0.05")
# `make test-all` kills at every operation; `make test`, for time, at every fourth one.
STRIDE = 1 if os.environ.get("WATCHKEEPER_TEST_SIZE") == "full" else 4


def killed_run(folder: Path, state: Path, target: str, at: int) -> tuple[int, bool]:
    """One run in which a process whose command line holds `target` dies before its operation number
    `at`. Returns the exit code, and whether the kill came.
    """
    state.mkdir(parents=True, exist_ok=True)
    mark = state / "killed"
    inject = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(INJECT), os.environ.get("PYTHONPATH")))),
        "WK_KILL_IN": target,
        "WK_KILL_AT": str(at),
        "WK_KILL_MARK": str(mark),
        "WK_KILL_LOG": str(state / "operations"),
    }
    done = wk("run", folder, *FAST, state=state, **inject)
    assert done.returncode != 99, done.stderr
    return done.returncode, mark.exists()


def assert_whole(folder: Path, state: Path, where: str, supervisor_died: bool = False) -> None:
    """Rerun until nothing is to be done, and hold the result to the promise."""
    done = wk("run", folder, *FAST, state=state)
    assert done.returncode == 0, f"{where}: {done.stdout}\n{done.stderr}"
    ran = times_run(folder)
    assert ran == {"one/ran.txt": 1, "one/eval/clean_epoch0.ran.txt": 1}, f"{where}: {ran}"
    assert len(claims(folder)) == 2, where
    told = state_of(folder)
    for key, run in told.runs.items():
        assert list(run.attempts) == [1], f"{where}: {key} has attempts {list(run.attempts)}"
        (attempt,) = run.attempts.values()
        assert attempt.judged is not None and attempt.judged.outcome == "done", f"{where}: {key}"
    check = wk("check", folder, state=state)
    assert check.returncode == 0, f"{where}: {check.stdout}"
    submits = [
        (b.subject, b.result)
        for log in ("training", "evaluation")
        for b in blocks_of(folder, f"run-{log}.log")
        if b.action.startswith("SUBMIT_")
    ]
    assert sorted(subject for subject, _ in submits) == ["one", "one/clean/epoch0"], (
        f"{where}: {submits}"
    )
    finished = [
        b
        for log in ("training", "evaluation")
        for b in blocks_of(folder, f"run-{log}.log")
        if b.action == "STATE_CHANGE" and b.details.endswith("COMPLETED")
    ]
    assert len(finished) == 2, f"{where}: {finished}"
    (log,) = (folder / "run_logs").glob("*_one*.md")
    text = log.read_text()
    ids = re.findall(r"execution_id: (\d+)\n", text)
    assert len(ids) == 1 and re.findall(r"submitted as job (\d+)\n", text) == ids, (
        f"{where}: {text}"
    )
    assert "completed, exit code 0" in text and "clean epoch 0: accuracy 0.5\n" in text, (
        f"{where}: {text}"
    )
    for page in ("timeline.md", "experiments.md"):
        assert (folder / "run_logs" / page).read_text().count(log.name) == 1, f"{where}: {page}"


def sweep(tmp_path: Path, target: str) -> int:
    """Kill before operation 1, 1 + STRIDE, … until a run gets through without being killed. Returns
    how many were killed.
    """

    def one(at: int) -> bool:
        folder = write_experiment(tmp_path / str(at) / "exp")
        state = tmp_path / str(at) / "state"
        _, killed = killed_run(folder, state, target, at)
        operations = (
            (state / "operations").read_text().splitlines()
            if (state / "operations").exists()
            else []
        )
        assert_whole(
            folder, state, f"killed before operation {at}: {operations[-1:]}", target != "run"
        )
        return killed

    at, killed = 1, 0
    with ThreadPoolExecutor(2) as pool:
        while True:
            batch = list(pool.map(one, range(at, at + 8 * STRIDE, STRIDE)))
            killed += sum(batch)
            at += 8 * STRIDE
            if not all(batch):
                return killed


def test_the_submitter_killed_at_any_operation_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Wherever the submitter dies, the same command finishes the work with one execution of each
    job.
    """
    assert sweep(tmp_path, "watchkeeper run") > 100 // STRIDE


def test_the_supervisor_killed_at_any_operation_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Wherever a local supervisor dies, no job runs twice and each end is known from the exit
    record.
    """
    assert sweep(tmp_path, "watchkeeper.schedulers.local.supervisor") > 10 // STRIDE


ARRAY = """#!/bin/bash
#SBATCH --array=0-2%2
echo $SLURM_ARRAY_TASK_ID >> ran
mkdir -p artifacts/epoch_0 && echo weights > artifacts/epoch_0/model-$SLURM_ARRAY_TASK_ID.bin
"""


@pytest.mark.parametrize(
    ("target", "at"),
    [
        *(("watchkeeper run", at) for at in range(10, 100, 20 * STRIDE)),
        *(("watchkeeper.schedulers.local.supervisor", at) for at in range(2, 32, 4 * STRIDE)),
    ],
)
def test_a_kill_neither_loses_nor_doubles_a_task_of_an_array(
    tmp_path: Path, target: str, at: int
) -> None:
    """Wherever the submitter or a supervisor dies, each task of an array runs once, in one
    attempt.
    """
    folder, state = write_experiment(tmp_path / "exp", tasks=()), tmp_path / "state"
    (folder / "one" / "finetune.slurm").write_text(ARRAY)
    _, killed = killed_run(folder, state, target, at)
    assert killed
    done = wk("run", folder, *FAST, state=state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted((folder / "one" / "ran").read_text().split()) == ["0", "1", "2"]
    (attempt,) = state_of(folder).runs["one"].attempts.values()
    assert attempt.seen is not None and attempt.seen.facts.tasks == {"COMPLETED": "0-2"}
    assert wk("check", folder, state=state).returncode == 0


@pytest.mark.parametrize("round_number", range(20))
def test_two_submitters_at_once_make_each_job_once(tmp_path: Path, round_number: int) -> None:
    """Two runs of one experiment started at the same moment: each job has one claim and one output,
    both see the end.
    """
    folder = write_experiment(
        tmp_path / "exp", runs=("a", "b"), tasks=("clean",), epochs=(0,), control=True
    )
    processes = [
        subprocess.Popen(
            command("run", folder, *FAST),
            env=env(tmp_path / "state"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        codes = [(process.wait(timeout=300), process.stderr.read()) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [code for code, _ in codes] == [0, 0], codes
    assert set(times_run(folder).values()) == {1} and len(times_run(folder)) == 5
    assert len(claims(folder)) == 5
    assert not [
        a for run in state_of(folder).runs.values() for a in run.attempts.values() if not a.closed
    ]
    submits = [
        b.subject
        for log in ("training", "evaluation")
        for b in blocks_of(folder, f"run-{log}.log")
        if b.action.startswith("SUBMIT_")
    ]
    assert sorted(submits) == ["a", "a/clean/epoch0", "b", "b/clean/epoch0", "untrained/clean/base"]
    assert wk("check", folder, state=tmp_path / "state").returncode == 0


def test_a_watcher_killed_while_jobs_run_is_followed_by_one_that_sees_them_end(
    tmp_path: Path,
) -> None:
    """SIGKILL to the watcher leaves the jobs alone; the next adopts them and logs their ends."""
    folder = write_experiment(
        tmp_path / "exp", body="while [ ! -e ../go ] && [ ! -e ../../go ]; do sleep 0.02; done"
    )
    state = tmp_path / "state"
    process = subprocess.Popen(
        command("run", folder, *FAST),
        env=env(state),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "→ RUNNING" in line:
                break
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        (folder / "go").touch()
    assert_whole(folder, state, "watcher killed")
