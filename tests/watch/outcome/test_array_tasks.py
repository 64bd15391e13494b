"""Where the tasks of an array stand, by the scheduler's word and by what they left."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.report.compose.events import START, intended
from watchkeeper.core.events import ExitRecord, SchedulerFacts, Submitted
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, RunState, Seen
from watchkeeper.schedulers.wrapper.claims import Claim
from watchkeeper.watch.outcome import array_tasks
from watchkeeper.watch.outcome.array_tasks import Task


def attempt(number: int, array: str, tasks: dict[str, str] | None = None) -> Attempt:
    """An attempt under way at an array, and what the scheduler last said of its tasks."""
    submitted = Submitted(
        time=START,
        writer="w",
        seq=1,
        key="one",
        phase="preparation",
        attempt=number,
        job_id=f"{number}0",
        scheduler="slurm",
        command="sbatch one.slurm",
    )
    seen = None
    if tasks is not None:
        facts = SchedulerFacts(state="RUNNING", tasks=tasks)
        seen = Seen("w", 2, f"{number}0", "RUNNING", facts, None)
    return Attempt(
        key="one",
        number=number,
        phase="preparation",
        intended=intended(number, array=array),
        submissions={f"{number}0": submitted},
        seen=seen,
    )


def leave(
    experiment: Path, attempt: int, task: int, *, code: int | None = None, interrupted: bool = False
) -> None:
    """What a task leaves that began at the start, and ended a minute later if it has a `code`."""
    folder = attempt_folder(experiment, "one", attempt) / f"task-{task}"
    folder.mkdir(parents=True)
    claim = Claim(scheduler="slurm", job_id=f"{attempt}0_{task}", nonce="n", time=START)
    (folder / "claim.1").write_bytes(msgspec.json.encode(claim) + b"\n")
    if code is None:
        return
    end = ExitRecord(
        job_id=claim.job_id,
        exit_code=code,
        ended=START + timedelta(minutes=1),
        interrupted=interrupted,
    )
    (folder / "exit.1").write_bytes(msgspec.json.encode(end) + b"\n")


def read(experiment: Path, *attempts: Attempt) -> list[Task]:
    """The tasks of these attempts."""
    run = RunState("one", {each.number: each for each in attempts})
    return array_tasks.read(experiment, run)


def test_the_last_attempt_that_had_a_task_counts(tmp_path: Path) -> None:
    """A retry of one task leaves the others with the attempt and job in which they ended."""
    first = attempt(1, "0-2%2", {"COMPLETED": "0,2", "FAILED": "1"})
    found = read(tmp_path, first, attempt(2, "1%2", {"RUNNING": "1"}))
    assert [(task.number, task.attempt, task.job_id, task.state) for task in found] == [
        (0, 1, "10_0", "COMPLETED"),
        (1, 2, "20_1", "RUNNING"),
        (2, 1, "10_2", "COMPLETED"),
    ]


def test_what_a_task_left_outweighs_an_older_word(tmp_path: Path) -> None:
    """A claim shows that a task runs and an exit record that it ended, with its duration, before
    the next poll says so.
    """
    leave(tmp_path, 1, 0, code=0)
    leave(tmp_path, 1, 1, code=3)
    leave(tmp_path, 1, 2)
    found = read(tmp_path, attempt(1, "0-3", {"PENDING": "0-3"}))
    assert [(task.state, task.elapsed_s) for task in found] == [
        ("COMPLETED", 60.0),
        ("FAILED", 60.0),
        ("RUNNING", None),
        ("PENDING", None),
    ]


@pytest.mark.parametrize(("said", "state"), [("NODE_FAIL", "COMPLETED"), ("TIMEOUT", "TIMEOUT")])
def test_a_blind_end_yields_to_the_exit_record(tmp_path: Path, said: str, state: str) -> None:
    """A scheduler that did not see a task's end is overruled by its exit record, another is not."""
    leave(tmp_path, 1, 0, code=0)
    (found,) = read(tmp_path, attempt(1, "0", {said: "0"}))
    assert found.state == state


def test_an_interrupted_task_may_run_again(tmp_path: Path) -> None:
    """The record of a task that its scheduler interrupted is no end."""
    leave(tmp_path, 1, 0, code=143, interrupted=True)
    (found,) = read(tmp_path, attempt(1, "0", {"RUNNING": "0"}))
    assert found.state == "RUNNING"


def test_the_longest_task_is_known_where_all_are(tmp_path: Path) -> None:
    """Of a whole array the longest; a task without a time, or one whose clock was set back, makes
    it unknown, and what is no array has none.
    """
    for number in (0, 1):
        leave(tmp_path, 1, number, code=0)
    whole = attempt(1, "0-1", {"COMPLETED": "0-1"})
    assert array_tasks.longest_s(tmp_path, whole) == 60.0
    assert array_tasks.longest_s(tmp_path, attempt(1, "0-2")) is None
    assert array_tasks.longest_s(tmp_path, attempt(1, "")) is None
    folder = attempt_folder(tmp_path, "one", 1) / "task-1"
    record = msgspec.json.decode((folder / "exit.1").read_bytes(), type=ExitRecord)
    early = msgspec.structs.replace(record, ended=START - timedelta(hours=1))
    (folder / "exit.1").write_bytes(msgspec.json.encode(early) + b"\n")
    assert array_tasks.longest_s(tmp_path, whole) is None


def test_what_is_no_array_has_no_tasks(tmp_path: Path) -> None:
    """A job alone, and an array that was never submitted, have no tasks to show."""
    refused = attempt(2, "0-3")
    refused.submissions = {}
    assert read(tmp_path, attempt(1, ""), refused) == []
