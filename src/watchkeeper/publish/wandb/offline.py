"""Runs that `wandb` left on disk: where they lie, and each read as one run.

A run that was resumed left a folder for each time; together they are one run, in the order of their
start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.code.wandb_versions import spelled, version_of
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.publish.wandb.frames import Frames
from watchkeeper.publish.wandb.records import (
    Begin,
    Config,
    Exit,
    Header,
    Machine,
    Record,
    Row,
    Summary,
    apply,
    record_of,
)
from watchkeeper.publish.wandb.wire import WireError

SUFFIX = ".wandb"
_MOST_DEPTH = 6
_OPENING_RECORDS = 50


class Segment(msgspec.Struct, kw_only=True):
    """One `.wandb` file, read to its end. `end` is None where the program wrote none: it runs
    still, or it was killed. `is_torn`: the file ends within a record. `damaged` counts records that
    could not be read. `config` and `summary` are what they were at last, without W&B's own keys.
    `machine` is where it ran.
    """

    path: Path
    begin: Begin
    machine: Machine = Machine()
    version: str = ""
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    rows: int = 0
    end: Exit | None = None
    last_time: datetime | None = None
    is_torn: bool = False
    damaged: int = 0
    problems: list[Problem] = []


def wandb_files(path: Path) -> list[Path]:
    """Every `.wandb` file in a folder and those below it, or the file itself; sorted.

    Raises:
        UsageError: there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path} does not exist", hint="give a folder that holds `wandb/`")
    files = sorted(_below(path, _MOST_DEPTH))
    if not files:
        message = f"no run of W&B in {path}"
        hint = f"give a folder with offline-run-…/run-…{SUFFIX}, at most {_MOST_DEPTH} folders down"
        raise UsageError(message, hint=hint)
    return files


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """The files of W&B in a folder; links (`latest-run`) and hidden folders are not followed."""
    try:
        entries = list(folder.iterdir())
    except PermissionError:
        return
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.suffix == SUFFIX and entry.is_file():
            yield entry
        elif depth and entry.is_dir() and not entry.name.startswith("."):
            yield from _below(entry, depth - 1)


def read_segment(path: Path, take: Callable[[Row], None] | None = None) -> Segment:
    """Read one file. Each row of its history is handed to `take`, in the order written.

    Raises:
        UsageError: it is no file of W&B, or does not say which run it is of.
        OSError: it cannot be read.
    """
    frames = Frames(path)
    segment: Segment | None = None
    version = ""
    damaged = 0
    for data in frames:
        try:
            record = record_of(data)
        except WireError:
            damaged += 1
            continue
        if isinstance(record, Header):
            version = record.version
        elif isinstance(record, Begin):
            segment = _begun(segment, path, record)
        elif record is not None and segment is not None:
            _add(segment, record, take)
    if segment is None:
        hint = "its run had not begun, or its beginning is damaged; there is nothing to import"
        raise UsageError(f"{path} does not say which run it is of", hint=hint)
    segment.version = version
    segment.is_torn = frames.is_torn
    segment.damaged = damaged + len(frames.problems)
    segment.problems = frames.problems
    return segment


def _begun(segment: Segment | None, path: Path, begin: Begin) -> Segment:
    """A segment with what its run is. W&B writes that again when it is changed."""
    if segment is None:
        segment = Segment(path=path, begin=begin, config={}, summary={}, problems=[])
    else:
        segment.begin = msgspec.structs.replace(
            begin, started=begin.started or segment.begin.started
        )
    apply(segment.config, begin.config)
    return segment


def _add(segment: Segment, record: Record, take: Callable[[Row], None] | None) -> None:
    if isinstance(record, Config):
        apply(segment.config, record)
    elif isinstance(record, Summary):
        apply(segment.summary, record)
    elif isinstance(record, Exit):
        segment.end = record
    elif isinstance(record, Machine):
        segment.machine = _fuller(segment.machine, record)
    elif isinstance(record, Row):
        segment.rows += 1
        segment.last_time = record.time or segment.last_time
        if take is not None:
            take(record)


def _fuller(machine: Machine, later: Machine) -> Machine:
    """What both records say: W&B writes what it learns of a machine piece by piece."""
    return Machine(
        host=later.host or machine.host,
        folder=later.folder or machine.folder,
        slurm_job=later.slurm_job or machine.slurm_job,
    )


def machine_of(path: Path) -> Machine:
    """Where a run ran, from the first records of its file; nothing where they do not say, or cannot
    be read.
    """
    machine = Machine()
    try:
        for data in islice(Frames(path), _OPENING_RECORDS):
            record = record_of(data)
            if isinstance(record, Machine):
                machine = _fuller(machine, record)
    except (UsageError, OSError, WireError):
        return machine
    return machine


def version_in(folder: Path) -> str:
    """The version of `wandb` that wrote a run's folder, as `0.31.0`; "" where no file of it says
    so, or can be read.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            records = map(record_of, islice(Frames(path), _OPENING_RECORDS))
            header = next((one for one in records if isinstance(one, Header)), None)
        except (UsageError, OSError, WireError):
            continue
        version = version_of(header.version) if header is not None else None
        if version is not None:
            return spelled(version)
    return ""


def grouped(paths: Iterable[Path]) -> tuple[dict[str, list[Segment]], list[Problem]]:
    """The segments of each run by its id, in the order of their start; and a problem for each file
    that cannot be read.
    """
    runs: dict[str, list[Segment]] = {}
    problems = []
    for path in paths:
        try:
            segment = read_segment(path)
        except (UsageError, OSError) as error:
            problems.append(_unreadable(path, error))
            continue
        problems += segment.problems
        runs.setdefault(segment.begin.run_id or path.stem, []).append(segment)
    for segments in runs.values():
        segments.sort(key=_start_of)
    return runs, problems


def overlap(segments: Sequence[Segment]) -> bool:
    """Whether a segment began before the one before it had logged its last row."""
    return any(later_runs_beside(*pair) for pair in pairwise(segments))


def later_runs_beside(earlier: Segment, later: Segment) -> bool:
    """Whether the later of two segments began before the earlier one had logged its last row; where
    one of the two times is not known: no.
    """
    if earlier.last_time is None or later.begin.started is None:
        return False
    return later.begin.started < earlier.last_time


def runs_of(segments: Sequence[Segment]) -> list[list[Segment]]:
    """The segments of one id, in the order of their start, parted into runs. A segment continues
    the one before it if it says that it resumes, and began after that one's last row; else it is
    another run under the same id.
    """
    runs: list[list[Segment]] = []
    for segment in segments:
        is_new = not runs or not segment.begin.resumes
        if is_new or later_runs_beside(runs[-1][-1], segment):
            runs.append([segment])
        else:
            runs[-1].append(segment)
    return runs


def _start_of(segment: Segment) -> tuple[float, str]:
    started = segment.begin.started
    return (started.timestamp() if started else 0.0, str(segment.path))


def _unreadable(path: Path, error: UsageError | OSError) -> Problem:
    hint = error.hint if isinstance(error, UsageError) else ""
    message = str(error).removeprefix(f"{path} ")
    return Problem(where=str(path), message=message, hint=hint, code="unreadable")


def started_of(segments: Sequence[Segment]) -> datetime | None:
    """When the run began; None where no segment says so."""
    times = [one.begin.started for one in segments if one.begin.started is not None]
    return min(times, default=None)
