"""Whether what a recorded run left is what its journal says: files of rows by count and hash,
tables, manifests, the end.

Three outcomes are kept apart: what is wrong, what cannot be determined (a run that died wrote no
counts and no hashes), and what the journal itself lacks, since nothing may be made again from a
journal with a hole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import filterfalse
from pathlib import Path
from typing import TypeVar

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import Problem, StorageError
from watchkeeper.core.events import (
    AnyEvent,
    Event,
    Opened,
    RowsSealed,
    RunEnded,
    RunStarted,
    SealedRows,
    TableSealed,
    Unknown,
)
from watchkeeper.core.events.choose import all_of, of_kind
from watchkeeper.core.journal import RESTORE, Journal, unsealed
from watchkeeper.record.writing import text_log
from watchkeeper.record.writing.manifest import explained, is_explained
from watchkeeper.record.writing.tables import read_table
from watchkeeper.runfolder import places
from watchkeeper.runfolder.rows import SUFFIX

E = TypeVar("E", bound=Event)

CHUNK = 2**20
TAIL_BYTES = 262_144  # of a log, in which a run's last line is looked for
LEFT = (
    layout.METRICS,
    layout.TABLES,
    layout.EXAMPLES,
    layout.TELEMETRY,
)

_ENDED = re.compile(r"\] (?:Run finished|Run interrupted|Run ended: failed)")


class Audit(msgspec.Struct, kw_only=True):
    """What was found. `problems` is what is wrong with the run's files, `incomplete` what the
    journal lacks, `unverified` what cannot be determined.
    """

    verified: list[str] = []
    problems: list[Problem] = []
    incomplete: list[Problem] = []
    unverified: list[Problem] = []


class _Read(msgspec.Struct, frozen=True):
    """The first bytes of a file, as a seal speaks of them: their number, lines and hash, and the
    lines after them.
    """

    bytes: int
    rows: int
    sha256: str
    rows_after: int


def traces(folder: Path) -> list[str]:
    """What lies in a folder that only a recorded run leaves, in words."""
    words = [
        str(place)
        for place in LEFT
        if (folder / place).is_dir() and any((folder / place).iterdir())
    ]
    manifests = [
        path.name
        for path in places.names(folder / places.RUN_MANIFEST)
        if places.manifest_run(path) is not None
    ]
    return words + manifests


def audit(folder: Path, journal: Journal) -> Audit:
    """Hold a run's folder against its journal. Nothing is changed."""
    audit = Audit()
    events = all_of(journal.events)
    _audit_ends(folder, journal, audit)
    _audit_rows(folder, journal, audit)
    _audit_tables(folder, events, audit)
    if not audit.incomplete:
        _audit_manifests(folder, journal, audit)
    return audit


# ── the runs and their ends


def _audit_ends(folder: Path, journal: Journal, audit: Audit) -> None:
    """Each run has an end, each end its seal; and nothing in the folder speaks of runs or ends that
    the journal lacks.
    """
    started = _writers_of(journal, RunStarted)
    ended = _writers_of(journal, RunEnded)
    open_ends = unsealed(journal)
    run_ids = [event.run_id for event in started.values()]
    reported = _ends_said(folder, journal, run_ids)
    finished = {event.run_id for writer, event in started.items() if writer in ended}
    for run, source in sorted(reported.items()):
        if run not in finished:
            _add_unknown_end(journal, run, source, is_known=run in run_ids, audit=audit)
    for writer in filter(open_ends.__contains__, started):
        has_ended, event = writer in ended, started[writer]
        if has_ended or event.run_id not in reported:
            alive = open_ends[writer]
            _judge_open_end(folder, journal, event, ended=has_ended, alive=alive, audit=audit)
    for writer in filterfalse(started.__contains__, open_ends):
        if not open_ends[writer] and not _is_sidecar(journal.events[writer]):
            audit.problems.append(_unclosed(journal, writer))


def _writers_of(journal: Journal, kind: type[E]) -> dict[str, E]:
    """Writer → its last event of this kind."""
    return {
        writer: event
        for writer, own in journal.events.items()
        for event in own
        if isinstance(event, kind)
    }


def _add_unknown_end(
    journal: Journal, run: str, source: str, *, is_known: bool, audit: Audit
) -> None:
    """A file of the folder tells of an end that the journal lacks."""
    lacks = "the journal holds nothing of it"
    if is_known:
        lacks = "the journal holds no end of it"
    message = f"{source} says that run {run} ended, and {lacks}"
    audit.incomplete.append(
        Problem(where=str(journal.folder), message=message, hint=RESTORE, code="not-as-recorded")
    )


def _unclosed(journal: Journal, writer: str) -> Problem:
    """A process that is gone without closing its journal."""
    count = len(journal.events[writer])
    message = (
        "its process ended without closing the journal: whether more than these "
        f"{count} events were written cannot be determined"
    )
    where = str(journal.folder / f"{writer}{SUFFIX}")
    return Problem(where=where, message=message, severity="note", code="not-as-recorded")


