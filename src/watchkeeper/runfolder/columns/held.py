"""Metric rows in memory. Each metric is a column of numbers, and a row is made when it is asked
for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, repeat
from typing import Any, NamedTuple, TypeAlias, overload

import msgspec
from msgspec import UNSET

from watchkeeper.runfolder.values import Metric, unspell

Column: TypeAlias = "array[int] | array[float] | list[object]"
_STEP = "step"
"""No metric has this name."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One acknowledged row. `step` is None where the caller gave None; non-finite numbers are
    floats again.
    """

    time: datetime
    step: Metric
    metrics: dict[str, Metric]
    writer: str


class Columns(NamedTuple):
    """Rows that follow each other, as their fields: UNSET stands where a row lacks a metric.
    `steps` and the metrics are spelled as in the file.
    """

    times: list[datetime]
    steps: list[object]
    metrics: dict[str, list[object]]


class _Block:
    """Columns of one kind: rows of the same writer with the same metrics, each of them of one type.

    A writer whose metrics change, such as one that validates now and then, fills several blocks.
    """

    def __init__(self, writer: str, columns: dict[str, Column]) -> None:
        self.writer = writer
        self.times: list[datetime] = []
        self.steps, self.metrics = _empty(columns)

    def takes(self, writer: str, columns: dict[str, Column]) -> bool:
        """Whether columns of another piece can be put behind these: by the same writer, with the
        same metrics in the same order, and of the same types.
        """
        if writer != self.writer:
            return False
        return _kinds(columns) == _kinds({_STEP: self.steps, **self.metrics})

    def extend(self, times: list[datetime], columns: dict[str, Column]) -> None:
        """Put the columns of another piece behind these. `columns` has a value of each column for
        each of the `times`.
        """
        self.times += times
        for name, column in columns.items():
            own = self.steps if name == _STEP else self.metrics[name]
            own.extend(column)  # type: ignore[arg-type]

    def rows(self, begin: int, end: int) -> Iterator[Row]:
        """The rows from the one at `begin` to the one before `end`.

        An array holds a number for each row. Only a list may have UNSET, where a row lacks the
        metric, and only then each row is looked through.
        """
        names = tuple(self.metrics)
        columns = [column[begin:end] for column in self.metrics.values()]
        times, steps = self.times[begin:end], self.steps[begin:end]
        values = zip(*columns, strict=True) if names else repeat((), len(times))
        is_whole = all(isinstance(column, array) for column in columns)
        for time, step, own in zip(times, steps, values, strict=True):
            metrics = dict(zip(names, own, strict=True))
            if not is_whole:
                metrics = {name: value for name, value in metrics.items() if value is not UNSET}
            yield Row(time=time, step=step, metrics=metrics, writer=self.writer)  # type: ignore[arg-type]


class Rows(Sequence[Row]):
    """Rows in the order written, as a sequence that cannot be changed. Equal to a list of the same
    rows; `+` makes a list.

        rows[0], rows[-1], rows[10:20]      rows are made when they are asked for
        len(rows)                           how many there are, without making one

    Each block's place is that of its last row: `_ends` has the number of rows up to its end.
    """

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._ends: list[int] = []

    def add(self, writer: str, columns: Columns) -> None:
        """Put the rows of one writer behind the others: into the last block, if it takes them."""
        if not columns.times:
            return
        packed = _packed(columns)
        if not self._blocks or not self._blocks[-1].takes(writer, packed):
            self._blocks.append(_Block(writer, packed))
            self._ends.append(len(self))
        self._blocks[-1].extend(columns.times, packed)
        self._ends[-1] += len(columns.times)

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Put these rows behind the others, whoever wrote them, one by one: for lines that the
        quick reader of columns left to another one.
        """
        for row in rows:
            metrics: dict[str, list[object]] = {name: [own] for name, own in row.metrics.items()}
            self.add(row.writer, Columns([row.time], [row.step], metrics))

    def extend(self, others: Rows) -> None:
        """Put the rows of another file behind these. The blocks are shared, and not copied."""
        before = len(self)
        self._blocks += others._blocks
        self._ends += [before + end for end in others._ends]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Row]:
        return chain.from_iterable(block.rows(0, len(block.times)) for block in tuple(self._blocks))

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self._row(places)
        return [self._row(place) for place in places]

    def _row(self, place: int) -> Row:
        """The row at a place, counted from 0: in the first block that ends behind it."""
        number = bisect_right(self._ends, place)
        block = self._blocks[number]
        inside = place - self._ends[number] + len(block.times)
        return next(block.rows(inside, inside + 1))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rows | list):
            return NotImplemented
        if len(self) != len(other):
            return False
        return all(own == given for own, given in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Iterable[Row]) -> list[Row]:
        return [*self, *other]

    def __radd__(self, other: Iterable[Row]) -> list[Row]:
        return [*other, *self]

    def __repr__(self) -> str:
        return repr(list(self))


def _packed(columns: Columns) -> dict[str, Column]:
    """The columns as they are kept, the steps under _STEP; those without a value are left out.

    A column that has a value in no row of the piece belongs to another piece's rows.
    """
    packed: dict[str, Column] = {_STEP: _column(columns.steps)}
    for name, values in columns.metrics.items():
        column = _column(values)
        if isinstance(column, array) or any(value is not UNSET for value in column):
            packed[name] = column
    return packed


def _column(values: list[object]) -> Column:
    """The values as they are kept: numbers of one type as an array of eight bytes each, anything
    else as a list, with NaN and infinities as floats again.

    An integer beyond 64 bits keeps its column a list.
    """
    kinds = set(map(type, values))
    numbers: Any = values
    if kinds == {float}:
        return array("d", numbers)
    if kinds == {int}:
        try:
            return array("q", numbers)
        except OverflowError:
            return values
    if str in kinds:
        return list(map(unspell, numbers))
    return values


def _empty(columns: dict[str, Column]) -> tuple[Column, dict[str, Column]]:
    """Columns of the same kinds without a value: that of the steps, and those of the metrics."""
    empty = {name: column[:0] for name, column in columns.items()}
    return empty.pop(_STEP), empty


def _kinds(columns: dict[str, Column]) -> list[tuple[str, str]]:
    """Each column's name and what it holds: `d` floats, `q` integers, "" a list of anything."""
    kinds: list[tuple[str, str]] = []
    for name, column in columns.items():
        code = column.typecode if isinstance(column, array) else ""
        kinds.append((name, code))
    return kinds
