"""The file of metric rows that one process writes. Its format is `runfolder/rows.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from watchkeeper.core import layout
from watchkeeper.core.disk.spill import SLOW_S, SpillingFile
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.runfolder.rows import SUFFIX, encode_row
from watchkeeper.runfolder.values import training_step

LOOK_S = 1.0  # between two looks whether the file is still there


class RowFile:
    """The rows of one writer. Safe from threads and from signal handlers.

    A handler that logs while its own thread is in the middle of writing a row can neither wait for
    that row nor go around it; it gets a file of its own, `<writer>.1.jsonl`.
    """

    def __init__(
        self,
        folder: Path,
        writer: str,
        clock: Clock,
        *,
        depth: int = 0,
        revived: Callable[[Path], None] = lambda path: None,
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        """`revived` gets the path of a file that was deleted under us, and made again; `looked` is
        called after a row, at most once in LOOK_S.
        """
        self._kept = 0
        self._lost = 0
        self._spent_s = 0.0
        self._step: object = None
        self._place = (folder, writer, clock, depth)
        self._revived = revived
        self._looked = looked
        self._look_due = 0.0
        self._inners: dict[None, RowFile] = {}  # at most one
        self._clock = (
            partial(datetime.now, UTC) if clock is utc_now else clock
        )  # the same, a call cheaper
        self._file = SpillingFile(
            folder / layout.METRICS / f"{writer}{f'.{depth}' if depth else ''}{SUFFIX}"
        )
        self._lock = self._file.lock
        self._writing = False

    @property
    def kept(self) -> int:
        """How many rows were acknowledged."""
        return self._kept + sum(inner.kept for inner in self._inners.values())

    @property
    def last_step(self) -> int | float | None:
        """The training step of the last row; None: it has none, or there is no row."""
        return training_step(self._step)

    @property
    def files(self) -> list[tuple[Path, int, int]]:
        """Each file that holds rows, with how many were acknowledged, and their bytes."""
        if self._file.size_bytes:
            own = [(self._file.path, self._kept, self._file.size_bytes)]
        else:
            own = []
        return own + [facts for inner in self._inners.values() for facts in inner.files]

    @property
    def lost(self) -> int:
        """How many rows could not be written."""
        return self._lost + sum(inner.lost for inner in self._inners.values())

    @property
    def spent_s(self) -> float:
        """How long writing rows has taken so far, in seconds."""
        return self._spent_s + sum(inner.spent_s for inner in self._inners.values())

    def append(self, step: object, metrics: dict[str, Any]) -> None:
        """Append a row. On return the death of the process loses nothing of it.

        Raises:
            StorageError: it could not be written, and is counted as lost.
        """
        began = perf_counter()
        with self._lock:
            if self._writing:
                self._for_handler().append(step, metrics)
                return
            self._writing = True
            try:
                self._file.put(encode_row(self._clock(), step, metrics))
                self._kept += 1
                self._step = step
                if began > self._look_due:
                    self._look(began)
                took = perf_counter() - began
                self._spent_s += took
                if took > SLOW_S:
                    self._file.was_slow()
            except BaseException:
                self._lost += 1
                raise
            finally:
                self._writing = False

    def _look(self, now: float) -> None:
        """Whether the file is still there: who deletes a run's folder while it runs is not to lose
        its rows.
        """
        self._look_due = now + LOOK_S
        if self._file.revive():
            self._revived(self._file.path)
        if not self._file.spilling:  # what else is written might hang
            self._looked()

    def _for_handler(self) -> RowFile:
        """The file that a signal handler writes to while this one is being written: it
        cannot wait.
        """
        folder, writer, clock, depth = self._place
        # setdefault is one step: a handler that interrupts a handler here cannot make a second one.
        return self._inners.setdefault(None, RowFile(folder, writer, clock, depth=depth + 1))

    def close(self) -> None:
        """Make the rows survive the node's death, and close the files.

        Raises:
            StorageError: they could not be synced; they are still in the files.
        """
        try:
            for inner in self._inners.values():
                inner.close()
            self._look(perf_counter())
            self._file.sync()
        finally:
            self._file.close()