def _judge_open_end(
    folder: Path,
    journal: Journal,
    event: RunStarted,
    *,
    ended: bool,
    alive: bool | None,
    audit: Audit,
) -> None:
    rows = sum(_rows_in(path) for path in _own_files(folder, event.writer))
    have = f"{len(journal.events[event.writer])} events and {rows} metric rows are there"
    where = str(journal.folder / f"{event.writer}{SUFFIX}")
    if alive and not ended:
        message = f"run {event.run_id} goes on: {have} so far"
        audit.problems.append(
            Problem(where=where, message=message, severity="note", code="not-as-recorded")
        )
        return
    if ended:
        what = f"run {event.run_id} has its end, but no seal"
    else:
        what = f"run {event.run_id} has no end: its process died"
    if alive is None and not ended:
        what = (
            f"run {event.run_id} has no end, and whether its process lives cannot be seen from here"
        )
    message = (
        f"{what}. {have}; whether there were more, and whether they are as written, cannot be "
        "determined"
    )
    audit.unverified.append(
        Problem(where=where, message=message, severity="warning", code="not-as-recorded")
    )


def _is_sidecar(events: Iterable[AnyEvent | Unknown]) -> bool:
    return any(isinstance(event, Opened) and event.purpose == "sidecar" for event in events)


def _ends_said(folder: Path, journal: Journal, runs: Iterable[str]) -> dict[str, str]:
    """Run id → the file in the folder that says that it ended: a manifest, or the last lines of the
    log.
    """
    said: dict[str, str] = {}
    log = folder / places.home(journal.events, text_log.FILE)
    try:
        with open_regular(log) as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    ends = [line for line in lines if _ENDED.search(line)]
    for run_id in runs:
        if any(f" {run_id} " in line for line in ends):
            said[run_id] = log.name
    for path in places.names(folder / places.RUN_MANIFEST):
        run = places.manifest_run(path)
        if run is not None:
            said[run] = path.name
    return said


# ── rows


def _audit_rows(folder: Path, journal: Journal, audit: Audit) -> None:
    ended_files: set[Path] = set()
    hashed = 0
    for event in all_of(journal.events):
        if not isinstance(event, RunEnded | RowsSealed):
            continue
        for sealed in event.files:
            path = folder / sealed.path
            own = path.name.partition(".")[0] == event.writer
            hashed += path not in ended_files and bool(sealed.sha256)
            ended_files.add(path)
            audit.problems += _check_rows(path, sealed, own=own)
    for ended in of_kind(journal.events, RunEnded):
        if ended.metric_rows and not ended.files:
            files = _own_files(folder, ended.writer)
            ended_files |= set(files)
            audit.problems += _check_count(folder, files, ended)
    _audit_strangers(folder, journal, ended_files, audit)
    if hashed:
        audit.verified.append(f"{hashed} files of rows by their hash")


def _check_rows(path: Path, sealed: SealedRows, *, own: bool) -> Iterator[Problem]:
    """A file of rows against its count and hash. Another writer's may have grown since."""
    read, fault = _read(path, sealed.bytes)
    if read is None:
        yield _lost(path, f"{fault}; {sealed.rows} rows were written to it")
        return
    if read.bytes < sealed.bytes or (read.rows < sealed.rows and read.sha256 != sealed.sha256):
        left = read.rows + read.rows_after
        yield _lost(path, f"it holds {left} of {sealed.rows} rows")
    elif sealed.sha256 and read.sha256 != sealed.sha256:
        yield _lost(
            path,
            f"its {sealed.rows} rows are not those that were written: they were changed afterwards",
        )
    elif read.rows != sealed.rows:
        yield _lost(
            path,
            f"it held {read.rows} rows at the run's end, of {sealed.rows} that were acknowledged",
        )
    elif own and read.rows_after:
        yield _lost(path, f"{read.rows_after} rows were added after the run's end")
    elif not sealed.sha256:
        message = (
            f"its {sealed.rows} rows were counted only: no hash could be taken at the run's end"
        )
        yield Problem(where=str(path), message=message, severity="note", code="not-as-recorded")
    if path.is_symlink():
        message = f"a symbolic link to {path.readlink()} has its place"
        yield Problem(
            where=str(path),
            message=message,
            hint="put the file itself there",
            severity="warning",
            code="not-as-recorded",
        )


def _check_count(folder: Path, files: list[Path], ended: RunEnded) -> Iterator[Problem]:
    """The rows of a run whose version kept no hashes."""
    where = str(folder / layout.METRICS / f"{ended.writer}{SUFFIX}")
    count = sum(_rows_in(path) for path in files)
    if count != ended.metric_rows:
        yield _lost(
            Path(where), f"it holds {count} rows, and the run's end says {ended.metric_rows}"
        )
    else:
        message = f"its {count} rows were counted only: the version that wrote them kept no hashes"
        yield Problem(where=where, message=message, severity="note", code="not-as-recorded")


