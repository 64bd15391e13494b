"""YAML as plain values: for configurations that are looked into and not planned from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from watchkeeper.reading.yaml import Located

MOST_VALUES = 100_000
"""Aliases can make a short text into any number of values."""
_MOST_DEPTH = 64


class TooLargeError(ValueError):
    """It unfolds to more than 100,000 values, or to more than 64 levels."""


def plain(item: Located) -> Any:
    """The value as mappings, lists, texts, numbers, booleans and None. Dates are texts.

    `{lr: 1e-3, seeds: [1, 2], on: 2026-03-11}` gives `{"lr": 0.001, "seeds": [1, 2], "on":
    "2026-03-11"}`.

    Raises:
        TooLargeError: it unfolds to more values or levels than a configuration has.
    """
    return _Reader().read(item, 0)


class _Reader:
    def __init__(self) -> None:
        self._values = 0

    def read(self, item: Located, depth: int) -> Any:
        """The value of an item at this depth, and of all below it.

        Raises:
            TooLargeError: this value is one too many, or lies too deep.
        """
        self._values += 1
        if self._values > MOST_VALUES or depth > _MOST_DEPTH:
            raise TooLargeError(str(TooLargeError.__doc__))
        mapping = item.mapping()
        if mapping is not None:
            return {key: self.read(value, depth + 1) for key, (_, value) in mapping.items()}
        entries = item.list()
        if entries is not None:
            return [self.read(entry, depth + 1) for entry in entries]
        return _scalar(item)


def _scalar(item: Located) -> Any:
    """A single value by its tag. A number that Python does not read, `0o17`, stays text."""
    if item.is_null:
        return None
    words = item.scalar() or ""
    reader = _SCALARS.get(str(item.node.tag).rpartition(":")[2])
    if reader is None:
        return words
    try:
        return reader(words)
    except ValueError:
        return words


def _number(words: str) -> float:
    """A float as YAML spells it: `1e-3`, `-.inf`, `.nan`.

    Raises:
        ValueError: it is none.
    """
    return float(words.replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": _number,
    "bool": lambda words: words.casefold() in ("true", "yes", "on"),
}
