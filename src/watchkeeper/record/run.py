"""A run as the user's own process records it.

Starting a run may fail, with a clear error. From then on nothing here raises into the user's loop: what cannot be
written is said once, counted, and told at the end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from watchkeeper.core import files
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import (
    Checkpoint,
    CheckpointFile,
    Event,
    RunEnded,
    RunStarted,
    StepFinished,
    StepStarted,
    TableSealed,
)
from watchkeeper.core.ids import run_id as new_run_id
from watchkeeper.core.journal import Clock, Writer, utc_now
from watchkeeper.record import attempt as attempts
from watchkeeper.record.cells import FORMATS
from watchkeeper.record.rows import RowFile
from watchkeeper.record.step import Step
from watchkeeper.record.tables import Table
from watchkeeper.record.values import config_fields, number, text

JOURNAL = Path(".watchkeeper/journal")
ERROR_LIMIT = 2_000  # characters of an exception's message in an event

log = logging.getLogger("watchkeeper")
_runs: weakref.WeakSet[Run] = weakref.WeakSet()


class _Hands:
    """What one process writes with. A forked child gets its own: ids, files and locks; and so does a signal handler that
    comes in the middle of an event, since a writer's events are in one order.
    """

    def __init__(self, folder: Path, pipeline: str, clock: Clock) -> None:
        self.pid = os.getpid()
        self.writer = Writer(folder / JOURNAL, pipeline, clock=clock)
        self.rows = RowFile(folder, self.writer.id, clock)
        self.said: set[str] = set()
        self.ended = False
        self._place = (folder, pipeline, clock)
        self._inners: dict[None, _Hands] = {}  # at most one
        self._lock = threading.RLock()
        self._writing = False

    def write(self, kind: type[Event], **fields: object) -> None:
        """Append one event to the journal; raises what `Writer.write` raises."""
        with self._lock:
            if self._writing:
                # setdefault is one step: a handler that interrupts a handler here cannot make a second one.
                self._inners.setdefault(None, _Hands(*self._place)).write(kind, **fields)
                return
            self._writing = True
            try:
                self.writer.write(kind, **fields)
            finally:
                self._writing = False

    def close(self) -> None:
        """Seal and close the journal's files."""
        try:
            for inner in self._inners.values():
                inner.close()
        finally:
            self.writer.close()


