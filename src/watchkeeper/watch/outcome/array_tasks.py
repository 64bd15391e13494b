"""Where each task of a job array stands, by what the scheduler said of it and by what it left."""

from __future__ import annotations

from pathlib import Path

import msgspec

from watchkeeper.core.events import ExitRecord, SchedulerFacts
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, RunState
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN, number_of
from watchkeeper.schedulers.wrapper.claims import Claim, executions, last_end
from watchkeeper.watch.health.progress import progress_of
from watchkeeper.watch.verdict.endings import end_of


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task of an array, in the last attempt that had it. `state` has Slurm's names; `elapsed_s`
    is None where its start or its end was not written down; `progress` is its recorder's, "" where
    there is none.
    """

    number: int
    attempt: int
    job_id: str
    state: str
    elapsed_s: float | None = None
    progress: str = ""


def read(experiment: Path, run: RunState) -> list[Task]:
    """The tasks of all attempts at a piece of work, by number; none where it is no array."""
    tasks: dict[int, Task] = {}
    for _, attempt in sorted(run.attempts.items()):
        if attempt.submissions and attempt.intended is not None and attempt.intended.array:
            numbers = arrays.numbers_of(attempt.intended.array)
            tasks |= _tasks_of(experiment, attempt, numbers)
    return [tasks[number] for number in sorted(tasks)]


def longest_s(experiment: Path, attempt: Attempt) -> float | None:
    """How many seconds the longest task of an array's attempt took; None where the time of one of
    its tasks is unknown, or the attempt is no array.
    """
    if not attempt.array:
        return None
    longest = 0.0
    for task in _tasks_of(experiment, attempt, arrays.numbers_of(attempt.array)).values():
        if task.elapsed_s is None:
            return None
        longest = max(longest, task.elapsed_s)
    return longest


def _tasks_of(experiment: Path, attempt: Attempt, numbers: list[int]) -> dict[int, Task]:
    """Number → the task, of those that an attempt had. Each task has the folder `task-NUMBER` in
    the attempt's, with claims and exit records as a single job has them.
    """
    folder = attempt_folder(experiment, attempt.key, attempt.number)
    said: dict[int, str] = {}
    if attempt.seen is not None:
        said = arrays.by_task(attempt.seen.facts.tasks)
    return {
        number: _task(folder / f"task-{number}", attempt, number, said.get(number, ""))
        for number in numbers
    }


def _task(folder: Path, attempt: Attempt, number: int, said: str) -> Task:
    """One task, from its folder. `said`: the scheduler's last word on it, "" for none."""
    claims = executions(folder)
    record = last_end(folder)
    state = _state(said, claims, record, is_active=attempt.active)
    progress = ""
    if state == "RUNNING":
        progress = progress_of(folder)
    return Task(
        number=number,
        attempt=attempt.number,
        job_id=f"{number_of(attempt.job_id)}_{number}",
        state=state,
        elapsed_s=_elapsed_s(claims, record),
        progress=progress,
    )


def _state(said: str, claims: list[Claim], record: ExitRecord | None, *, is_active: bool) -> str:
    """The task's state. `said` is the scheduler's last word on it, "" for none: an end counts for
    more than a word before it, and a claim shows that the task has begun.
    """
    facts = None
    if said in TERMINAL:
        facts = SchedulerFacts(state=said)
    if record is not None and record.interrupted:
        record = None
    end = end_of(facts, record)
    if end is not None:
        return end.state
    if not is_active:
        return UNKNOWN
    if claims:
        return "RUNNING"
    return said or "PENDING"


def _elapsed_s(claims: list[Claim], record: ExitRecord | None) -> float | None:
    """Seconds from the last claim to the end; None: one of the two was not written down, or the
    clock was set back between them.
    """
    began = None
    if claims:
        began = claims[-1].time
    if began is None or record is None or record.ended is None:
        return None
    if record.ended < began:
        return None  # a clock was set back meanwhile
    return (record.ended - began).total_seconds()
