"""What one process writes with: its journal's file, its metric rows."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TypeVar

from watchkeeper.core.events import Event
from watchkeeper.core.journal import Clock, Writer
from watchkeeper.record.manifest import JOURNAL
from watchkeeper.record.rows import RowFile

E = TypeVar("E", bound=Event)


class Hands:
    """A process's own ids, files and locks. A forked child gets its own; and so does a signal handler that comes in the
    middle of an event, since a writer's events are in one order.
    """

    def __init__(self, folder: Path, pipeline: str, clock: Clock) -> None:
        self.pid = os.getpid()
        self.writer = Writer(folder / JOURNAL, pipeline, clock=clock)
        self.rows = RowFile(folder, self.writer.id, clock)
        self.said: set[str] = set()
        self.ended = False
        self._spent_s = 0.0
        self._place = (folder, pipeline, clock)
        self._inners: dict[None, Hands] = {}  # at most one
        self._lock = threading.RLock()
        self._writing = False

    @property
    def spent_s(self) -> float:
        """How long writing has taken so far, in seconds."""
        return self._spent_s + self.rows.spent_s

    def write(self, kind: type[E], **fields: object) -> E:
        """Append one event to the journal and return it; raises what `Writer.write` raises."""
        with self._lock:
            if self._writing:
                # setdefault is one step: a handler that interrupts a handler here cannot make a second one.
                return self._inners.setdefault(None, Hands(*self._place)).write(kind, **fields)
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
