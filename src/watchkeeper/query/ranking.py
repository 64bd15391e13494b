"""Which figure of a metric is the better one: by the rules of `watchkeeper.toml`, else by the
metric's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.settings import FILE_NAME, load
from watchkeeper.report.compare.direction import NO_RULES, Better, better_end

_SIGNS: Mapping[Better, int] = {"more": 1, "less": -1, "": 0}


class Ranking:
    """Which end of a metric is the better one, under some rules. Where there are several sets of
    rules, of runs that lie apart, an end counts that all of them agree on.
    """

    def __init__(self, *rules: Mapping[str, str]) -> None:
        self.rules = rules or (NO_RULES,)
        self._ends: dict[str, Better] = {}

    def better(self, metric: str) -> Better:
        """`more`, `less`, or "" where nobody knows: such a metric has no best. Without rules, that
        of `accuracy` is `more`, of `val_loss` `less`, of `lr` "".
        """
        end = self._ends.get(metric)
        if end is None:
            end = self._ends[metric] = self._agreed(metric)
        return end

    def sign(self, metric: str) -> int:
        """1 where more is better, -1 where less is, 0 where nobody knows."""
        return _SIGNS[self.better(metric)]

    def _agreed(self, metric: str) -> Better:
        """The end that all sets of rules give; "" where they disagree: the runs then have no order
        that holds for each of them.
        """
        ends = {better_end(metric, rules) for rules in self.rules}
        if len(ends) == 1:
            return ends.pop()
        return ""


BY_NAME = Ranking()
"""Where there are no rules."""


def joined(rankings: Iterable[Ranking]) -> Ranking:
    """One ranking for runs under several: each folder's rules count, and must agree on an end."""
    distinct = {id(ranking): ranking for ranking in rankings}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    return Ranking(*(rules for ranking in distinct.values() for rules in ranking.rules))


class Rankings:
    """The rankings that hold in folders, for one answer: each settings file is read once. A file
    that cannot be read rules nothing, and is one of the `problems`.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._known: dict[str, Ranking] = {}

    def of(self, folder: str | Path) -> Ranking:
        """The ranking in a folder, by the nearest `watchkeeper.toml` at or above it and the user's
        own settings.
        """
        return self.of_real(os.path.realpath(folder))

    def of_real(self, folder: str) -> Ranking:
        """The same of a folder whose path is its real one."""
        ranking = self._known.get(folder)
        if ranking is None:
            ranking = self._known[folder] = self._find(folder)
        return ranking

    def _find(self, folder: str) -> Ranking:
        """The ranking of a folder that was not asked about yet: by its own settings file, else that
        of the folder above. At the root, the user's own settings are left.
        """
        above = os.path.dirname(folder)  # noqa: PTH120 - faster for thousands of folders
        if above == folder or os.path.isfile(f"{folder}/{FILE_NAME}"):  # noqa: PTH113
            return self._read(folder)
        return self.of_real(above)

    def _read(self, folder: str) -> Ranking:
        """The ranking by the settings that hold in a folder; `BY_NAME` where they have no rules, or
        cannot be read, which is one of the `problems`.
        """
        try:
            rules = load(Path(folder), acts=False).metrics
        except UsageError as error:
            self.problems.append(
                Problem(
                    where=folder,
                    message=f"the rules for metrics are not read: {error}",
                    hint=error.hint,
                    severity="warning",
                    code="settings-not-read",
                )
            )
            return BY_NAME
        if not rules:
            return BY_NAME
        return Ranking(rules)
