"""Putting words into a shell script that is not run for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TUNE_RUN = re.compile(r"(?<![\w.-])tune(?:[ \t]|\\\n)+run(?=[ \t\\])")


def with_overrides(text: str, overrides: Sequence[str]) -> str | None:
    """The script with these words behind those of its one `tune run`; None where it has none, or
    several, or that call's end cannot be told.
    """
    found = list(_TUNE_RUN.finditer(text))
    if len(found) != 1 or (end := _end_of_call(text, found[0].end())) is None:
        return None
    return f"{text[:end]} {' '.join(overrides)}{text[end:]}"


def _end_of_call(text: str, start: int) -> int | None:
    """Where the words of a simple command end that goes on at `start`: behind its last word, before
    `;`, `|`, `&`, a redirection, a comment or the line's end. None where a quote or a bracket is
    not closed.
    """
    at = end = start
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            joined = text[at + 1 : at + 2] == "\n"
            at += 2
            if not (joined):
                end = at
        elif sign in "'\"`":
            at = (
                text.find(sign, at + 1) + 1
            )  # a quote within such a quote is rare, and seen when the result is read back
            if not at:
                return None
            end = at
        elif text.startswith(("$(", "${"), at):
            at = text.find(")" if text[at + 1] == "(" else "}", at) + 1
            if not at:
                return None
            end = at
        elif sign in "\n;&|)" or (sign == "#" and end < at):
            return end
        elif sign in "<>":
            digits = len(text[:at]) - len(text[:at].rstrip("0123456789"))
            if digits and text[at - digits - 1] in " \t":
                return _behind_words(text, start, at - digits)
            return end
        else:
            at += 1
            if sign not in " \t":
                end = at
    return end


def _behind_words(text: str, start: int, at: int) -> int:
    return max(start, len(text[:at].rstrip(" \t")))
