"""How a command's function ends: with its exit code, or with what it raised, in words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def command_errors(function: Callable[..., int]) -> Callable[..., None]:
    """Run a command's function: its result is the exit code. An error becomes a message, or with
    `--json` the envelope, and never a traceback.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        from watchkeeper.show.cli.answering import end_with  # not for --help

        end_with(functools.partial(function, *args, **kwargs), bool(kwargs.get("as_json")))

    return wrapped
