"""Points of a line put into the columns of a chart. Pure.

A column holds the least and the greatest value in it, the last smoothed one, and how many values.
Up to two values a column the values themselves are given. A column's `x` is that of its last value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from operator import le
from typing import Any, NamedTuple

PAUSE_S = 60.0
PAUSE_FACTOR = 10
"""A line breaks at a pause of a minute that is ten times the median one."""
_EIGHTHS = 8


class Points(NamedTuple):
    """Values, or blocks of them: the last `x` of each and its place on the other axis (NaN: none),
    its least, greatest and last smoothed value, all finite, how many values it has, and its first
    and last second.
    """

    x: list[float]
    other: list[float]
    low: list[float]
    high: list[float]
    smooth: list[float]
    n: list[int]
    first_time: list[float]
    time: list[float]

    def add(
        self,
        places: tuple[float, float],
        figures: tuple[float, float, float],
        n: int,
        times: tuple[float, float],
    ) -> None:
        """Append a point: its place on both axes, its three figures, its count and its times."""
        self.x.append(places[0])
        self.other.append(places[1])
        self.low.append(figures[0])
        self.high.append(figures[1])
        self.smooth.append(figures[2])
        self.n.append(n)
        self.first_time.append(times[0])
        self.time.append(times[1])

    def extend(self, more: Points) -> None:
        """Append the points of another line."""
        self.x.extend(more.x)
        self.other.extend(more.other)
        self.low.extend(more.low)
        self.high.extend(more.high)
        self.smooth.extend(more.smooth)
        self.n.extend(more.n)
        self.first_time.extend(more.first_time)
        self.time.extend(more.time)

    def sort(self) -> None:
        """Order the points from left to right, those of one place as they were written."""
        if all(map(le, self.x, islice(self.x, 1, None))):
            return
        order = sorted(range(len(self.x)), key=self.x.__getitem__)
        columns: Sequence[list[Any]] = self
        for column in columns:
            column[:] = map(column.__getitem__, order)


def no_points() -> Points:
    """A line without a point."""
    return Points([], [], [], [], [], [], [], [])


class Columns(NamedTuple):
    """What is drawn. Before a break of the line stands a column of None with no values."""

    x: list[float | None]
    other: list[float | None]
    low: list[float | None]
    high: list[float | None]
    smooth: list[float | None]
    n: list[int]


class Grid(NamedTuple):
    """The columns of a chart: from `begin` to `end`, `size` wide. Their edges are multiples of
    `size`, which changes only when the range has grown by an eighth: what was drawn stays.
    """

    begin: float
    end: float
    size: float

    def column(self, x: float) -> int:
        """The number of the column at this place."""
        if not self.size:
            return 0
        return math.floor(x / self.size)


def grid_of(begin: float, end: float, width: int) -> Grid:
    """The grid of at most `width` columns over a range. Of width 1 there is one column."""
    exact = (end - begin) / max(1, width - 1)
    if width == 1 or exact <= 0 or not math.isfinite(exact):
        return Grid(begin, end, 0.0)
    mantissa, exponent = math.frexp(exact)
    return Grid(begin, end, math.ldexp(math.ceil(mantissa * 2 * _EIGHTHS), exponent) / 2 / _EIGHTHS)


def pause_limit(pauses: Sequence[float]) -> float:
    """From which pause on a line breaks, in seconds. `pauses` are those between its values."""
    if not pauses:
        return PAUSE_S
    return max(PAUSE_S, PAUSE_FACTOR * sorted(pauses)[len(pauses) // 2])


def in_columns(points: Points, grid: Grid, limit: float | None) -> Columns:
    """Points, sorted by `x`, in the columns of a grid. `limit`: from which pause on the line
    breaks, in seconds; None: it never does.
    """
    breaks = _breaks(points, limit)
    if sum(points.n) <= 2 * _spanned(points.x, grid):
        groups = [(place, place + 1) for place in range(len(points.x))]
    else:
        groups = _groups(points.x, grid)
    columns = Columns([], [], [], [], [], [])
    for begin, end in groups:
        if begin in breaks:
            _add_break(columns)
        _add(columns, points, begin, end)
    return columns


def _spanned(x: Sequence[float], grid: Grid) -> int:
    """Over how many columns the points reach."""
    if not x:
        return 0
    return grid.column(x[-1]) - grid.column(x[0]) + 1


def _breaks(points: Points, limit: float | None) -> set[int]:
    """The places before which the line breaks."""
    if limit is None:
        return set()
    pauses = zip(points.time, points.first_time[1:], strict=False)
    return {place for place, (before, after) in enumerate(pauses, 1) if after - before >= limit}


def _groups(x: Sequence[float], grid: Grid) -> list[tuple[int, int]]:
    """The first place of each column's points, and the one behind its last."""
    if not x:
        return []
    columns = list(map(grid.column, x))
    edges = [place for place, (one, other) in enumerate(pairwise(columns), 1) if one != other]
    return list(pairwise([0, *edges, len(x)]))


def _add_break(columns: Columns) -> None:
    """Add a column that breaks the line: the run paused there."""
    for column in columns[:5]:
        column.append(None)
    columns.n.append(0)


def _add(columns: Columns, points: Points, begin: int, end: int) -> None:
    """Add the points from `begin` up to `end` as one column, which stands where the last of them
    does.
    """
    columns.x.append(points.x[end - 1])
    columns.other.append(_known(points.other[end - 1]))
    columns.low.append(min(points.low[begin:end]))
    columns.high.append(max(points.high[begin:end]))
    columns.smooth.append(points.smooth[end - 1])
    columns.n.append(sum(points.n[begin:end]))


def _known(value: float) -> float | None:
    """A value; None for NaN, which stands for none."""
    if math.isnan(value):
        return None
    return value
