"""The first layer: names that are known to be private, wherever they stand in a text.

A text is read once as pieces of letters and of digits; each piece is looked up among the first
pieces of all values, so the number of values costs next to nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.spans import Kind, Span

_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|[^\W\d_A-Za-z]+")
_SHORTEST_NUMBER = 5
"""A shorter job id is any number: it is hidden where the text calls it one (jobs.py)."""
_NOBODY = frozenset(
    {"", "localhost", "local", "root", "user", "users", "admin", "nobody", "ubuntu", "none"}
)
"""Names that say nothing about anybody."""
REASONS: dict[Kind, str] = {
    "path": "a path that the journal names",
    "host": "a host that is named elsewhere",
    "job": "a job id that is named elsewhere",
    "user": "a user who is named elsewhere",
    "account": "an account that is named elsewhere",
    "secret": "a secret of the journal",
}


class Value(NamedTuple):
    """A private value as texts are searched for it, in lower case."""

    kind: Kind
    text: str


def find(text: str, known: Known) -> Iterator[Span]:
    """Where the known values stand in a text."""
    index = _index(known)
    if not index:
        return
    lower = text.lower()
    if len(lower) != len(text):  # a letter whose lower case is two
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    for match in _PIECE.finditer(lower):
        for value in index.get(match[0], ()):
            span = _span_at(lower, match.start(), value)
            if span is not None:
                yield span


def _index(known: Known) -> dict[str, list[Value]]:
    """The values by their first piece."""
    index: dict[str, list[Value]] = {}
    for value in _searched(known):
        first = _PIECE.search(value.text)
        if first is not None:
            index.setdefault(first[0], []).append(value)
    return index


def _searched(known: Known) -> Iterator[Value]:
    for kind in REASONS:
        for value in known.values(kind):
            text = unicodedata.normalize("NFC", value).lower()
            if text not in _NOBODY:
                yield Value(kind, text)


def _span_at(text: str, at: int, value: Value) -> Span | None:
    """The value where its first piece stands at `at`; None: the rest is not there, or it is part of
    a longer word.
    """
    first = _PIECE.search(value.text)
    start = at - (first.start() if first else 0)
    if start < 0 or not text.startswith(value.text, start):
        return None
    end = start + len(value.text)
    if text[start - 1 : start].isalnum() or text[end : end + 1].isalnum():
        return None
    return Span(start, end, value.kind, value.text, REASONS[value.kind])
