r"""A line as it reads once its escapes are undone, and where each character of that stands.

A path can be written `%2Fhome%2Fann`, `\/home\/ann`, `&#47;home&#47;ann`, with a zero-width
space in it, or in letters of full width. What is private in the plain line is private in that one.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_ENCODED = re.compile(
    r"%[0-9A-Fa-f]{2}|\\[^\s]|&(?:#|[A-Za-z]{2,10};)"
    r"|[\u00ad\u0300-\u036f\u200b-\u200f\u2060\ufeff]"
)
_UNIT = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2}){1,400})"
    r"|(?P<point>\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2})"
    r"|(?P<space>\\[nrt ])"
    r"|(?P<escaped>\\[^\w\s])"
    r"|(?P<entity>&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,10});)"
    r"|(?P<nothing>[\u00ad\u200b-\u200f\u2060\ufeff])"
    r"|(?P<letter>[^\x00-\x7f]?[\u0300-\u036f]{1,8}|[A-Za-z][\u0300-\u036f]{1,8}|[^\x00-\x7f])"
)
_MOST_ROUNDS = 3
"""How many times over a line may be encoded."""


class View(NamedTuple):
    """A plain text; its character `i` stands for those from `starts[i]` to `ends[i]`."""

    text: str
    starts: list[int]
    ends: list[int]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the whole text that stands for the characters from `start` to `end` of
        this one.
        """
        return self.starts[start], self.ends[end - 1]


def plain_lines(text: str) -> Iterator[View]:
    """The lines of a text that read otherwise once their escapes are undone.

    Each is given with where its characters stand in the whole text. A line without escapes is not
    yielded: it is searched as it stands.
    """
    at = 0
    for line in text.splitlines(keepends=True):
        if _is_encoded(line):
            yield _plain(line, at)
        at += len(line)


def _is_encoded(line: str) -> bool:
    """Whether a line may read otherwise: a quick look, as nearly no line of a log does.

    Letters of full width (`／ｈｏｍｅ`) have no escape, and are not in normal form (NFKC).
    """
    if _ENCODED.search(line):
        return True
    return not line.isascii() and not unicodedata.is_normalized("NFKC", line)


def _plain(line: str, offset: int) -> View:
    """The view of a line that begins at `offset` in the text.

    It is undone up to three times: `%252Fhome` is `%2Fhome`, and that is `/home`.
    """
    view = View(line, list(range(offset, offset + len(line))), [])
    view = view._replace(ends=[start + 1 for start in view.starts])
    for _ in range(_MOST_ROUNDS):
        following = _decoded(view)
        if following.text == view.text:
            break
        view = following
    return view


def _decoded(view: View) -> View:
    """The view with each of its escapes undone once. Each character that an escape stands for
    spans the whole of the escape, so that what is hidden is never half of one.
    """
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for match in _UNIT.finditer(view.text):
        parts.append(view.text[at : match.start()])
        starts += view.starts[at : match.start()]
        ends += view.ends[at : match.start()]
        plain = _plain_unit(match)
        parts.append(plain)
        starts += [view.starts[match.start()]] * len(plain)
        ends += [view.ends[match.end() - 1]] * len(plain)
        at = match.end()
    parts.append(view.text[at:])
    return View("".join(parts), starts + view.starts[at:], ends + view.ends[at:])


def _plain_unit(match: re.Match[str]) -> str:
    r"""What one escape stands for: `%2F` and `&#47;` for a slash, `\n` for a blank, a zero-width
    space for nothing, `ｈ` for `h`.
    """
    unit = match[0]
    match match.lastgroup:
        case "percent":
            return unquote_to_bytes(unit).decode("utf-8", "replace")
        case "point":
            return chr(int(unit[2:], 16))
        case "space":
            return " "
        case "escaped":
            return unit[1]
        case "entity":
            return html.unescape(unit)
        case "nothing":
            return ""
    return unicodedata.normalize("NFKC", unit)
