"""Which columns of a chart's lines are new, as an open page applies them. Pure.

Most of a line stays as it was while a run advances: only its last columns are sent. Where the
columns have become wider, all of that line are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

COLUMNS = ("x", "min", "max", "smooth", "n", "other")
"""The lists of a line that have an entry for each column."""
Line = Mapping[str, Any]


def added_columns(
    before: Mapping[str, Any], after: Mapping[str, Any], most: int
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """What is new in a `Series`, as an event of at most about `most` bytes, and the series that
    leads to: `after` itself, or with the lines that did not fit as they were. The first line is
    sent whatever its size.
    """
    old = {_name(line): line for line in before["lines"]}
    lines: list[dict[str, Any]] = []
    state: list[Line] = []
    left_out = 0
    size = 0
    for line in after["lines"]:
        known = old.get(_name(line))
        if known == line:
            state.append(line)
            continue
        added = _added(known, line)
        size += len(msgspec.json.encode(added))
        if size > most and lines:
            left_out += 1
            state += [known] if known is not None else []
            continue
        lines.append(added)
        state.append(line)
    rest = {name: value for name, value in after.items() if name != "lines"}
    names = [list(_name(line)) for line in state]
    event = {**rest, "lines": lines, "names": names, "cut": left_out}
    if left_out:
        return event, {**after, "lines": state}
    return event, after


def _name(line: Line) -> tuple[str, int, bool]:
    return (line["metric"], line["attempt"], line["superseded"])


def _added(before: Line | None, after: Line) -> dict[str, Any]:
    """The line with the columns from `start` on."""
    start = _same_columns(before, after) if before is not None else 0
    added = {name: after[name][start:] for name in COLUMNS}
    return {**after, **added, "start": start}


def _same_columns(before: Line, after: Line) -> int:
    """How many columns from the left are the same in both."""
    most = min(len(before["x"]), len(after["x"]))
    same = most
    for name in COLUMNS:
        old, new = before[name], after[name]
        while same and old[:same] != new[:same]:
            same = _first_difference(old, new, same)
    return same


def _first_difference(old: list[Any], new: list[Any], most: int) -> int:
    """The first of `most` places at which two lists differ."""
    for place in range(most):
        if old[place : place + 1] != new[place : place + 1]:
            return place
    return most