class Run:
    """A recorded run, from `start_run` to the end of its `with`."""

    run_id: str
    """Sorts by time, unique across hosts."""
    folder: Path
    """Absolute: everything that the run leaves is below it."""

    def __init__(self, folder: Path, run_id: str, pipeline: str, config: dict[str, Any], clock: Clock) -> None:
        self.run_id = run_id
        self.folder = folder
        self._pipeline = pipeline
        self._clock = clock
        self._began = time.monotonic()
        self._tables: list[Table] = []
        self._hands = _Hands(folder, pipeline, clock)
        self._starter = self._hands.pid
        attempt = attempts.find()
        self._hands.write(
            RunStarted,
            run_id=run_id,
            pipeline=pipeline,
            folder=str(folder),
            attempt=str(attempt.folder) if attempt else "",
            job_id=attempt.job_id if attempt else "",
            config=config,
        )
        _runs.add(self)
        if attempt:
            with self._harmless("where the run is could not be left for the watcher"):
                attempts.leave_word(attempt, folder=folder, run_id=run_id, writer=self._hands.writer.id)

    # ── for the user ────────────────────────────────────────────────────────────────────────────────────────────────

    def log(self, step: int | None, /, **metrics: object) -> None:
        """Keep one row of metrics of a training step, counted from 1; None for no step.

        On return the death of the process loses nothing of it. Numbers of any kind are kept, non-finite ones too; other
        values are kept as bounded text. A row that cannot be written is counted (`lost_rows` of `run_ended`).
        """
        hands = self._hands
        try:
            hands.rows.append(step, metrics)
        except Exception as error:
            self._warn("rows", f"a metric row could not be written, and later ones may be lost too: {error}")

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A named stage: its begin, its end, its duration, and what the yielded `Step` was told."""
        stage = Step(text(name))
        began = time.monotonic()
        self._write(StepStarted, step=stage.name)
        failure = ""
        try:
            yield stage
        except BaseException as error:
            failure = _words(error)
            raise
        finally:
            if stage.not_numbers:
                names = ", ".join(dict.fromkeys(stage.not_numbers))
                self._warn(f"step {name}", f"step {stage.name}: no numbers, and left out: {names}")
            self._write(
                StepFinished,
                step=stage.name,
                duration_s=round(time.monotonic() - began, 6),
                row_count_in=stage.row_count_in,
                row_count_out=stage.row_count_out,
                metrics=dict(stage.key_metrics),
                error=failure,
            )

    def checkpoint(self, path: str | os.PathLike[str], training_step: int | None = None) -> None:
        """Say that a checkpoint, a file or a folder, is complete on disk. Its files and their sizes are looked up; where
        there are none, nothing is written down but a warning.
        """
        with self._harmless(f"the checkpoint {path} could not be recorded"):
            place = Path(path).absolute()
            found = _checkpoint_files(place)
            if not found:
                self._warn(f"checkpoint {place}", f"no checkpoint recorded: there is no file at {place}")
                return
            step = number(training_step)
            self._write(
                Checkpoint, path=str(place), files=found, training_step=int(step) if isinstance(step, int | float) else None
            )

    def table(self, name: str, key: str | Sequence[str] | None = None, format: str = "csv") -> Table:
        """A result table of this run; use it in a `with`, which seals it: `<name>_partial.csv` becomes `<name>.csv`.

        With `key`, the columns that tell one configuration from another, the rows of an earlier execution in the same
        folder are taken over, and `configuration in table` says what was measured. `format` is `csv` or `jsonl`.
        """
        if format not in FORMATS:
            self._warn(f"format {format}", f"table {name}: no format {format!r}, only csv and jsonl; it is written as csv")
        table = Table(
            self.folder,
            name,
            key=key,
            form=FORMATS.get(format, FORMATS["csv"]),
            clock=self._clock,
            seal=lambda **fields: self._write(TableSealed, **fields),
            warn=self._warn,
            cut_short=lambda: bool(getattr(self, "should_stop", False)),
        )
        self._tables.append(table)
        return table

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self._end("")
        else:
            self._end(_words(error))

    # ── within ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _end(self, failure: str) -> None:
        """Write the end, once, in the process that started the run; a forked child only closes its own files."""
        hands = self._hands
        if hands.ended:
            return
        hands.ended = True
        for table in self._tables:
            table.close(complete=False)
        with self._harmless("the metric rows could not be synced to disk"):
            hands.rows.close()
        if hands.pid == self._starter:
            self._write(
                RunEnded,
                status="failed" if failure else "finished",
                duration_s=round(time.monotonic() - self._began, 6),
                error=failure,
                metric_rows=hands.rows.kept,
                lost_rows=hands.rows.lost,
            )
        with self._harmless("the journal could not be sealed"):
            hands.close()
        _runs.discard(self)

    def _write(self, kind: type[Event], **fields: object) -> None:
        with self._harmless(f"{kind.__struct_config__.tag} could not be written down"):
            self._hands.write(kind, **fields)

    @contextlib.contextmanager
    def _harmless(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._warn(what, f"{what}: {error}")

    def _warn(self, about: str, message: str) -> None:
        """Say it once a process, and never let a logging handler of the user's stop the user's loop."""
        if about in self._hands.said:
            return
        self._hands.said.add(about)
        with contextlib.suppress(Exception):
            log.warning("run %s: %s", self.run_id, message)

    def _after_fork(self) -> None:
        """In the child: the parent's files and locks are the parent's."""
        self._hands = _Hands(self.folder, self._pipeline, self._clock)


def _give_children_their_own() -> None:
    for run in list(_runs):
        run._after_fork()


os.register_at_fork(after_in_child=_give_children_their_own)


def _words(error: BaseException) -> str:
    """`ValueError: message`, bounded."""
    try:
        message = str(error)
    except Exception:
        message = "(its message could not be made)"
    return text(f"{type(error).__name__}: {message}" if message else type(error).__name__, limit=ERROR_LIMIT)


def _checkpoint_files(place: Path) -> tuple[CheckpointFile, ...]:
    """The files of a checkpoint with their sizes, sorted by path; temporaries left out."""
    if place.is_file():
        return (CheckpointFile(path=place.name, size_bytes=place.stat().st_size),)
    found = sorted(path for path in place.rglob("*") if path.is_file() and not path.name.startswith(files.TEMPORARY_PREFIX))
    return tuple(CheckpointFile(path=str(path.relative_to(place)), size_bytes=path.stat().st_size) for path in found)


def start_run(
    root: str | os.PathLike[str] | None = None,
    *,
    pipeline: str,
    config: object = None,
    folder: str | os.PathLike[str] | None = None,
    clock: Clock = utc_now,
) -> Run:
    """Start recording a run; use it in a `with`, which writes the end and raises again what was raised in it.

    The run's folder is `root/<run_id>`, or exactly `folder`. `config` is a mapping, a dataclass or a namespace.

    Raises:
        UsageError: neither root nor folder, both, no pipeline, or a config of the wrong type.
        StorageError: the folder cannot be made, or written to.
    """
    if (root is None) == (folder is None):
        raise UsageError(
            "start_run needs root or folder, and not both",
            hint='start_run("artifacts/training", pipeline="training") makes a folder of its own for each run',
        )
    if not pipeline:
        raise UsageError("start_run needs a pipeline's name", hint='start_run("artifacts/training", pipeline="training")')
    fields = config_fields(config)
    run_id = new_run_id(clock())
    place = Path(folder).absolute() if folder is not None else Path(root or ".").absolute() / run_id
    files.make_folder(place)
    return Run(place, run_id, text(pipeline), fields, clock)
