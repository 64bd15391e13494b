"""Time limits around work that may never end: `run.limit(60)`.

In the main thread a signal of our own breaks into the work (`timer`), in another one an exception
that Python delivers between two bytecodes (only for `call` and the decorator). Neither can break
into one long call of C code, nor, outside the main thread, into a wait for a lock: such work ends
late, and that is said. `isolate=True` can: there the work is done by a process of its own, which is
killed (`isolation`).
"""

from __future__ import annotations

import functools
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, cast

import msgspec

from watchkeeper.record.stopping.isolation import (
    INNER,
    DiedError,
    NotThereError,
    OverdueError,
    Worker,
)
from watchkeeper.record.stopping.timer import RING, Timer

P = ParamSpec("P")
T = TypeVar("T")

# until it is tried again: code may have swallowed the first attempt, as `__del__` does
AGAIN_S = 0.1
SOON_S = 0.001  # likewise, where it was not the time to
MANY = 20  # limited calls, before their share of timeouts means anything
MAX_SHARE = 0.05  # of timeouts, before a warning comes
STACK_LIMIT = 8_000  # characters of a stack


class TimedOut(BaseException):
    """Breaks into work whose time is over. `except Exception` lets it through; outside its limit
    nobody sees it.
    """

    def __init__(self, entry: _Entry | None = None) -> None:
        super().__init__("the time limit is over")
        self.entry = entry


class Overrun(msgspec.Struct, frozen=True, kw_only=True):
    """Work that did not end in time. `how`: it was interrupted; its process was killed; it could
    not be broken into and ended late (its result is kept); or its process died by itself. `stack`
    is where it was, "" where nobody saw.
    """

    what: str
    limit_s: float
    elapsed_s: float
    how: Literal["interrupted", "killed", "late", "died"]
    stack: str = ""


class Limits:
    """The limits of one run: how often they were used and overrun, and the process for isolated
    work.
    """

    def __init__(self, tell: Callable[[Overrun], None], warn: Callable[[str, str], None]) -> None:
        """`tell` gets each overrun when the work has been left; it may raise nothing."""
        self.calls = 0
        """Limited calls and blocks that have ended, in time or not."""
        self.overruns = 0
        """Those of them that did not end in time."""
        self.tell = tell
        self.warn = warn
        self.worker = Worker()

    @property
    def share(self) -> float:
        """The part of all limited calls that did not end in time; 0 where there was none."""
        if self.calls:
            return self.overruns / self.calls
        return 0.0

    def count(self, overrun: Overrun | None) -> None:
        """One limited call has ended."""
        self.calls += 1
        if overrun is not None:
            self.overran(overrun)

    def overran(self, overrun: Overrun) -> None:
        """One of the calls that were counted did not end in time."""
        self.overruns += 1
        self.tell(overrun)
        if self.calls >= MANY and self.share > MAX_SHARE:
            self.warn(
                "timeouts",
                (
                    f"{self.overruns} of {self.calls} limited calls ({self.share:.0%}) did not "
                    "end in time; up to 5% is usual"
                ),
            )

    def close(self) -> None:
        """End the process for isolated work."""
        self.worker.close()

    def after_fork(self) -> None:
        """In the child: the parent's process is not the child's."""
        self.worker.after_fork()
        self.worker = Worker()


