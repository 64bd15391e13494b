"""Putting words into a shell script that is not run for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from watchkeeper.core.text import lazy

_TUNE_RUN = lazy.pattern(r"(?<![\w.-])tune(?:[ \t]|\\\n)+run(?=[ \t\\])")
# The pieces of a simple command. A bracket or a quote ends at the first sign that closes it: one
# within another is rare, and seen when the result is read back.
_PIECE = lazy.pattern(
    r"""
      (?P<gap> [ \t] | \\\n )
    | (?P<word> \\.? | '[^']*' | "[^"]*" | `[^`]*` | \$\([^)]*\) | \$\{[^}]*\} )
    | (?P<unclosed> ['"`] | \$[({] )
    | (?P<operator> [\n;&|)] )
    | (?P<redirection> [<>] )
    | (?P<comment> \# )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def with_overrides(text: str, overrides: Sequence[str]) -> str | None:
    """The script with these words behind those of its one `tune run`; None where it has none, or
    several, or the end of that call is unclear.

    `tune run lora --config a.yaml > log` with `["batch_size=4"]` becomes `tune run lora --config
    a.yaml batch_size=4 > log`.
    """
    calls = list(_TUNE_RUN.finditer(text))
    if len(calls) != 1:
        return None
    end = _end_of_call(text, calls[0].end())
    if end is None:
        return None
    return f"{text[:end]} {' '.join(overrides)}{text[end:]}"


def _end_of_call(text: str, start: int) -> int | None:
    """Where the words of the simple command end that continues at `start`: behind its last word,
    before `;`, `|`, `&`, a redirection, a comment or the line's end. None where a quote or a
    bracket is not closed.
    """
    end = start
    for piece in _PIECE.finditer(text, start):
        kind = piece.lastgroup
        if kind == "unclosed":
            return None
        if kind == "operator":
            return end
        if kind == "comment" and end < piece.start():
            return end
        if kind == "redirection":
            return _before_redirection(text, start, piece.start(), end)
        if kind != "gap":
            end = piece.end()
    return end


def _before_redirection(text: str, start: int, at: int, end: int) -> int:
    """Where the words before a redirection at `at` end: before the number that belongs to it
    (`2>&1`) too, else at `end`.
    """
    before = text[:at].rstrip("0123456789")
    is_numbered = len(before) < at and before[-1] in " \t"
    if not is_numbered:
        return end
    return max(start, len(before.rstrip(" \t")))
