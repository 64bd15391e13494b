"""What a run was handed and does not keep, counted by kind: after its end, in a process that does
not record, or beyond what a command's output is read for.
"""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import sys
import threading
from collections import Counter
from collections.abc import Mapping

KINDS = (
    "metric rows",
    "lost rows",
    "table rows",
    "checkpoints",
    "outputs",
    "totals",
    "examples",
    "others",
)
# one for each process, by its id; two that share one at the same moment may lose a count
SLOTS = 512
_NUMBER = 8  # bytes

WORDS = {
    "cadence_set": "cadences",
    "checkpoint": "checkpoints",
    "interrupted": "requests to stop",
    "progressed": "progress",
    "table_opened": "tables",
    "table_sealed": "tables",
    "timed_out": "timeouts",
}
"""What an event is called that comes after the end."""


class LeftOut:
    """Counts, in this process and in those that it forks. Safe from threads and signal handlers."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._page: mmap.mmap | None = None
        self._owner = os.getpid()

    def add(self, what: str, count: int = 1) -> None:
        """So many more of this kind."""
        with self._lock:
            self._counts[what] += count
            if self._page is not None and os.getpid() != self._owner:
                self._add_to_page(self._page, what, count)

    def _add_to_page(self, page: mmap.mmap, what: str, count: int) -> None:
        """Count in memory that processes share, without a lock: each has its own slot, by its
        number.
        """
        kind = KINDS.index(what if what in KINDS else "others")
        at = ((os.getpid() % SLOTS) * len(KINDS) + kind) * _NUMBER
        page[at : at + _NUMBER] = (
            int.from_bytes(page[at : at + _NUMBER], "little") + count
        ).to_bytes(_NUMBER, "little")

    def before_fork(self) -> None:
        """Have memory that the child's counts are added to."""
        if self._page is None and os.getpid() == self._owner:
            self._page = mmap.mmap(-1, SLOTS * len(KINDS) * _NUMBER)

    def after_fork(self) -> None:
        """In the child: what the parent has counted is the parent's."""
        self._counts.clear()
        self._lock = threading.RLock()

    def take(self) -> Counter[str]:
        """What was counted so far, by kind, forked processes included; from here on the count
        begins anew.
        """
        with self._lock:
            taken, self._counts = self._counts, Counter()
            if self._page is not None and os.getpid() == self._owner:
                numbers = memoryview(self._page).cast("Q").tolist()
                self._page = None
                for kind, name in enumerate(KINDS):
                    taken[name] += sum(numbers[kind :: len(KINDS)])
            return +taken


def words_of(counts: Mapping[str, int]) -> str:
    """`metric rows 100, checkpoints 2`; "" for nothing."""
    return ", ".join(f"{what} {count:,}" for what, count in counts.items() if count)


_after_the_end: dict[str, LeftOut] = {}  # by run id
_starter: list[int] = []


def say_at_exit(run_id: str, left_out: LeftOut) -> None:
    """When the process ends, say how much the run was handed after its end."""
    if not _starter:
        _starter.append(os.getpid())
        atexit.register(_say)
    _after_the_end[run_id] = left_out


def _say() -> None:
    """Say at the end of the process what was handed to runs after their end, where it was more than
    the one thing of which a warning spoke.
    """
    if _starter != [os.getpid()] or sys.stderr is None:
        return
    for run_id, left_out in _after_the_end.items():
        counts = left_out.take()
        if counts.total() > 1:  # of one thing the warning has said all
            with contextlib.suppress(Exception):
                sys.stderr.write(
                    f"watchkeeper: run {run_id}: handed to it after its end, and not kept: "
                    f"{words_of(counts)}\n"
                )
                sys.stderr.flush()
