"""What one process writes with: its journal's file, its metric rows; or, where another one records,
a heartbeat.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import Event
from watchkeeper.core.journal import Clock, Writer
from watchkeeper.record.ranks import Rank
from watchkeeper.record.writing.row_file import RowFile
from watchkeeper.runfolder.telemetry import BEAT_BYTES, BEAT_S

E = TypeVar("E", bound=Event)


class ProcessWriter:
    """A process's own ids, files and locks. A forked child gets its own; and so does a signal
    handler that comes in the middle of an event, since a writer's events are in one order.
    """

    def __init__(
        self,
        folder: Path,
        pipeline: str,
        clock: Clock,
        *,
        revived: Callable[[Path], None] = lambda path: None,
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        """`revived` gets the path of a file of rows that was deleted under us, and made again;
        `looked` is called now and then after a row.
        """
        self.pid = os.getpid()
        self.writer = Writer(folder / layout.JOURNAL, pipeline, clock=clock)
        self.rows = RowFile(folder, self.writer.id, clock, revived=revived, looked=looked)
        self.said: set[str] = set()
        self.ended = False
        self._spent_s = 0.0
        self._place = (folder, pipeline, clock)
        self._inners: dict[None, ProcessWriter] = {}  # at most one
        self._lock = threading.RLock()
        self._writing = False

    @property
    def spent_s(self) -> float:
        """How long writing has taken so far, in seconds."""
        return self._spent_s + self.rows.spent_s

    @property
    def is_writing(self) -> bool:
        """Whether an event is being written: by another thread, or below this signal handler."""
        return self._writing

    def write(self, kind: type[E], **fields: object) -> E:
        """Append one event to the journal and return it; raises what `Writer.write` raises."""
        with self._lock:
            if self._writing:
                # setdefault is one step: a handler that interrupts a handler here cannot make a
                # second one.
                return self._inners.setdefault(None, ProcessWriter(*self._place)).write(
                    kind, **fields
                )
            self._writing = True
            began = time.perf_counter()
            try:
                return self.writer.write(kind, **fields)
            finally:
                self._writing = False
                self._spent_s += time.perf_counter() - began

    def close(self) -> None:
        """Seal and close the journal's files."""
        try:
            for inner in self._inners.values():
                inner.close()
        finally:
            self.writer.close()


class SilentWriter(ProcessWriter):
    """The hands of a process that records nothing, since another one does: rank 3 while rank 0
    records, or a worker that fetches data (`rank` None). A rank leaves a heartbeat in
    `.watchkeeper/heartbeats/rank-3`.
    """

    def __init__(
        self,
        folder: Path,
        pipeline: str,
        clock: Clock,
        rank: Rank | None,
        *,
        refuse: Callable[[str], object],
        left_out: Callable[[], str],
    ) -> None:
        """`refuse` is called with the kind of what is not kept here; `left_out` counts it."""
        super().__init__(folder, pipeline, clock)
        self._clock = clock
        self.rows = _Beats(folder, self.writer.id, clock, rank, refuse=refuse, left_out=left_out)
        self.rows.beat("started")

    def write(self, kind: type[E], **fields: object) -> E:
        """The event, written nowhere."""
        return kind(time=self._clock(), writer=self.writer.id, seq=0, **fields)

    def close(self) -> None:
        """Nothing was opened."""


class _Beats(RowFile):
    """In the place of rows: a heartbeat that says how far this process is, two a minute from each
    node at most.
    """

    def __init__(
        self,
        folder: Path,
        writer: str,
        clock: Clock,
        rank: Rank | None,
        *,
        refuse: Callable[[str], object],
        left_out: Callable[[], str],
    ) -> None:
        super().__init__(folder, writer, clock)
        self._now, self._rank, self._refuse, self._left_out = clock, rank, refuse, left_out
        self._path = folder / layout.HEARTBEATS / f"rank-{rank.number}" if rank else None
        self._due = 0.0

    def append(self, step: object, metrics: object) -> None:
        """A row of this process: nothing is kept of it but the step."""
        del metrics
        self._refuse("metric rows")
        if self._path is not None and time.monotonic() >= self._due:
            self.beat(f"at step {step}")

    def beat(self, words: str) -> None:
        """Leave a heartbeat. Failures are ignored: a reader sees that it stands still."""
        if self._path is None or self._rank is None:
            return
        self._due = time.monotonic() + BEAT_S * self._rank.local
        said = (
            f"{self._now():%Y-%m-%dT%H:%M:%SZ} rank {self._rank.number} of {self._rank.world}, "
            f"pid {os.getpid()}, {words}"
        )
        with contextlib.suppress(StorageError, OSError):
            files.make_folder(self._path.parent)
            beat = files.FixedFile(self._path, size_bytes=BEAT_BYTES)
            beat.write(said.encode("ascii", "replace").decode()[: BEAT_BYTES - 1])
            beat.close()

    def close(self) -> None:
        """The last heartbeat: it ended, and how much was not kept."""
        words = self._left_out()
        self.beat(f"not kept: {words}; ended" if words else "ended")
