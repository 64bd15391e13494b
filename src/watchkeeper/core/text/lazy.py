"""Patterns that are compiled when they are first used.

A module's patterns were two thirds of what it costs to import it, and a command uses few of them.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def pattern(words: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """What `re.compile` gives, without its cost until the first use. It is for calls of its
    methods: the functions of `re` do not take it.

    Raises, at the first use:
        re.error: the words are no pattern.
    """
    return cast(re.Pattern[AnyStr], _Pattern(words, flags))


class _Pattern:
    """Stands for a compiled pattern. Each method is looked up once, and then kept here."""

    def __init__(self, words: str | bytes, flags: int) -> None:
        self._words = words
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        """Compile at the first use of a method, and keep the method: later uses do not come
        here.
        """
        compiled: re.Pattern[Any] = re.compile(self._words, self._flags)
        method = getattr(compiled, name)
        setattr(self, name, method)
        return method
