"""How far loops are: a bar where a person looks on, a line now and then elsewhere, and the journal
at the slow cadence.
"""

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

from watchkeeper.core.text.figures import clock
from watchkeeper.runfolder.values import number, text

T = TypeVar("T")

LINE_S = 30.0  # between two lines of one loop, where no bar is drawn
EVENT_S = 60.0  # between two events of one run
SHORT_S = 1.0  # between the ends of two outermost loops that are both written down
NAME_LIMIT = 200  # characters of a loop's name


def line(
    what: str,
    done: float,
    total: float | None,
    unit: str,
    elapsed_s: float,
    *,
    ended: bool,
    postfix: str = "",
    since: float = 0,
) -> str:
    """`train: 1,200/12,487 it, 10 %, 40.0 it/s, 0:30 so far, 4:42 left, loss=0.5`. Pure."""
    parts = [f"{done:,}/{total:,} {unit}" if total is not None else f"{done:,} {unit}"]
    if total:
        parts.append(f"{100 * done / total:.0f} %")
    rate = rate_of(done - since, elapsed_s)
    if rate is not None:
        parts.append(f"{rate:.3g} {unit}/s" if rate < 1000 else f"{rate:,.0f} {unit}/s")
    if ended:
        parts.append(
            f"{'done' if total is None or done >= total else 'stopped'} after {clock(elapsed_s)}"
        )
    else:
        parts.append(f"{clock(elapsed_s)} so far")
        left = eta_of(done, total, elapsed_s, since)
        if left is not None:
            parts.append(f"{clock(left)} left")
    if postfix:
        parts.append(postfix)
    return f"{what}: " + ", ".join(parts)


def rate_of(done: float, elapsed_s: float) -> float | None:
    """Items a second since the loop began; None before the first."""
    if done > 0 and elapsed_s > 0:
        return done / elapsed_s
    return None


def eta_of(done: float, total: float | None, elapsed_s: float, since: float = 0) -> float | None:
    """Seconds to the end at the rate so far, of a loop that began at `since`; None where it is not
    known.
    """
    rate = rate_of(done - since, elapsed_s)
    if rate is not None and total is not None:
        return max(0.0, (total - done) / rate)
    return None


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
        """`write` gets the fields of a `Progressed`; `may_stop(depth)` is called between two
        items, and raises when the run was asked to stop and may stop there; `shows` says whether
        bars and lines are for this process to print.
        """
        self.write = write
        self.warn = warn
        self.may_stop = may_stop
        self.monotonic = monotonic
        self.shows = shows
        self.outer: Progress[Any] | None = None
        self.open_loops: list[Progress[Any]] = []
        self.event_due = monotonic()
        self._local = threading.local()

    @property
    def depth(self) -> int:
        """How many loops this thread is inside of."""
        return getattr(self._local, "depth", 0)

    def enter(self, loop: Progress[Any]) -> None:
        """A loop begins in this thread, and others may begin within it."""
        if self.depth == 0:
            self.outer = loop
        self._local.depth = self.depth + 1

    def close(self) -> None:
        """End the loops that nobody has ended: bars made by hand, generators that are kept."""
        for loop in reversed(self.open_loops.copy()):
            loop.close()

    def leave(self) -> None:
        """The innermost loop of this thread ends."""
        self._local.depth = max(0, getattr(self._local, "depth", 0) - 1)


