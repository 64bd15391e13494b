"""The records of the local scheduler's spool: what a job, or a task of an array, is and was."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.core.errors import UnavailableError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.processes import ProcessName
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.sbatch_head import expand

_Record = TypeVar("_Record")


class Array(msgspec.Struct, frozen=True, kw_only=True):
    """What an array's tasks have in common: `tasks`, their numbers as `--array` writes them, and
    the patterns of their outputs with the `user` and `node` that these may name. `error` is ""
    where standard error goes where output goes.
    """

    tasks: str
    output: str
    error: str
    user: str
    node: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task: the array's id, the task's number, and the job id that the task has alone."""

    array_id: str
    number: int
    own_id: str


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted job. `error` is "" where standard error goes where output goes; `time_limit_s` is
    None for no limit; `kill_wait_s` is the time between SIGTERM and SIGKILL; `environment` is
    NUL-separated, as the kernel has it; `after` names the jobs that must have ended first; `gpus`
    is how many GPUs it needs.

    `array`: what the tasks of a job array need beside it (None: it is none); its `output` and
    `error` are "" then. `task`: which task this is, of a spec that `task_of` made.
    """

    job_id: str
    name: str
    token: str
    command: tuple[str, ...]
    wrapper: str
    submit_folder: str
    folder: str
    output: str
    error: str
    append: bool
    time_limit_s: int | None
    kill_wait_s: float
    submitted: datetime
    umask: int
    environment: bytes
    after: tuple[str, ...] = ()
    gpus: int = 0
    array: Array | None = None
    task: Task | None = None

    @property
    def error_output(self) -> str:
        """Where standard error goes."""
        return self.error or self.output


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The script's session, by its leader."""

    leader: ProcessName
    time: datetime


class CancelAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asked for the job's end."""

    time: datetime
    by: ProcessName


class DamagedRecordError(Exception):
    """A record of the spool that is no such record; the message names the file."""


def read(path: Path, kind: type[_Record]) -> _Record | None:
    """The record in a file; None if it is not there.

    Raises:
        DamagedRecordError: it holds something else.
        UnavailableError: it cannot be read.
    """
    try:
        return msgspec.json.decode(files.read_whole(path), type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedRecordError(f"{path} is damaged: {error}") from error


def numbers_of(spec: Spec) -> list[int]:
    """The numbers of an array's tasks, in order; none for a job that is no array."""
    if spec.array is None:
        return []
    return arrays.numbers_of(spec.array.tasks)


def task_of(whole: Spec, number: int) -> Spec | None:
    """The spec of one task of an array; None: the array has no such task. The tasks' own ids follow
    the array's, the first of them being the same.
    """
    numbers = numbers_of(whole)
    if whole.array is None or number not in numbers:
        return None
    own_id = str(int(whole.job_id) + numbers.index(number))
    array = whole.array

    def place(pattern: str) -> str:
        if not pattern:
            return ""
        name = expand(
            pattern,
            job_id=own_id,
            name=whole.name,
            user=array.user,
            node=array.node,
            task=(whole.job_id, str(number)),
        )
        return os.path.join(whole.folder, name)

    return msgspec.structs.replace(
        whole,
        job_id=f"{whole.job_id}_{number}",
        output=place(array.output),
        error=place(array.error),
        task=Task(array_id=whole.job_id, number=number, own_id=own_id),
    )


def task_variables(spec: Spec) -> dict[bytes, bytes]:
    """What a task finds in its environment beside the array's; nothing for another job."""
    if spec.array is None or spec.task is None:
        return {}
    task = spec.task
    values = arrays.task_variables(spec.array.tasks, task.array_id, task.number, task.own_id)
    return {name.encode(): value.encode() for name, value in values.items()}


def lost(
    spec: Spec, started: Started, cancelled: bool, ended: datetime | None = None
) -> SchedulerFacts:
    """The end of a job whose supervisor and session are gone: nobody saw its exit code."""
    reason = "its supervisor was killed, and its exit code was not seen"
    return SchedulerFacts(
        state="CANCELLED" if cancelled else "NODE_FAIL",
        reason="" if cancelled else reason,
        submitted=spec.submitted,
        started=started.time,
        ended=ended,
        node=started.leader.host,
        output=spec.output,
        error_output=spec.error_output,
    )
