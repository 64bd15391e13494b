"""Has the work advanced, and is it time to worry: what grows in the run's folder, and how long it
usually takes to.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from glob import iglob
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.tails import end_of_file
from watchkeeper.runfolder.printed import Position, position

FLOOR_S = 600.0  # no pause shorter than this is a stall, unless a limit was set
PAUSES = 5  # times the longest pause so far
TAIL_BYTES = 8_192  # of a file, in which the last step is looked for
GROWING = (
    layout.METRICS,
    layout.TABLES,
    layout.EXAMPLES,
    layout.JOURNAL,
)


class _Row(msgspec.Struct, frozen=True):
    """What is read here of a metric row."""

    step: int | float | str | None = None


_row = msgspec.json.Decoder(_Row)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `where` is how far the work said it is; `rows`, `grown` and `others` are bytes:
    metric rows and output, what else the recorder keeps, and the files that a user named (with
    their times).
    """

    where: Position = Position()
    rows: int = 0
    grown: int = 0
    others: int = 0

    def is_beyond(self, before: Seen) -> bool:
        """Whether the work has advanced since. Rows and output that repeat a step are none."""
        if self.grown != before.grown or self.others != before.others:
            return True
        if self.where.step is not None and before.where.step is not None:
            return self.where != before.where
        return self.rows != before.rows


class Eye:
    """Looks at a run's folder; remembers sizes, so that only what has grown is read."""

    def __init__(
        self, folder: Path, output: Iterable[str] = (), files: Iterable[str] = (), own: str = ""
    ) -> None:
        """`own` is the journal's file that the looker writes itself."""
        self._folder = folder
        self._output = [folder / name for name in output]
        self._files = list(files)
        self._own = own
        self._sizes: dict[str, int] = {}
        self._where = Position()

    def look(self) -> Seen:
        """What is there now. A folder that is gone holds nothing."""
        rows = sum(
            self._size(path, self._last_row) for path in _files_in(self._folder / layout.METRICS)
        )
        rows += sum(self._size(path, self._last_line) for path in self._output)
        grown = 0
        for place in GROWING[1:]:
            grown += sum(
                _size(path) for path in _files_in(self._folder / place) if path.name != self._own
            )
        return Seen(where=self._where, rows=rows, grown=grown, others=self._others())

    def _size(self, path: Path, read: object) -> int:
        size = _size(path)
        if size != self._sizes.get(str(path), 0) and callable(read):
            self._sizes[str(path)] = size
            last = read(end_of_file(path, TAIL_BYTES))
            if last is not None:
                self._where = last
        return size

    def _last_row(self, tail: bytes) -> Position | None:
        for line in reversed(tail.split(b"\n")[:-1]):
            with contextlib.suppress(msgspec.DecodeError, RecursionError):
                step = _row.decode(line).step
                if isinstance(step, int | float):
                    return Position(step=step)
        return None

    def _last_line(self, tail: bytes) -> Position | None:
        return position(tail.decode("utf-8", "replace"))

    def _others(self) -> int:
        total = 0
        for pattern in self._files:
            for name in iglob(os.path.join(self._folder, pattern), recursive=True):  # noqa: PTH207 - it may be absolute
                with contextlib.suppress(OSError):
                    status = Path(name).stat()
                    total += status.st_size + status.st_mtime_ns
        return total


class Pace:
    """How long the work goes without an advance, against how long it usually does. Times are of a
    monotonic clock.
    """

    def __init__(self, now: float, limit_s: float | None = None) -> None:
        """`limit_s` None: PAUSES times the longest pause so far, and FLOOR_S at least."""
        self.longest_s = 0.0
        """The longest pause between two advances so far; 0 before the second."""
        self.since = now
        """When the last advance was seen, or the watch began."""
        self._limit_s = limit_s
        self._advances = 0

    @property
    def limit_s(self) -> float:
        """A pause longer than this is a stall."""
        if self._limit_s is not None:
            return self._limit_s
        return max(FLOOR_S, PAUSES * self.longest_s)

    def advanced(self, now: float) -> None:
        """There was an advance."""
        if self._advances:
            self.longest_s = max(self.longest_s, now - self.since)
        self._advances += 1
        self.since = now

    def is_stalled(self, now: float) -> bool:
        """Whether the pause is too long."""
        return now - self.since >= self.limit_s

    def words(self) -> str:
        """What the limit is, and why."""
        if self._limit_s is not None:
            return f"{self._limit_s:g} s, as set"
        if self.limit_s > FLOOR_S:
            return f"{self.limit_s:.0f} s, {PAUSES} times the longest pause so far"
        return f"{FLOOR_S:.0f} s, the least (the longest pause so far was {self.longest_s:.1f} s)"


def _files_in(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder)]
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
