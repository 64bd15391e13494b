"""How work ended, as far as the exception tells that left it, or the interpreter at its exit."""

from __future__ import annotations

import sys

_PLAIN = (GeneratorExit, StopIteration, StopAsyncIteration)  # a generator that is left early, an iterator that is used up


def is_failure(error: BaseException | None) -> bool:
    """Whether an exception that left the work means that it failed; `sys.exit()` and a generator left early do not."""
    if isinstance(error, SystemExit):
        return error.code not in (None, 0)
    return error is not None and not isinstance(error, _PLAIN)


class Seen:
    """The exceptions that were there when a run began: they are none of its own."""

    def __init__(self) -> None:
        self._last = _name(last_error())
        self._handled = _name(sys.exception())

    def uncaught(self) -> BaseException | None:
        """The exception that nobody caught, and that ends the interpreter; None for none since."""
        error = last_error()
        return None if _name(error) == self._last else error

    def handled(self) -> BaseException | None:
        """The exception that is being handled here, in a `finally` or an `except`; None for none of the run's time."""
        error = sys.exception()
        return None if _name(error) == self._handled else error


def last_error() -> BaseException | None:
    """What Python printed last as uncaught; None for nothing yet."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) else None


def _name(error: BaseException | None) -> tuple[int, int, type]:
    """Tells one exception from another without keeping it, and all that its frames hold."""
    return id(error), id(error.__traceback__ if error is not None else None), type(error)


def is_interactive() -> bool:
    """Whether somebody types the program in, in a notebook or at a prompt: an error there ends nothing."""
    ipython = sys.modules.get("IPython")
    return hasattr(sys, "ps1") or (ipython is not None and getattr(ipython, "get_ipython", lambda: None)() is not None)
