"""What a request may ask for: the parameters of each page, each with its bounds. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from watchkeeper.core.errors import UsageError

MOST_CHARACTERS = 16_000
"""Of a query as a whole, as it is sent."""
MOST_ID = 2_000
MOST_RUNS = 50
MOST_METRICS = 64
MOST_WIDTH = 2_000
MOST_EXAMPLES = 200
MOST_LINES = 2_000
_MOST_NAME = 1_000
_MOST_BYTES = 2**53

Value = str | int | float | tuple[str, ...] | None
Parse = Callable[[str, Sequence[str]], Value]
"""Makes a value of the texts given for a name, none of them where it was not given."""


class Scope(msgspec.Struct, frozen=True):
    """What is asked for: a page, of which place or run ("" for none), and its options."""

    page: str
    id: str = ""
    options: tuple[tuple[str, Value], ...] = ()

    def option(self, name: str) -> Any:
        """The value of an option."""
        return dict(self.options)[name]


def _last(name: str, texts: Sequence[str]) -> str:
    if len(texts) > 1:
        raise UsageError(f"{name} is given {len(texts)} times", hint="give it once")
    return texts[0]


def _whole(least: int, most: int, default: int | None) -> Parse:
    def parse(name: str, texts: Sequence[str]) -> Value:
        if not texts:
            return default
        text = _last(name, texts)
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            raise UsageError(f"{name}={text[:40]!r} is no whole number")
        return _within(name, int(text), least, most)

    return parse


def _real(least: float = -math.inf, most: float = math.inf) -> Parse:
    def parse(name: str, texts: Sequence[str]) -> Value:
        if not texts:
            return None
        text = _last(name, texts)
        try:
            number = float(text[:40])
        except ValueError:
            raise UsageError(f"{name}={text[:40]!r} is no number") from None
        if not math.isfinite(number):
            raise UsageError(f"{name}={text[:40]!r} is not finite")
        return _within(name, number, least, most)

    return parse


def _within(name: str, number: float, least: float, most: float) -> float:
    if least <= number <= most:
        return number
    raise UsageError(f"{name}={number} lies outside of {least} to {most}")


def _choice(*choices: str) -> Parse:
    def parse(name: str, texts: Sequence[str]) -> Value:
        if not texts:
            return choices[0]
        text = _last(name, texts)
        if text not in choices:
            raise UsageError(f"{name}={text[:40]!r} is none of {', '.join(filter(None, choices))}")
        return text

    return parse


def _text(most: int) -> Parse:
    def parse(name: str, texts: Sequence[str]) -> Value:
        if not texts:
            return ""
        return _checked(name, _last(name, texts), most)

    return parse


def _names(most: int, most_characters: int) -> Parse:
    """Several names, each given by itself: a name may hold a comma."""

    def parse(name: str, texts: Sequence[str]) -> Value:
        if len(texts) > most:
            raise UsageError(f"{name} is given {len(texts)} times, more than {most}")
        return tuple(_checked(name, text, most_characters) for text in texts)

    return parse


def _checked(name: str, text: str, most: int) -> str:
    if len(text) > most:
        raise UsageError(f"{name} has {len(text)} characters, more than {most}")
    if "\0" in text:
        raise UsageError(f"{name} holds a NUL character")
    return text


_SERIES: Mapping[str, Parse] = {
    "m": _names(MOST_METRICS, _MOST_NAME),
    "x": _choice("step", "time"),
    "from": _real(),
    "to": _real(),
    "width": _whole(1, MOST_WIDTH, 944),
    "s": _real(0, 0.999),
}
_TEXT: Mapping[str, Parse] = {
    "name": _text(_MOST_NAME),
    "after": _whole(0, _MOST_BYTES, None),
    "tail": _whole(1, MOST_LINES, None),
}
PARAMETERS: Mapping[str, Mapping[str, Parse]] = {
    "overview": {},
    "experiment": {},
    "run": {},
    "series": _SERIES,
    "telemetry": {
        "x": _choice("step", "time"),
        "width": _whole(1, MOST_WIDTH, 944),
        "after": _real(),
    },
    "examples": {
        "before": _whole(0, _MOST_BYTES, None),
        "limit": _whole(1, MOST_EXAMPLES, 20),
        "match": _choice("", "yes", "no"),
    },
    "text": _TEXT,
    "compare": {
        "r": _names(MOST_RUNS, MOST_ID),
        "base": _text(MOST_ID),
        "m": _names(MOST_METRICS, _MOST_NAME),
        "at": _text(40),
    },
}
"""A page → its parameters."""


def scope_of(page: str, id: str, query: Sequence[tuple[str, str]]) -> Scope:
    """What a request asks for, by its page, the id in its path and its query.

    Raises:
        UsageError: a parameter is not known, or out of its bounds.
    """
    _checked("the id", id, MOST_ID)
    known = PARAMETERS[page]
    texts: dict[str, list[str]] = {}
    for name, text in query:
        if name not in known:
            names = ", ".join(known) or "none"
            raise UsageError(f"there is no parameter {name[:40]!r} here", hint=f"known: {names}")
        texts.setdefault(name, []).append(text)
    values = {name: parse(name, texts.get(name, ())) for name, parse in known.items()}
    _check_range(values.get("from"), values.get("to"))
    return Scope(page, id, tuple(values.items()))


def _check_range(begin: Value, end: Value) -> None:
    if isinstance(begin, float) and isinstance(end, float) and begin > end:
        raise UsageError(f"from={begin:g} lies behind to={end:g}", hint="exchange them")
