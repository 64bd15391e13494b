"""Being asked to stop: SIGINT, SIGTERM, and the scheduler's warning that time is nearly up.

The first signal asks, and the program stops where it says that it may (`stop_if_asked`, or by looking at `should_stop`);
the second one forces. A program that never looks is stopped by the first one, as it would be without us. A warning never
forces. Handlers that were there before are called after ours, and are put back.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]

EXIT_BASE = 128  # a shell's exit code for a signal is 128 + its number
WARNED = EXIT_BASE + signal.SIGTERM  # a warning is the scheduler's SIGTERM, announced


class Interrupted(SystemExit, KeyboardInterrupt):
    """The run was asked to stop. Uncaught it ends the process with its code and without a traceback; `except Exception`
    lets it through, `except KeyboardInterrupt` gets it.
    """


class Interrupts:
    """The signals of one run, from `install` to `restore`. `told(signal's name, forced)` is called in the handler."""

    def __init__(
        self,
        told: Callable[[str, bool], None],
        *,
        asking: Iterable[int] = (signal.SIGINT, signal.SIGTERM),
        warning: int | None = signal.SIGUSR1,
        exit_code: int | None = None,
    ) -> None:
        self.asked = False
        self.forced = False
        self.heard = False
        """Somebody who could act on it knows that it was asked."""
        self.listening = False
        """The program has shown that it looks."""
        self.ending = False
        """The run is writing its end: no signal breaks into that, but an impatient one ends the process."""
        self.reason = ""
        self.not_handled: dict[str, str] = {}
        """Signals that could not be taken over → why."""
        self._told = told
        self._asking = tuple(asking)
        self._warning = warning
        self._exit_code = exit_code
        self._code = WARNED
        self._pid = os.getpid()
        self._active = False
        self.stops = 0
        """How often it was asked by a signal that is no warning."""
        self._before: dict[int, Any] = {}
        # One object for its whole life: a bound method is a new one each time it is looked up.
        self._ours: Handler = self._handle

    # ── taking over and giving back ─────────────────────────────────────────────────────────────────────────────────

    def install(self) -> None:
        """Take over the signals, as far as Python can: only in the main thread, and no handler that is not Python's."""
        self._active = True
        numbers = (*self._asking, *((self._warning,) if self._warning is not None else ()))
        for number in numbers:
            name = signal.Signals(number).name
            if threading.current_thread() is not threading.main_thread():
                self.not_handled[name] = "the run was started off the main thread"
                continue
            before = signal.getsignal(number)
            if before is signal.SIG_IGN:
                continue  # as nohup and `&` ask for
            if before is None:
                self.not_handled[name] = "its handler is not Python's"
                continue
            try:
                signal.signal(number, self._ours)
            except (OSError, ValueError, RuntimeError) as error:  # a subinterpreter, a signal that cannot be handled
                self.not_handled[name] = str(error)
                continue
            self._before[number] = before

    def restore(self) -> None:
        """Put the handlers back that were there. Where somebody has put his own on top of ours since, that one stays, and
        ours behaves as the one before it.
        """
        self._active = False
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in self._before.items():
            if signal.getsignal(number) is self._ours:
                signal.signal(number, _still_used(number, before))

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, reason: str, code: int = WARNED) -> None:
        """Ask the run to stop at its next opportunity; works from any thread."""
        if not self.asked:
            self._code, self.reason = code, reason
            self.asked = True

    def error(self) -> Interrupted:
        """What stops the program: its exit code is the signal's, or the one that the run was given."""
        self.heard = True
        return Interrupted(self._code if self._exit_code is None else self._exit_code)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(number, signal.SIG_DFL)
        if not self._active or os.getpid() != self._pid:  # a run that has ended; a child that was forked
            _as_before(number, before, frame)
            return
        if self._forced_before(number):
            _as_before(number, signal.SIG_DFL, frame)
            return
        self._take(number)
        self._chain(number, before, frame)
        if self.forced:
            error = self.error()
            if not self.ending:
                raise error

    def _forced_before(self, number: int) -> bool:
        """It is being stopped by force already, or has been asked while it ends, and somebody has lost his patience."""
        return self.forced and number in self._asking

    def _take(self, number: int) -> None:
        if number in self._asking:
            self.stops += 1
            self.forced = self.stops > 1 or self.ending or not self.listening
            code = EXIT_BASE + number
        else:
            code = WARNED
        if number in self._asking:
            self._code, self.reason, self.asked = code, signal.Signals(number).name, True
        else:
            self.ask(signal.Signals(number).name, code)
        self._told(signal.Signals(number).name, self.forced)

    def _chain(self, number: int, before: Any, frame: FrameType | None) -> None:
        """Call what was there before. The two defaults are what we stand in for; an outer run of ours is asked, and we
        decide for it whether it is forced.
        """
        outer = getattr(before, "__self__", None)
        if isinstance(outer, Interrupts):
            if outer._active:
                outer.ask(signal.Signals(number).name, self._code)
            outer._chain(number, outer._before.get(number, signal.SIG_DFL), frame)
        elif callable(before) and before is not signal.default_int_handler:
            before(number, frame)


def _still_used(number: int, before: Any) -> Any:
    """The handler to go back to: past those of runs that have ended out of turn."""
    owner = getattr(before, "__self__", None)
    while isinstance(owner, Interrupts) and not owner._active:
        before = owner._before.get(number, signal.SIG_DFL)
        owner = getattr(before, "__self__", None)
    return before


def _as_before(number: int, before: Any, frame: FrameType | None) -> None:
    """Do what the signal would do without us."""
    if before is signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif callable(before):
        before(number, frame)
