"""The fence around every callback of ours: its error is said once, and never ends a training."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from watchkeeper.record.run import current_run

P = ParamSpec("P")
R = TypeVar("R")

_said: set[str] = set()


def fenced(call: Callable[P, R]) -> Callable[P, R | None]:
    """The same call, which returns None instead of raising an Exception. `wk.Interrupted` passes:
    it is none.
    """

    @functools.wraps(call)
    def harmless(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            say(call.__qualname__, error)
            return None

    return harmless


def say(where: str, error: BaseException) -> None:
    """Say once that this failed: in the log of the open run, else as a Python warning."""
    with contextlib.suppress(Exception):  # a warning may be an error too: -W error
        words = f"{where} failed, and goes unrecorded: {type(error).__name__}: {error}"
        run = current_run()
        if run is not None:
            run._recorder.warn(where, words)
        elif where not in _said:
            _said.add(where)
            warnings.warn(f"watchkeeper: {words}", RuntimeWarning, stacklevel=3)
