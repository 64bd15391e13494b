"""Which logs a timeline names, in whatever form a person wrote them."""

from __future__ import annotations

import re
from collections import defaultdict

from watchkeeper.core.text import lazy

_WORD = lazy.pattern(r"[\w-]+")
_DAYS = lazy.pattern(r"(?=(\d{4}-\d{2}-\d{2}))")
_DAY = lazy.pattern(r"\d{4}-\d{2}-\d{2}")


class TimelineNames:
    """The names in one timeline. The page is looked through once, however many logs are asked
    for.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._begins: dict[str, list[int]] = defaultdict(list)
        """Where each word of letters, digits, `_` and `-` begins."""
        for match in _WORD.finditer(text):
            self._begins[match[0]].append(match.start())
        self._lines = text.splitlines()
        self._dated: dict[str, list[str]] = defaultdict(list)
        for line in self._lines:
            for day in dict.fromkeys(_DAYS.findall(line)):
                self._dated[day].append(line)

    def has(self, name: str) -> bool:
        """Whether the timeline names a log: by its file, by its name without the ending, or by its
        date and task in one line.

            1. `2026-02-20_train_long.md` — Friday, Feb 20th
            - [long one](2026-02-20_train_long.md)
            2026-02-20: Train long

        each name `2026-02-20_train_long.md`, and `2026-02-20_train_long-2.md` does not.
        """
        stem = name.removesuffix(".md")
        if self._has_stem(stem):
            return True
        day, _, task = stem.partition("_")
        if not task:
            return False
        words = rf"(?<![\w-]){re.escape(task)}(?![\w-])".replace("_", "[ _-]")
        spelled = re.compile(words, re.IGNORECASE)
        return any(spelled.search(line.replace(day, "")) for line in self._lines_with(day))

    def _has_stem(self, stem: str) -> bool:
        """Whether the name stands there, and is not part of a longer one.

        A name that begins with another letter than those of words is searched for in the whole
        text.
        """
        first = _WORD.match(stem)
        if first is None:
            return re.search(rf"(?<![\w-]){re.escape(stem)}(?![\w-])", self._text) is not None
        for begin in self._begins.get(first[0], ()):
            end = begin + len(stem)
            if self._text.startswith(stem, begin) and not _WORD.match(self._text, end):
                return True
        return False

    def _lines_with(self, day: str) -> list[str]:
        """The lines that hold a day, in the order of the page. What is no day (`draft` of
        `draft_train.md`) is searched for in each line.
        """
        if _DAY.fullmatch(day):
            return self._dated.get(day, [])
        return [line for line in self._lines if day in line]
