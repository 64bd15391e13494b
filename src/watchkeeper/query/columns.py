"""The metric rows of recorded runs as typed columns, for DataFrames and for files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from watchkeeper.runfolder.columns.held import Row
from watchkeeper.runfolder.values import spell

Kind = Literal["text", "int", "float", "bool", "time"]
Value = str | int | float | bool | datetime | None

OURS = ("run", "pipeline", "execution", "time", "step")
"""The columns that every table has, before those of the metrics."""

_LEAST_INT, _MOST_INT = -(2**63), 2**63 - 1


class PlacedRow(NamedTuple):
    """A row with the name of its run, its pipeline, and the number of its execution, from 1."""

    run: str
    pipeline: str
    execution: int
    row: Row


class Column(NamedTuple):
    """A column: `values` has one value per row, None where the row has none."""

    name: str
    kind: Kind
    values: Sequence[Value]


def columns_of(rows: Sequence[PlacedRow]) -> list[Column]:
    """`OURS`, then a column per metric, in the order in which the metrics first occur.

    A metric with the name of one of `OURS` gets an underscore behind its name. Numbers of 64 bits
    are `int`; a metric that is sometimes a text is `text` throughout.

        step 1: loss 0.5, note "warm"     →  run  pipeline  execution  time  step  loss  note
        step 2: loss 0.4                                                        1   0.5  warm
                                                                                2   0.4  None
    """
    names = metric_names(rows)
    steps: list[Value] = [placed.row.step for placed in rows]
    return [
        Column("run", "text", [placed.run for placed in rows]),
        Column("pipeline", "text", [placed.pipeline for placed in rows]),
        Column("execution", "int", [placed.execution for placed in rows]),
        Column("time", "time", [placed.row.time for placed in rows]),
        _typed("step", steps),
        *(
            _typed(column, [placed.row.metrics.get(metric) for placed in rows])
            for metric, column in names.items()
        ),
    ]


def metric_names(rows: Iterable[PlacedRow]) -> dict[str, str]:
    """Each metric's name, and the name of its column: itself, but `step_` for a metric `step`, and
    `step__` where there is a metric `step_` as well.

        {"loss": "loss", "step": "step_"}
    """
    metrics: dict[str, None] = {}
    for placed in rows:
        metrics.update(dict.fromkeys(placed.row.metrics))
    names: dict[str, str] = {}
    taken = {*OURS, *metrics}
    for metric in metrics:
        column = metric
        if metric in OURS:
            # The names of the metrics themselves stay as they are, so they are taken as well.
            while column in taken:
                column += "_"
            taken.add(column)
        names[metric] = column
    return names


def _typed(name: str, values: list[Value]) -> Column:
    """A column of one kind: that which holds all of its values.

        [1, 0.5, None] → float: [1.0, 0.5, None]
        [1, "warm"]    → text: ["1", "warm"]

    Values of another kind are brought to it; None stays, as what a row does not have.
    """
    kind = _kind_of(values)
    convert: Callable[[Value], Value]
    if kind == "float":
        convert = _float
    elif kind == "text":
        convert = as_text
    else:
        return Column(name, kind, values)
    typed: list[Value] = []
    for value in values:
        if value is None:
            typed.append(None)
        else:
            typed.append(convert(value))
    return Column(name, kind, typed)


def _kind_of(values: Iterable[Value]) -> Kind:
    """The kind that holds all of these values. Integers beside floats are floats, whatever stands
    beside a text is a text; a column without any value is one of floats.
    """
    kinds = {_kind(value) for value in values if value is not None}
    if not kinds:
        return "float"
    if len(kinds) == 1:
        return kinds.pop()
    if kinds == {"int", "float"}:
        return "float"
    return "text"


def _kind(value: Value) -> Kind:
    """The kind of one value. An integer that needs more than 64 bits counts as a float."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if _LEAST_INT <= value <= _MOST_INT:
            return "int"
        return "float"
    if isinstance(value, float):
        return "float"
    return "text"


def _float(value: Value) -> float:
    """A number as a float; infinite where it is larger than any."""
    assert isinstance(value, int | float)
    try:
        return float(value)
    except OverflowError:
        if value > 0:
            return math.inf
        return -math.inf


def as_text(value: Value) -> str:
    """A value as files of text have it: times in ISO 8601, `NaN` and `Infinity` by these names,
    other figures as Python prints them: `0.0001` for 1e-4, `True`.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return str(spell(value))
    return str(value)
