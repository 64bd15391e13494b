"""Who runs an attempt, and how each execution ended: the records in the attempt's folder.

The wrapper claims an attempt by a hard link of a complete file, `claim.N`, before it runs anything
(law 5), and writes `exit.N` when the script has ended; N counts the executions from 1. A submitter
closes an attempt by taking a claim itself. The tasks of an array have the same files, in a folder
`task-K` each.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.core.errors import Problem
from watchkeeper.core.events import BootId, ExitRecord, Host, JobId
from watchkeeper.core.journal import Clock, utc_now

# The exit codes of a wrapper that ran nothing. A script may use the same codes, but then there is
# an exit record.
TWIN = 211  # another job, or this job's earlier start, has the attempt
FINISHED = 212  # the attempt has ended
CANNOT_TELL = 213  # the claim could be neither made nor judged
NOT_READY = 214  # a job that it was queued behind failed; this attempt is closed

WORDS = {
    TWIN: "the wrapper ran nothing: another job has the attempt, or its submitter closed it",
    FINISHED: "the wrapper ran nothing: the attempt had ended",
    CANNOT_TELL: "the wrapper ran nothing: it could not tell whether the attempt is this job's; "
    "its output says why",
    NOT_READY: "the wrapper ran nothing: a job that it was queued behind has not ended well",
}
"""What the wrapper's own exit codes mean."""

_MAX_RECORDS = 10_000
_Record = TypeVar("_Record")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs, or ran, an attempt. `job_id` is "" where the attempt was closed (`void_claim`,
    `close_attempt`); `pid` is the wrapper's or the submitter's.
    """

    scheduler: str
    job_id: JobId
    nonce: str
    cluster: str = ""
    restart: int = 0
    host: Host = ""
    boot_id: BootId = ""
    pid: int = 0
    time: datetime | None = None


def read_claims(attempt_folder: Path, problems: list[Problem] | None = None) -> list[Claim]:
    """The claims of an attempt, first to last. One that cannot be read is left out, and reported in
    `problems`.
    """
    return _records(attempt_folder, "claim", Claim, problems)


def executions(attempt_folder: Path) -> list[Claim]:
    """The claims that a job made, one for each execution: all but the claim that closed the
    attempt.
    """
    return [claim for claim in read_claims(attempt_folder) if claim.job_id]


def last_end(attempt_folder: Path) -> ExitRecord | None:
    """How the last execution of an attempt ended; None while it has no exit record. The records of
    earlier executions do not count: they say nothing about a job that was started again.
    """
    records = read_exit_records(attempt_folder)
    if records and records[-1].execution == len(executions(attempt_folder)):
        return records[-1]
    return None


def read_exit_records(
    attempt_folder: Path, problems: list[Problem] | None = None
) -> list[ExitRecord]:
    """The exit records of an attempt, first to last. One that cannot be read is left out, and
    reported in `problems`.
    """
    return _records(attempt_folder, "exit", ExitRecord, problems)


def read_task_ends(attempt_folder: Path) -> dict[int, ExitRecord | None]:
    """Task number → how the last execution of this task ended, None if it has not ended. Holds the
    tasks that were claimed; empty for a job without an array.
    """
    ends: dict[int, ExitRecord | None] = {}
    for folder in attempt_folder.glob("task-*"):
        number = folder.name.removeprefix("task-")
        if number.isdigit() and executions(folder):
            ends[int(number)] = last_end(folder)
    return ends


def void_claim(attempt_folder: Path, *, scheduler: str = "", clock: Clock = utc_now) -> bool:
    """Close an attempt that has not begun: take its first claim, so that no job of it can ever run.

    Returns True if the attempt is closed (also if it was closed before), False if a job has
    claimed it.

    Raises:
        StorageError: the claim could be neither made nor read.
    """
    if files.create(attempt_folder / "claim.1", _own_claim(scheduler, clock)):
        return True
    return is_closed(attempt_folder)


def _own_claim(scheduler: str, clock: Clock) -> bytes:
    me = processes.this_process()
    claim = Claim(
        scheduler=scheduler,
        job_id="",
        nonce=secrets.token_hex(16),
        host=me.host,
        boot_id=me.boot_id,
        pid=me.pid,
        time=clock(),
    )
    return msgspec.json.encode(claim) + b"\n"


def close_attempt(attempt_folder: Path, *, scheduler: str = "", clock: Clock = utc_now) -> bool:
    """Close an attempt that has begun: take its next claim, so that no further execution can begin,
    and one that is still alive ends its script.

    Returns True if the attempt is closed, False if another execution began meanwhile.

    Raises:
        StorageError: the claim could be neither made nor read.
    """
    claims = read_claims(attempt_folder)
    if claims and not claims[-1].job_id:
        return True
    number = len(claims) + 1
    if files.create(attempt_folder / f"claim.{number}", _own_claim(scheduler, clock)):
        return True
    claims = read_claims(attempt_folder)
    return len(claims) == number and not claims[-1].job_id


def is_closed(attempt_folder: Path) -> bool:
    """Whether no job of the attempt can ever run, because its first claim is not a job's."""
    claims = read_claims(attempt_folder)
    return bool(claims) and claims[0].job_id == ""


def _records(
    folder: Path, name: str, kind: type[_Record], problems: list[Problem] | None
) -> list[_Record]:
    records: list[_Record] = []
    for number in range(1, _MAX_RECORDS):
        path = folder / f"{name}.{number}"
        try:
            records.append(read_record(path, kind))
        except FileNotFoundError:
            # Execution 1 may have died without an exit record, and execution 2 have one.
            if name == "claim" or not (folder / f"claim.{number}").exists():
                break
        except (OSError, UnreadableRecordError) as error:
            if problems is not None:
                problems.append(_unreadable(path, name, error))
    return records


def _unreadable(path: Path, name: str, error: Exception) -> Problem:
    return Problem(
        where=str(path),
        message=f"it is no {name} record: {error}",
        hint="look at it; nothing is concluded from it",
        code="unreadable",
    )