class Progress(Generic[T]):
    """One loop. Iterate over it; or make it by hand, call `update` for what is done, and `close`,
    or use it in a `with`. It has tqdm's methods, and does what they do where a bar is drawn;
    elsewhere its lines say the same.
    """

    def __init__(
        self,
        book: Book,
        iterable: Iterable[T] | None = None,
        desc: str = "",
        *,
        unit: str = "it",
        total: float | None = None,
        leave: bool | None = None,
        initial: float = 0,
        disable: bool | None = False,
        **bar: Any,
    ) -> None:
        self.what = text(desc or "progress", NAME_LIMIT)
        self.unit = text(unit, NAME_LIMIT)
        first = number(initial)
        self._initial: float = first if isinstance(first, int | float) else 0
        self.done: Any = self._initial
        """Items completed: the one in work is not among them."""
        self.depth = book.depth
        self.leave = leave
        self.disable = bool(disable)
        self._total = _total(iterable, total)
        self._book = book
        self._items: Iterable[T] = () if iterable is None else iterable
        self._options = bar
        self._postfix = ""
        self._pid = os.getpid()
        self._bar: Any = None
        self._began = self._line_due = self._due = 0.0
        self._running = self._nests = False
        self._has_said = False  # an event of its own was written
        if iterable is None:
            self._begin()

    @property
    def elapsed_s(self) -> float:
        """Since the loop began, in seconds."""
        return self._book.monotonic() - self._began

    @property
    def draws(self) -> bool:
        """Whether a bar of it is on the screen."""
        return self._bar is not None

    @property
    def n(self) -> Any:
        """`done`, by tqdm's name; it may be set."""
        return self.done

    @n.setter
    def n(self, value: Any) -> None:
        self.done = value
        self._on_bar(lambda bar: setattr(bar, "n", value))

    @property
    def total(self) -> int | None:
        """How many items there are; None where nobody knows. It may be set."""
        return self._total

    @total.setter
    def total(self, value: object) -> None:
        self._total = _total(None, value)
        self._on_bar(lambda bar: setattr(bar, "total", self._total))

    @property
    def desc(self) -> str:
        """What the loop is called."""
        return self.what

    @desc.setter
    def desc(self, value: object) -> None:
        self.set_description(value, refresh=False)

    @property
    def format_dict(self) -> dict[str, Any]:
        """The figures that are shown, by tqdm's names."""
        elapsed = self.elapsed_s
        return {
            "n": self.done, "total": self._total, "elapsed": elapsed,
            "rate": rate_of(self.done - self._initial, elapsed), "initial": self._initial,
            "prefix": self.what, "unit": self.unit, "postfix": self._postfix or None,
        }  # fmt: skip

    def __len__(self) -> int:
        if self._total is None:
            raise TypeError(f"{self.what}: nobody knows how many there are")
        return self._total

    def __bool__(self) -> bool:
        return self._total is None or self._total > 0

    def __iter__(self) -> Iterator[T]:
        self._begin()
        self._nest()
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
        self._nest()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def update(self, n: float | None = 1) -> None:
        """`n` more items are completed; of a loop that is closed, or disabled, nothing."""
        if self.disable or not self._running:
            return
        try:
            self.done += 1 if n is None else n
            if self._bar is not None:
                self._bar.update(n)
            if self._book.monotonic() >= self._due:
                self._tell()
        except Exception as error:
            self._book.warn("progress", f"the progress of {self.what} could not be shown: {error}")

    def close(self) -> None:
        """The loop is over; a second time does nothing. A bar made by hand that nobody closes ends
        with its run.
        """
        if os.getpid() == self._pid:
            self._end()

    def reset(self, total: float | None = None) -> None:
        """From the start again, with another total where one is given."""
        if total is not None:
            self.total = total
        self.done = self._initial = 0
        if not self._running:
            self._begin()
            return
        self._began = self._book.monotonic()
        self._line_due = self._began + LINE_S
        self._on_bar(lambda bar: bar.reset(self._total))

    def set_description(self, desc: object = None, refresh: bool = True) -> None:
        """Call the loop something else."""
        self.what = text(str(desc or "progress").removesuffix(": "), NAME_LIMIT)
        self._on_bar(lambda bar: bar.set_description(self.what, refresh))

    set_description_str = set_description

    def set_postfix(
        self, ordered_dict: Any = None, refresh: bool = True, **figures: object
    ) -> None:
        """Figures to show behind the line, such as the loss."""
        try:
            named = {**dict(ordered_dict or {}), **figures}
            words = ", ".join(f"{name}={_figure(value)}" for name, value in named.items())
        except Exception as error:
            self._book.warn("progress", f"the postfix of {self.what} could not be shown: {error}")
            return
        self.set_postfix_str(words, refresh)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Words to show behind the line."""
        self._postfix = text(str(s), NAME_LIMIT)
        self._on_bar(lambda bar: bar.set_postfix_str(self._postfix, refresh))

    def refresh(self, *_: object, **__: object) -> None:
        """Draw the bar again; without one, say the line where it is due."""
        self._on_bar(lambda bar: bar.refresh())
        if self._running and self._book.monotonic() >= self._due:
            with contextlib.suppress(Exception):
                self._tell()

    def clear(self, *_: object, **__: object) -> None:
        """Take the bar off the screen until it is drawn again."""
        self._on_bar(lambda bar: bar.clear())

    def display(self, *_: object, **__: object) -> None:
        """Draw the bar."""
        self._on_bar(lambda bar: bar.display())

    def unpause(self) -> None:
        """Leave the time since the last update out of the bar's rate."""
        self._on_bar(lambda bar: bar.unpause())

    def write(self, s: object, file: Any = None, end: str = "\n", nolock: bool = False) -> None:
        """Print above the bar."""
        if file is None:
            out = sys.stdout
        else:
            out = file
        with contextlib.suppress(Exception):
            if self._bar is not None:
                self._bar.write(str(s), file=out, end=end, nolock=nolock)
            elif out is not None:
                out.write(f"{s}{end}")

    def _on_bar(self, act: Callable[[Any], object]) -> None:
        if self._bar is not None:
            try:
                act(self._bar)
            except Exception as error:
                self._book.warn(
                    "progress", f"the progress of {self.what} could not be shown: {error}"
                )

    def _begin(self) -> None:
        if self._running or self.disable:
            return
        self._running = True
        self._book.open_loops.append(self)
        now = self._book.monotonic()
        self._began, self._line_due = now, now + LINE_S
        with contextlib.suppress(Exception):
            self._bar = self._draw()
        with contextlib.suppress(Exception):
            self._tell()

    def _nest(self) -> None:
        """Loops that begin before this one's end are inside of it: so of a `for` and a `with`, not
        of one made by hand.
        """
        if self._running and not self._nests:
            self._nests = True
            self.depth = self._book.depth
            self._book.enter(self)

    def _draw(self) -> Any:
        """A bar, where standard error is a terminal and tqdm is installed; None elsewhere."""
        if not self._book.shows or sys.stderr is None or not sys.stderr.isatty():
            return None
        try:
            tqdm = import_module(
                "tqdm"
            ).tqdm  # only where a bar is drawn: the recorder does not need it
        except ImportError:
            return None
        settings = {
            "total": self._total,
            "desc": self.what,
            "unit": self.unit,
            "leave": self._leaves,
            "file": sys.stderr,
        }
        settings |= {"dynamic_ncols": True, "initial": self.done}
        try:
            return tqdm(**settings | self._options)
        except Exception as error:
            self._book.warn(
                "bar", f"the bar of {self.what} is drawn without what was asked for: {error}"
            )
            return tqdm(**settings)

    @property
    def _leaves(self) -> bool:
        if self.leave is None:
            return self.depth == 0
        return self.leave

    def _tell(self) -> None:
        now = self._book.monotonic()
        if self._bar is None and now >= self._line_due:
            self._line_due = now + LINE_S
            self._say(ended=False)
        if now >= self._book.event_due:
            self._write(ended=False)
        self._due = (
            self._book.event_due
            if self._bar is not None
            else min(self._line_due, self._book.event_due)
        )

    def _say(self, *, ended: bool) -> None:
        if self._book.shows and sys.stderr is not None and os.getpid() == self._pid:
            words = line(
                self.what,
                self.done,
                self._total,
                self.unit,
                self.elapsed_s,
                ended=ended,
                postfix=self._postfix,
                since=self._initial,
            )
            sys.stderr.write(" ".join(words.split()) + "\n")
            sys.stderr.flush()

    def _write(self, *, ended: bool) -> None:
        self._book.event_due = self._book.monotonic() + EVENT_S
        if os.getpid() != self._pid:
            return
        self._has_said = True
        elapsed = self.elapsed_s
        rate = rate_of(self.done - self._initial, elapsed)
        eta = eta_of(self.done, self._total, elapsed, self._initial)
        self._book.write(
            what=self.what,
            done=int(self.done),
            unit=self.unit,
            elapsed_s=round(elapsed, 3),
            total=self._total,
            rate_per_s=None if rate is None else round(rate, 6),
            eta_s=None if eta is None else round(eta, 3),
            depth=self.depth,
            ended=ended,
        )

    def _end(self) -> None:
        if not self._running:
            return
        self._running = False
        with contextlib.suppress(ValueError):
            self._book.open_loops.remove(self)
        if self._nests:
            self._nests = False
            self._book.leave()
            if self._book.outer is self:
                self._book.outer = None
        with contextlib.suppress(Exception):
            if self._bar is not None:
                self._bar.close()
                self._bar = None
            elif self._leaves:
                self._say(ended=True)
        with contextlib.suppress(Exception):
            now = self._book.monotonic()
            last = self._book.event_due - EVENT_S
            if self.depth == 0 and (self._has_said or now - last >= SHORT_S):
                self._write(ended=True)


def _figure(value: object) -> str:
    """As tqdm shows a figure: three digits of a number, anything else as its words."""
    figure = number(value)
    if isinstance(figure, int | float):
        return f"{figure:.3g}"
    return str(value).strip()


def _total(iterable: object, given: object) -> int | None:
    """How many items there are, as given or by the iterable's length; None: not known."""
    with contextlib.suppress(Exception):
        if given is not None:
            figure = number(given)
            if isinstance(figure, int | float) and figure >= 0:
                return int(figure)
            return None
        if iterable is None:
            hint = -1
        else:
            hint = operator.length_hint(iterable, -1)
        if hint >= 0:
            return hint
        return None
    return None