def _audit_strangers(folder: Path, journal: Journal, ended_files: set[Path], audit: Audit) -> None:
    """Files of rows that no end names: a run that died or still runs has such; else a journal is
    missing.
    """
    ended = {event.writer for event in of_kind(journal.events, RunEnded)}
    some_open = any(event.writer not in ended for event in of_kind(journal.events, RunStarted))
    some_old = any(
        event.metric_rows and not event.files for event in of_kind(journal.events, RunEnded)
    )
    for path in sorted((folder / layout.METRICS).glob(f"*{SUFFIX}")):
        writer = path.name.partition(".")[0]
        if path in ended_files or writer in journal.events:
            continue
        message = f"no journal speaks of its {_rows_in(path)} rows"
        if some_open or some_old:
            hint = (
                "a forked process that did not close its run has none; else restore the "
                "journal from a backup"
            )
            audit.unverified.append(
                Problem(
                    where=str(path),
                    message=message,
                    hint=hint,
                    severity="warning",
                    code="not-as-recorded",
                )
            )
        else:
            audit.incomplete.append(
                Problem(
                    where=str(path),
                    message=f"{message}: it is missing",
                    hint=RESTORE,
                    code="file-missing",
                )
            )


def _own_files(folder: Path, writer: str) -> list[Path]:
    return sorted((folder / layout.METRICS).glob(f"{writer}*{SUFFIX}"))


def _rows_in(path: Path) -> int:
    read, _ = _read(path, 0)
    if read is not None:
        return read.rows_after
    return 0


def _lost(path: Path, message: str) -> Problem:
    return Problem(where=str(path), message=message, hint=RESTORE, code="not-as-recorded")


def _read(path: Path, size: int) -> tuple[_Read | None, str]:
    """The file's first bytes, counted and hashed, and the whole lines after them; or why it cannot
    be read.
    """
    digest, left, rows, after = hashlib.sha256(), size, 0, 0
    try:
        with open_regular(path) as file:
            while left and (data := file.read(min(CHUNK, left))):
                digest.update(data)
                rows += data.count(b"\n")
                left -= len(data)
            while data := file.read(CHUNK):
                after += data.count(b"\n")
    except FileNotFoundError:
        return (
            None,
            "a link that leads nowhere has its place" if path.is_symlink() else "it is gone",
        )
    except OSError as error:
        return (
            None,
            "a folder has its place" if path.is_dir() else f"it cannot be read ({error.strerror})",
        )
    return _Read(size - left, rows, digest.hexdigest(), after), ""


# ── tables and manifests


def _audit_tables(folder: Path, events: Iterable[AnyEvent | Unknown], audit: Audit) -> None:
    """Each table against its last seal. A table lies in the run's folder, wherever that is now."""
    sealed = sorted(
        (event for event in events if isinstance(event, TableSealed)), key=lambda event: event.time
    )
    last = {Path(event.path).name: event for event in sealed}
    for name, event in sorted(last.items()):
        audit.problems += _check_table(folder / name, event)
    if last:
        audit.verified.append(f"{len(last)} tables by their hash")


def _check_table(path: Path, sealed: TableSealed) -> Iterator[Problem]:
    read, fault = _read(path, sealed.bytes)
    if read is None:
        yield _lost(path, f"{fault}; {sealed.rows} rows were sealed in it")
    elif read.sha256 != sealed.sha256 or path.stat().st_size != sealed.bytes:
        try:
            rows = len(read_table(path)[0])
        except StorageError:
            rows = -1
        message = f"it holds {max(rows, 0)} rows, and {sealed.rows} were sealed in it"
        if rows == sealed.rows:
            message = f"its {rows} rows are not as they were sealed: it was changed afterwards"
        yield _lost(path, message)
    elif path.is_symlink():
        message = f"a symbolic link to {path.readlink()} has its place"
        yield Problem(
            where=str(path),
            message=message,
            hint="put the file itself there",
            severity="warning",
            code="not-as-recorded",
        )


def _audit_manifests(folder: Path, journal: Journal, audit: Audit) -> None:
    """Each manifest that the journal explains is there, under one of its names."""
    contents = explained(journal.events)
    hint = f"`watchkeeper rebuild {folder}` makes it again"
    for name, known in contents.items():
        tries = [folder / places.home(journal.events, name), *places.names(folder / name)]
        if not any(places.is_plain(path) and is_explained(path, known) for path in tries):
            if places.is_free(tries[0]):
                message = "it is not there"
            else:
                message = "what lies there is not what the journal holds"
            audit.problems.append(
                Problem(where=str(tries[0]), message=message, hint=hint, code="not-as-recorded")
            )
    if contents:
        audit.verified.append(f"{len(contents)} manifests")
