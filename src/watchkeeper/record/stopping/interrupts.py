"""Being asked to stop: SIGINT, SIGTERM, and the scheduler's warning that time is nearly up.

The first signal asks, and the program stops where it says that it may (`stop_if_requested`, or by
looking at `stop_requested`); the second one forces. A program that never looks is stopped by the
first one, as it would be without us. A warning never forces. Handlers that were there before are
called after ours, and are put back. Where one is the program's own, the signal is the program's: it
is written down, and nothing is raised. A stop that the program catches is over: the next signal is
a first one again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from watchkeeper.record.stopping import handlers

Handler = Callable[[int, FrameType | None], Any]

EXIT_BASE = 128  # a shell's exit code for a signal is 128 + its number
BY_SIGNAL = (EXIT_BASE + signal.SIGINT, EXIT_BASE + signal.SIGTERM)
_MARK = "_watchkeeper_stop"  # on an exception: it was raised for a stop
CHAIN = 50  # exceptions, each raised while the one before was handled
WARNED = EXIT_BASE + signal.SIGTERM  # a warning is the scheduler's SIGTERM, announced


class Interrupted(SystemExit, KeyboardInterrupt):
    """The run was asked to stop. Uncaught it ends the process with its code and without a
    traceback; `except Exception` lets it through, `except KeyboardInterrupt` gets it.
    """


class Interrupts:
    """The signals of one run, from `install` to `restore`. `told(signal's name, forced)` is called
    in the handler.
    """

    def __init__(
        self,
        say: Callable[[str, bool], None],
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
        self.broke = False
        """A stop was raised into the program, which may have caught it since."""
        self.theirs = False
        """A handler of the program's own takes the signal that asked last."""
        self.ending = False
        """The run is writing its end: no signal breaks into that, but an impatient one ends the
        process.
        """
        self.reason = ""
        self.not_handled: dict[str, str] = {}
        """Signals that could not be taken over → why."""
        self._say = say
        self._asking = tuple(asking)
        self._warning = warning
        self._exit_code = exit_code
        self._code = WARNED
        self._raised = False  # since the last signal
        self._stopped_by_theirs = False
        self._pid = os.getpid()
        self._active = False
        self.stops = 0
        """How often it was asked by a signal that is no warning."""
        self._before: dict[int, Any] = {}
        # One object for its whole life: a bound method is a new one each time it is looked up.
        self._ours: Handler = self._handle

    # ── taking over and giving back

    def install(self) -> None:
        """Take over the signals, as far as Python can: only in the main thread, and no handler that
        is not Python's.
        """
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
            if before is not signal.default_int_handler and handlers.is_taken(number):
                self.not_handled[name] = (
                    "its handler is not Python's (faulthandler.register, or a library's)"
                )
                continue
            try:
                signal.signal(number, self._ours)
            except (
                OSError,
                ValueError,
                RuntimeError,
            ) as error:  # a subinterpreter, a signal that cannot be handled
                self.not_handled[name] = str(error)
                continue
            self._before[number] = before

    def restore(self) -> None:
        """Put the handlers back that were there. Where somebody has put his own on top of ours
        since (faulthandler's is one, and Python does not know it), that one stays, and ours behaves
        as the one before it.
        """
        self._active = False
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in self._before.items():
            if signal.getsignal(number) is self._ours and handlers.is_pythons(number):
                signal.signal(number, _still_used(number, before))

    # ── asking

    def ask(self, reason: str, code: int = WARNED) -> None:
        """Ask the run to stop at its next opportunity; works from any thread."""
        if not self.asked:
            self._code, self.reason = code, reason
            self.asked = True

    @property
    def pending(self) -> bool:
        """Whether it was asked, and nothing has been raised for it that the program has caught
        since.
        """
        return self.asked and (not self._raised or self._in_flight())

    @property
    def was_heard(self) -> bool:
        """Whether it was asked, and the program has heard of it."""
        return self.asked and self.heard

    def error(self) -> Interrupted:
        """What stops the program: its exit code is the signal's, or the one given to the run."""
        self.heard = True
        return Interrupted(self._code if self._exit_code is None else self._exit_code)

    def breaks(self, error: BaseException) -> BaseException:
        """The same exception, which is now raised into the program for the stop."""
        # Itself is not kept: its frames hold all that the program had in hand.
        setattr(error, _MARK, True)
        self.broke = self._raised = True
        return error

    def stopped(self, error: BaseException | None) -> bool:
        """Whether a run that ends with this exception, or with none, was stopped on request."""
        if isinstance(error, KeyboardInterrupt) or hasattr(error, _MARK):
            return True
        is_requested = self.was_heard or self.broke or self._stopped_by_theirs
        if isinstance(error, SystemExit):
            return is_requested or error.code in BY_SIGNAL
        if error is None or isinstance(error, GeneratorExit):
            return is_requested
        # asyncio's own handler cancels the task.
        return is_requested and type(error).__name__ == "CancelledError"

    def still_stops(self, error: BaseException | None) -> bool:
        """Whether the program is to end now that its run has ended. A Ctrl-C that it caught is the
        program's.
        """
        if not self.was_heard:
            return False
        if error is None:
            return not (self._raised and (self.theirs or self.reason == signal.Signals.SIGINT.name))
        return type(error) is KeyboardInterrupt and not self.theirs

    def _in_flight(self) -> bool:
        """Whether what was raised for the stop is being handled just now: in an `except`, a
        `finally`, a `with`'s end.
        """
        error = sys.exception()
        for _ in range(CHAIN):
            if error is None or hasattr(error, _MARK):
                return error is not None
            error = error.__context__
        return False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(number, signal.SIG_DFL)
        if (
            not self._active or os.getpid() != self._pid
        ):  # a run that has ended; a child that was forked
            _as_before(number, before, frame)
            return
        if self.ending and self.forced and number in self._asking:  # somebody has lost his patience
            _as_before(number, signal.SIG_DFL, frame)
            return
        self._take(number)
        try:
            self._chain(number, before, frame)
        except BaseException as error:
            self.breaks(error)
            raise
        if self.forced:
            stop = self.error()
            if not self.ending:
                raise self.breaks(stop)

    def _take(self, number: int) -> None:
        again = self._in_flight()
        if self._raised and not again:  # the program has caught it, and continues
            self._raised, self.asked, self.heard, self.stops = False, False, False, 0
        self.theirs = _is_theirs(self._last(number))
        name = signal.Signals(number).name
        if number in self._asking:
            self.stops += 1
            self.forced = not self.theirs and (
                self.stops > 1 or self.ending or not self.listening or again
            )
            self._stopped_by_theirs |= self.theirs
            self._code, self.reason, self.asked = EXIT_BASE + number, name, True
        else:
            self.ask(name)
        self._say(name, self.forced)

    def _last(self, number: int) -> Any:
        """The handler below those of all runs: what the signal would do without them."""
        before = self._before.get(number, signal.SIG_DFL)
        outer = getattr(before, "__self__", None)
        if isinstance(outer, Interrupts):
            return outer._last(number)
        return before

    def _chain(self, number: int, before: Any, frame: FrameType | None) -> None:
        """Call what was there before. The two defaults are what we stand in for; an outer run of
        ours is asked, and we decide for it whether it is forced.
        """
        outer = getattr(before, "__self__", None)
        if isinstance(outer, Interrupts):
            if outer._active:
                outer.ask(signal.Signals(number).name, self._code)
                outer.theirs = self.theirs
            outer._chain(number, outer._before.get(number, signal.SIG_DFL), frame)
        elif callable(before) and before is not signal.default_int_handler:
            before(number, frame)


def _is_theirs(handler: Any) -> bool:
    return callable(handler) and handler is not signal.default_int_handler


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
