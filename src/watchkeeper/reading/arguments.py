"""The settings that a program is given by its arguments, without knowing the program."""

from __future__ import annotations

import re
from collections.abc import Sequence

from watchkeeper.core.text import lazy

_OPTION = lazy.pattern(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_ASSIGNED = lazy.pattern(r"\+{0,2}([A-Za-z_][\w./-]*)=(.*)", re.DOTALL)
_NUMBER = lazy.pattern(r"-?\.?\d.*", re.DOTALL)


def settings_of(args: Sequence[str]) -> dict[str, str]:
    """Name → value: `--lr 1e-3`, `--lr=1e-3` and `lr=1e-3` are each `lr`; an option without a value
    is `true`, and any other word is `arg1`, `arg2` … by its place among these. Of an
    option that is given twice the values are joined by commas.
    """
    settings: dict[str, str] = {}
    words = list(args)
    count = 0
    while words:
        word = words.pop(0)
        option = _option_of(word)
        if option is None:
            assigned = _ASSIGNED.fullmatch(word)
            if assigned is None:
                count += 1
                name, value = f"arg{count}", word
            else:
                name, value = assigned[1], assigned[2]
        else:
            name, value = option[1], option[2]
            if value is None:
                value = _value_from(words)
        if name in settings:
            value = f"{settings[name]},{value}"
        settings[name] = value
    return settings


def words_of(args: Sequence[str]) -> str:
    """The settings in words, as a summary has them: `lr 1e-3, rank 8`."""
    return ", ".join(f"{name} {value}" for name, value in settings_of(args).items())


def _option_of(word: str) -> re.Match[str] | None:
    """The option that a word is; None for a value, negative numbers among them."""
    if _NUMBER.fullmatch(word):
        return None
    return _OPTION.fullmatch(word)


def _value_from(words: list[str]) -> str:
    """The value of an option, taken from the words behind it; `true` where it has none."""
    if words and _option_of(words[0]) is None:
        return words.pop(0)
    return "true"
