"""How far loops are: a bar where a person looks on, a line now and then elsewhere, and the journal at the slow cadence."""

from __future__ import annotations

import contextlib
import operator
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from watchkeeper.core.words import clock
from watchkeeper.record.values import number, text

T = TypeVar("T")

LINE_S = 30.0  # between two lines of one loop, where no bar is drawn
EVENT_S = 60.0  # between two events of one run
SHORT_S = 1.0  # between the ends of two outermost loops that are both written down
NAME_LIMIT = 200  # characters of a loop's name


def line(what: str, done: int, total: int | None, unit: str, elapsed_s: float, *, ended: bool) -> str:
    """`train: 1,200/12,487 it, 10 %, 40.0 it/s, 0:30 so far, 4:42 left`. Pure."""
    parts = [f"{done:,}/{total:,} {unit}" if total is not None else f"{done:,} {unit}"]
    if total:
        parts.append(f"{100 * done / total:.0f} %")
    rate = rate_of(done, elapsed_s)
    if rate is not None:
        parts.append(f"{rate:.3g} {unit}/s" if rate < 1000 else f"{rate:,.0f} {unit}/s")
    if ended:
        parts.append(f"{'done' if total is None or done >= total else 'stopped'} after {clock(elapsed_s)}")
    else:
        parts.append(f"{clock(elapsed_s)} so far")
        left = eta_of(done, total, elapsed_s)
        if left is not None:
            parts.append(f"{clock(left)} left")
    return f"{what}: " + ", ".join(parts)


def rate_of(done: int, elapsed_s: float) -> float | None:
    """Items a second since the loop began; None before the first."""
    return done / elapsed_s if done > 0 and elapsed_s > 0 else None


def eta_of(done: int, total: int | None, elapsed_s: float) -> float | None:
    """Seconds to the end at the rate so far; None where nobody can tell."""
    rate = rate_of(done, elapsed_s)
    return max(0.0, (total - done) / rate) if rate is not None and total is not None else None


class Book:
    """The loops of one run: who is outermost, and when something was last written down."""

    def __init__(
        self,
        write: Callable[..., None],
        *,
        warn: Callable[[str, str], None] = lambda about, message: None,
        may_stop: Callable[[int], None] = lambda depth: None,
        monotonic: Callable[[], float] = time.monotonic,
        shows: bool = True,
    ) -> None:
        """`write` is told the fields of a `Progressed`; `may_stop(depth)` is called between two items, and raises when
        the run was asked to stop and may stop there; `shows` says whether bars and lines are for this process to print.
        """
        self.write = write
        self.warn = warn
        self.may_stop = may_stop
        self.monotonic = monotonic
        self.shows = shows
        self.outer: Progress[Any] | None = None
        self.event_due = monotonic()
        self._local = threading.local()

    def enter(self, loop: Progress[Any]) -> int:
        """A loop begins in this thread; returns how many it is inside of."""
        depth: int = getattr(self._local, "depth", 0)
        self._local.depth = depth + 1
        if depth == 0:
            self.outer = loop
        return depth

    def leave(self) -> None:
        """The innermost loop of this thread ends."""
        self._local.depth = max(0, getattr(self._local, "depth", 0) - 1)


