"""How work ended, as far as the exception tells that left it, or the interpreter at its exit."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from watchkeeper.core.text.redaction import redact
from watchkeeper.runfolder.values import text

ERROR_LIMIT = 2_000  # characters of an exception's message in an event

_PLAIN = (
    GeneratorExit,
    StopIteration,
    StopAsyncIteration,
)  # a generator that is left early, an iterator that is used up


def is_failure(error: BaseException | None) -> bool:
    """Whether an exception that left the work means that it failed; `sys.exit()` and a generator
    left early do not.
    """
    if isinstance(error, SystemExit):
        return error.code not in (None, 0)
    return error is not None and not isinstance(error, _PLAIN)


def describe(error: BaseException) -> str:
    """`ValueError: message`, bounded, and without secrets such as the login of an address."""
    name = type(error).__name__
    try:
        message = redact(str(error)[:ERROR_LIMIT])
    except Exception:
        message = "(its message could not be made)"
    if message:
        name = f"{name}: {message}"
    return text(name, limit=ERROR_LIMIT)


class Seen:
    """The exceptions that were there when a run began: they are none of its own."""

    def __init__(self) -> None:
        self._last = _name(last_error())
        self._handled = _name(sys.exception())

    def uncaught(self) -> BaseException | None:
        """The exception that nobody caught, and that ends the interpreter; None for none since."""
        error = last_error()
        if _name(error) == self._last:
            return None
        return error

    def handled(self) -> BaseException | None:
        """The exception that is being handled here, in a `finally` or an `except`; None for none of
        the run's time.
        """
        error = sys.exception()
        if _name(error) == self._handled:
            return None
        return error


class Exits:
    """The calls of `sys.exit` while runs are open. At its exit Python does not say which code it
    ends with, so the function is wrapped meanwhile; what `raise SystemExit(3)` says cannot be seen.
    """

    def __init__(self, called: Callable[[], None]) -> None:
        """`called` is called at each call of `sys.exit` in the main thread; elsewhere it ends a
        thread only.
        """
        self.error: SystemExit | None = None
        """What the last call was for; it carries no frames."""
        self._called = called
        self._before: Callable[..., NoReturn] | None = None
        self._ours = self._exit

    def watch(self) -> None:
        """From now on."""
        if self._before is None:
            self._before, sys.exit = sys.exit, self._ours

    def forget(self) -> None:
        """The function is as it was, unless the program has replaced it since."""
        if self._before is not None and sys.exit is self._ours:
            sys.exit, self._before = self._before, None

    def _exit(self, status: object = None, /) -> NoReturn:
        if threading.current_thread() is threading.main_thread():
            self.error = SystemExit(status)
            self._called()
        (self._before or _plain_exit)(status)


def _plain_exit(status: object) -> NoReturn:
    raise SystemExit(status)


def last_error() -> BaseException | None:
    """What Python printed last as uncaught; None for nothing yet."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if isinstance(error, BaseException):
        return error
    return None


def _name(error: BaseException | None) -> tuple[int, int, type]:
    """Tells one exception from another without keeping it, and all that its frames hold."""
    return id(error), id(error.__traceback__ if error is not None else None), type(error)


def is_interactive() -> bool:
    """Whether somebody types the program in, in a notebook or at a prompt: an error there ends
    nothing.
    """
    ipython = sys.modules.get("IPython")
    return hasattr(sys, "ps1") or (
        ipython is not None and getattr(ipython, "get_ipython", lambda: None)() is not None
    )