class _Entry:
    """One use of a limit, from its begin to its end."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.thread = threading.get_ident()
        self.began = time.monotonic()
        self.deadline = self.began + (limit.seconds or math.inf)
        self.done = False
        self.stack = ""
        self.raised = False

    def is_meant(self, error: TimedOut) -> bool:
        """Whether it was raised for this limit, and not for one around it."""
        return error.entry is self or (error.entry is None and self.raised)

    def see(self, frame: FrameType | None) -> None:
        """Keep where the work was when its time was over, the first time."""
        if not self.raised:
            self.raised = True
            if frame is not None:
                lines = "".join(traceback.format_stack(frame))
            else:
                lines = ""
            self.stack = lines[-STACK_LIMIT:]


class Limit:
    """`with run.limit(60): …`, `run.limit(60).call(fn, …)` or `@run.limit(60)`. A call that does
    not end in time returns None, a block is left; `timed_out` says so, an event with the stack is
    written, and the loop continues.

    What it cannot do. One long call of C code (a matrix decomposition, but not a regular
    expression) is not broken into: it ends late, its result is kept, and a warning says so. Outside
    the main thread a `with` breaks into nothing, and a `call` not into a wait for a lock. What
    catches BaseException over and over is not stopped either, nor are threads that the work
    started. In coroutines use asyncio.timeout.

    `isolate=True` stops all of that: a `call` of a function that can be pickled, with arguments
    that can, runs in a process of its own (started by "spawn", in seconds where torch is imported
    there). It is kept for the next call, and killed with all its children when the time is over.
    What `fn` changes there is not changed here.
    """

    def __init__(
        self, limits: Limits, seconds: float, *, isolate: bool = False, name: str = ""
    ) -> None:
        self.seconds = seconds
        """The limit; 0 is none."""
        self.timed_out = False
        """Whether the last use was cut short."""
        self.elapsed_s = 0.0
        """How long the last use took, in seconds."""
        self.name = name
        self._isolate = isolate
        self._limits = limits
        self._local = threading.local()

    # ── ways to use it

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `fn(*args, **kwargs)` returns, or raises; None when it did not end in time."""
        inner: Callable[..., T] = getattr(fn, INNER, fn)
        if self._isolate:
            try:
                return cast("T | None", self._call_isolated(fn, args, kwargs))
            except NotThereError as error:
                self._limits.warn(
                    "isolate",
                    f"{_name_of(fn)} is not isolated: {error}; it is limited in this process",
                )
        entry = _Entry(self)
        try:
            return self._call_here(entry, inner, args, kwargs)
        except TimedOut as error:  # a second one, that came while the first was being caught
            if not entry.is_meant(error):
                raise
            _end(entry)
            return None

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T | None]:
        """As a decorator: each call of the function is limited."""

        @functools.wraps(fn)
        def limited(*args: P.args, **kwargs: P.kwargs) -> T | None:
            return self.call(limited, *args, **kwargs)

        setattr(limited, INNER, fn)
        return limited

    def __enter__(self) -> Self:
        entry = _Entry(self)
        stack: list[_Entry] = self._local.__dict__.setdefault("entries", [])
        stack.append(entry)
        if self._isolate:
            self._limits.warn(
                "isolate", "a block cannot be isolated: use run.limit(…, isolate=True).call(fn, …)"
            )
        if why := _cannot_leave_block():
            self._limits.warn(
                f"limit {why}",
                f"a limit of {self.seconds:g} s around a block breaks into nothing: {why}",
            )
        else:
            _begin(entry)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        entry: _Entry = self._local.entries.pop()
        _end(entry)
        ours = isinstance(error, TimedOut) and error.entry is entry
        self._count(
            entry, self.name or "a block", interrupted=ours, failed=error is not None and not ours
        )
        return ours

    # ── within

    def _call_here(self, entry: _Entry, fn: Callable[..., T], args: Any, kwargs: Any) -> T | None:
        interrupted = failed = False
        result: T | None = None
        try:
            _begin(entry)
            result = fn(*args, **kwargs)
            _end(entry)
        except TimedOut as error:
            entry.done = True
            if not entry.is_meant(error):
                raise
            result, interrupted = None, True
        except BaseException:
            failed = True
            raise
        finally:
            _end(entry)
            self._count(entry, self.name or _name_of(fn), interrupted=interrupted, failed=failed)
        return result

    def _call_isolated(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        began = time.monotonic()
        how: Literal["killed", "died", ""] = ""
        stack, result = "", None
        try:
            result = self._limits.worker.call(fn, args, kwargs, self.seconds or None)
        except OverdueError as error:
            how, stack = "killed", error.stack
        except DiedError as error:
            how, stack = "died", str(error)
        self.elapsed_s, self.timed_out = time.monotonic() - began, how == "killed"
        overrun = None
        if how:
            overrun = Overrun(
                what=self.name or _name_of(fn),
                limit_s=self.seconds,
                elapsed_s=self.elapsed_s,
                how=how,
                stack=stack[-STACK_LIMIT:],
            )
        self._limits.count(overrun)
        return result

    def _count(self, entry: _Entry, what: str, *, interrupted: bool, failed: bool) -> None:
        self.elapsed_s = time.monotonic() - entry.began
        self.timed_out = interrupted
        late = not interrupted and not failed and time.monotonic() > entry.deadline + AGAIN_S
        overrun = None
        if interrupted or late:
            overrun = Overrun(
                what=what,
                limit_s=self.seconds,
                elapsed_s=self.elapsed_s,
                how="interrupted" if interrupted else "late",
                stack=entry.stack,
            )
        self._limits.count(overrun)


def _name_of(fn: object) -> str:
    return str(getattr(fn, "__qualname__", None) or type(fn).__qualname__)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _cannot_leave_block() -> str:
    """Why a block here cannot be left; "" where it can."""
    if not _in_main_thread():
        return "outside the main thread use .call(fn, …)"
    events = sys.modules.get("asyncio.events")
    if events is not None and events._get_running_loop() is not None:
        return "in a coroutine use asyncio.timeout"
    return ""


def _begin(entry: _Entry) -> None:
    if entry.deadline == math.inf:
        return
    if _in_main_thread() and signal.getsignal(RING) is not None:
        _alarm.begin(entry)
    else:  # a handler that is not Python's stays
        _watch.begin(entry)


def _end(entry: _Entry) -> None:
    """End a limit; nothing of it arrives after this. A second time does nothing."""
    entry.done = True
    _alarm.end(entry)
    _watch.end(entry)


class _Alarm:
    """The limits of the main thread, by a timer and a signal of our own: the program's alarms are
    its own.
    """

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._before: Any = signal.SIG_DFL
        self._timer: Timer | None = None

    def begin(self, entry: _Entry) -> None:
        """Limit what the main thread does from now on."""
        if self._timer is None:
            self._timer = Timer()
        if not self._entries:
            self._before = signal.signal(RING, self._on_ring)
        self._entries.append(entry)
        self._arm()

    def end(self, entry: _Entry) -> None:
        """This limit is over."""
        if entry not in self._entries:
            return
        self._entries.remove(entry)
        self._arm()
        if not self._entries:
            signal.signal(RING, self._before)

    def after_fork(self) -> None:
        """In the child: timers are not inherited, so nothing is limited there."""
        self._timer = None
        if self._entries:
            self._entries.clear()
            signal.signal(RING, self._before)

    def _arm(self) -> None:
        # One that is done, and still to be taken out, must not call the handler again at once, and
        # that again, and again.
        due = [entry.deadline for entry in self._entries if not entry.done]
        self._ring_in(max(1e-6, min(due) - time.monotonic()) if due else 0)

    def _ring_in(self, seconds: float) -> None:
        assert self._timer is not None
        self._timer.set(seconds, AGAIN_S if seconds else 0)

    def _on_ring(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        over = [entry for entry in self._entries if now >= entry.deadline and not entry.done]
        if not over:
            self._arm()
            if callable(self._before):
                self._before(number, frame)
        elif _is_ours(frame):
            self._ring_in(SOON_S)
        else:
            over[0].see(frame)  # the outermost: it ends the inner ones too
            raise TimedOut(over[0])


def _is_ours(frame: FrameType | None) -> bool:
    """Whether the code that begins or ends a limit is at work, from which the error would get out
    of the limit, or the code that writes, which would not know what it has written.
    """
    while frame is not None:
        if frame.f_code in _OURS or frame.f_globals.get("__name__") in _WRITING:
            return True
        frame = frame.f_back
    return False


class _Watch:
    """The limits of calls in other threads, by a thread that raises in them. What may be broken
    into while it changes something holds C's own lock and queue: they are left as they were.
    """

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """In the child: neither the thread nor its limits exist there."""
        self._entries: list[_Entry] = []
        self._lock = threading.Lock()
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def begin(self, entry: _Entry) -> None:
        """Limit what this thread does from now on."""
        with self._lock:
            self._entries.append(entry)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="watchkeeper limits", daemon=True
                )
                self._thread.start()
        self._news.put(None)

    def end(self, entry: _Entry) -> None:
        """This limit is over, and nothing of it is still to come."""
        while entry in self._entries:
            try:
                with self._lock:
                    self._entries.remove(entry)
                    _raise_in(entry.thread, None)
            except TimedOut:  # it was on its way
                continue

    def _run(self) -> None:
        while True:
            now = time.monotonic()
            waits = []
            with self._lock:
                for entry in self._entries:
                    if now < entry.deadline:
                        waits.append(entry.deadline - now)
                    elif not entry.done:
                        frame = sys._current_frames().get(entry.thread)
                        if _is_ours(frame):
                            waits.append(SOON_S)
                            continue
                        entry.see(frame)
                        _raise_in(entry.thread, TimedOut)
                        waits.append(AGAIN_S)
            try:
                self._news.get(timeout=min(waits, default=None))
            except queue.Empty:
                continue


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Python raises it in that thread before the next bytecode there; None takes back one that is
    on its way.
    """
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(error) if error else None
    )


_alarm = _Alarm()
_watch = _Watch()
# The modules that write: broken into, they would not know what they have written.
_WRITING = frozenset(
    (
        "watchkeeper.core.disk.files",
        "watchkeeper.core.disk.second_try",
        "watchkeeper.core.disk.spill",
        "watchkeeper.core.journal",
        "watchkeeper.record.writing.pen",
        "watchkeeper.record.writing.row_file",
        "watchkeeper.record.writing.text_log",
    )
)
_OURS: frozenset[CodeType] = frozenset(
    fn.__code__
    for fn in (
        Limit.__enter__,
        Limit.__exit__,
        Limit._count,
        _begin,
        _end,
        _Alarm.begin,
        _Alarm.end,
    )
)


def _after_fork() -> None:
    _alarm.after_fork()
    _watch.after_fork()


os.register_at_fork(after_in_child=_after_fork)