class Progress(Generic[T]):
    """One loop. Iterate over it; or use it in a `with`, and call `update` for what is done."""

    def __init__(
        self,
        book: Book,
        iterable: Iterable[T] | None = None,
        desc: str = "",
        *,
        unit: str = "it",
        total: int | None = None,
        leave: bool | None = None,
    ) -> None:
        self.what = text(desc or "progress", NAME_LIMIT)
        self.unit = text(unit, NAME_LIMIT)
        self.done = 0
        """Items completed: the one in work is not among them."""
        self.total = _total(iterable, total)
        self.depth = 0
        self._book = book
        self._items: Iterable[T] = () if iterable is None else iterable
        self._leave = leave
        self._pid = os.getpid()
        self._bar: Any = None
        self._began = self._line_due = self._due = 0.0
        self._running = False
        self._told = False  # an event of its own was written

    @property
    def elapsed_s(self) -> float:
        """Since the loop began, in seconds."""
        return self._book.monotonic() - self._began

    @property
    def draws(self) -> bool:
        """Whether a bar of it is on the screen."""
        return self._bar is not None

    def __iter__(self) -> Iterator[T]:
        self._begin()
        may_stop, depth = self._book.may_stop, self.depth
        try:
            for item in self._items:
                may_stop(depth)
                yield item
                self.update()
        finally:
            self._end()

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def update(self, n: int = 1) -> None:
        """`n` more items are completed."""
        try:
            self.done += n
            if self._bar is not None:
                self._bar.update(n)
            if self._book.monotonic() >= self._due:
                self._tell()
        except Exception as error:
            self._book.warn("progress", f"the progress of {self.what} could not be shown: {error}")

    def _begin(self) -> None:
        if self._running:
            return
        self._running = True
        self.depth = self._book.enter(self)
        now = self._book.monotonic()
        self._began, self._line_due = now, now + LINE_S
        with contextlib.suppress(Exception):
            self._bar = self._draw()
        with contextlib.suppress(Exception):
            self._tell()

    def _draw(self) -> Any:
        """A bar, where standard error is a terminal and tqdm is installed; None elsewhere."""
        if not self._book.shows or sys.stderr is None or not sys.stderr.isatty():
            return None
        try:
            tqdm = import_module("tqdm").tqdm  # only where a bar is drawn: the recorder does not need it
        except ImportError:
            return None
        leave = self.depth == 0 if self._leave is None else self._leave
        return tqdm(total=self.total, desc=self.what, unit=self.unit, leave=leave, file=sys.stderr, dynamic_ncols=True)

    def _tell(self) -> None:
        now = self._book.monotonic()
        if self._bar is None and now >= self._line_due:
            self._line_due = now + LINE_S
            self._say(ended=False)
        if now >= self._book.event_due:
            self._write(ended=False)
        self._due = self._book.event_due if self._bar is not None else min(self._line_due, self._book.event_due)

    def _say(self, *, ended: bool) -> None:
        if self._book.shows and sys.stderr is not None and os.getpid() == self._pid:
            words = line(self.what, self.done, self.total, self.unit, self.elapsed_s, ended=ended)
            sys.stderr.write(" ".join(words.split()) + "\n")
            sys.stderr.flush()

    def _write(self, *, ended: bool) -> None:
        self._book.event_due = self._book.monotonic() + EVENT_S
        if os.getpid() != self._pid:
            return
        self._told = True
        elapsed = self.elapsed_s
        rate, eta = rate_of(self.done, elapsed), eta_of(self.done, self.total, elapsed)
        self._book.write(
            what=self.what,
            done=self.done,
            unit=self.unit,
            elapsed_s=round(elapsed, 3),
            total=self.total,
            rate_per_s=None if rate is None else round(rate, 6),
            eta_s=None if eta is None else round(eta, 3),
            depth=self.depth,
            ended=ended,
        )

    def _end(self) -> None:
        if not self._running:
            return
        self._running = False
        self._book.leave()
        if self._book.outer is self:
            self._book.outer = None
        with contextlib.suppress(Exception):
            if self._bar is not None:
                self._bar.close()
                self._bar = None
            elif self.depth == 0 if self._leave is None else self._leave:
                self._say(ended=True)
        with contextlib.suppress(Exception):
            now = self._book.monotonic()
            last = self._book.event_due - EVENT_S
            if self.depth == 0 and (self._told or now - last >= SHORT_S):
                self._write(ended=True)


def _total(iterable: object, given: object) -> int | None:
    """How many items there are: as told, else as the iterable says; None where nobody can tell."""
    with contextlib.suppress(Exception):
        if given is not None:
            found = number(given)
            return int(found) if isinstance(found, int | float) and found >= 0 else None
        hint = -1 if iterable is None else operator.length_hint(iterable, -1)
        return hint if hint >= 0 else None
    return None
