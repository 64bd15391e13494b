"""Patterns tried only near words that they need: most of a long log is never looked at twice.

Finding a word costs next to nothing, a pattern some hundred times as much.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_BEFORE = 240
_BEHIND = 480
"""How many characters around a word are searched: more than any pattern needs to begin."""


def lower(text: str) -> str:
    """The text in lower case, each letter in its place.

    A few letters become two in lower case (`İ`); those stay as they are, so that a place in the
    result is the same place in the text.
    """
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(map(_lower_letter, text))


def _lower_letter(letter: str) -> str:
    """The letter in lower case; itself where that would be more than one."""
    small = letter.lower()
    if len(small) != 1:
        return letter
    return small


def matches(
    pattern: re.Pattern[str], text: str, small: str, words: Iterable[str]
) -> Iterator[re.Match[str]]:
    """The matches of a pattern near these words, in order.

    `small` is the text in lower case (`lower`), as the words are. The words must be such that each
    match of the pattern holds one of them: what stands far from all of them is not searched.
    """
    for start, end in windows(small, words):
        for match in pattern.finditer(text, start, end):
            if match.end() < end:
                yield match
                continue
            whole = pattern.match(text, match.start())  # it may continue behind the window
            if whole is not None:
                yield whole


def windows(small: str, words: Iterable[str]) -> list[tuple[int, int]]:
    """The stretches around these words, in order and apart from each other.

    Each is (start, end), in characters of `small`; `end` may lie behind the end of the text. An
    empty list: none of the words is in it.
    """
    places: set[int] = set()
    for word in words:
        places.update(_places(small, word))
    stretches: list[tuple[int, int]] = []
    for at in sorted(places):
        start, end = max(0, at - _BEFORE), at + _BEHIND
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], end)
        else:
            stretches.append((start, end))
    return stretches


def _places(small: str, word: str) -> Iterator[int]:
    """Where a word stands. Of several within 240 characters the first: its window covers them."""
    at = small.find(word)
    while at >= 0:
        yield at
        at = small.find(word, at + _BEFORE)
