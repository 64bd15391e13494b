"""Metric rows as columns of numbers, read in pieces of whole lines.

A piece is decoded at once; only one that holds a damaged line is decoded line by line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.runfolder.metric_rows import value_of
from watchkeeper.runfolder.rows import OUR_FIELDS, decode_fields

PIECE_BYTES = 2**20
"""How much is decoded at once. A line may be longer."""
_PLAIN_NAME = re.compile(r'[^"\\\x00-\x1f]+')
"""The names that a decoder of one metric can have."""
_Value = float | bool | str | None
_Fields = dict[str, Any]

_all_fields = msgspec.json.Decoder(dict[str, _Value])
_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Values(NamedTuple):
    """The values of one metric, in the order written: training steps (NaN for none), seconds since
    1970, and figures, which may be NaN or infinite.
    """

    steps: list[float]
    times: list[float]
    figures: list[float]


class Piece(NamedTuple):
    """Some rows that follow each other: the file's bytes from `begin` to `end`. The metrics that
    all rows have share their lists of steps and times. `is_damaged`: a line of it was no row.
    """

    begin: int
    end: int
    rows: int
    is_damaged: bool
    metrics: dict[str, Values]


class _Rows(NamedTuple):
    fields: list[_Fields]
    is_damaged: bool


def pieces(path: Path, begin: int = 0, metric: str | None = None) -> Iterator[Piece]:
    """The rows of a file from this byte on, which begins a line. A line without an end is left.
    `metric`: read only that one, which is faster.

    Raises:
        OSError: the file cannot be read.
    """
    decoder = _all_fields
    if metric is not None and _PLAIN_NAME.fullmatch(metric):
        decoder = _narrow(metric)
    with open_regular(path) as file:
        file.seek(begin)
        for data in _whole_lines(file):
            end = begin + len(data)
            yield _piece(begin, end, _decoded(data, decoder))
            begin = end


def read_metric(path: Path, metric: str, begin: int, skip: int, count: int) -> Values:
    """Values of one metric: `count` of them, after the first `skip` behind byte `begin`.

    Raises:
        OSError: the file cannot be read.
    """
    values = Values([], [], [])
    for piece in pieces(path, begin, metric):
        read = piece.metrics.get(metric)
        if read is None:
            continue
        for column, more in zip(values, read, strict=True):
            column.extend(more)
        if len(values.figures) >= skip + count:
            break
    return Values(*(column[skip : skip + count] for column in values))


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in pieces that end with a line."""
    while data := file.read(PIECE_BYTES):
        if not data.endswith(b"\n"):
            data += file.readline()
        if not data.endswith(b"\n"):
            data = data[: data.rfind(b"\n") + 1]
        if not data:
            return
        yield data


def _narrow(metric: str) -> msgspec.json.Decoder[Any]:
    """A decoder that skips all metrics but one."""
    fields: list[tuple[str, Any, Any]] = [
        ("time", str | None, None),
        ("step", _Value, None),
        ("figure", _Value | msgspec.UnsetType, msgspec.UNSET),
    ]
    row = msgspec.defstruct("Row", fields, rename={"figure": metric}, gc=False)
    return msgspec.json.Decoder(row)


def _decoded(data: bytes, decoder: msgspec.json.Decoder[Any]) -> _Rows:
    try:
        rows = decoder.decode_lines(data)
    except _DAMAGE:
        return _line_by_line(data)
    if decoder is _all_fields:
        return _Rows(rows, is_damaged=False)
    metric = decoder.type.__struct_encode_fields__[-1]
    fields = [
        {"time": row.time, "step": row.step, metric: row.figure}
        for row in rows
        if row.figure is not msgspec.UNSET
    ]
    return _Rows(fields, is_damaged=False)


def _line_by_line(data: bytes) -> _Rows:
    """The rows of a piece that holds something else, or a number beyond all floats."""
    lines = data.split(b"\n")[:-1]
    decoded = [decode_fields(line) for line in lines]
    fields = [row for row in decoded if row is not None and row.keys() >= OUR_FIELDS]
    return _Rows(fields, is_damaged=len(fields) < len(lines) or b"\0" in data)


def _piece(begin: int, end: int, read: _Rows) -> Piece:
    fields, times = _timed(read.fields)
    steps = _steps(fields)
    names = dict.fromkeys(chain.from_iterable(fields))
    metrics = {}
    for name in names:
        if name not in OUR_FIELDS:
            values = _values(name, fields, steps, times)
            if values.figures:
                metrics[name] = values
    is_damaged = read.is_damaged or len(fields) < len(read.fields)
    return Piece(begin, end, len(fields), is_damaged, metrics)


def _timed(rows: list[_Fields]) -> tuple[list[_Fields], list[float]]:
    """The rows whose time can be read, and these times in seconds since 1970."""
    try:
        return rows, _seconds(rows)
    except (KeyError, ValueError, TypeError):
        pass
    good = [row for row in rows if _is_time(row.get("time"))]
    return good, _seconds(good)


def _seconds(rows: list[_Fields]) -> list[float]:
    """The rows' times. As maps of functions in C these take half of the time of a loop."""
    texts = map(itemgetter("time"), rows)
    return list(map(datetime.timestamp, map(datetime.fromisoformat, texts)))


def _is_time(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _steps(rows: list[_Fields]) -> list[float]:
    """The rows' training steps; NaN for none."""
    steps = [row.get("step") for row in rows]
    if set(map(type, steps)) <= {float}:
        return steps  # type: ignore[return-value]
    return list(map(_step, steps))


def _step(step: object) -> float:
    value = value_of(step)
    if value is None or not math.isfinite(value):
        return math.nan
    return value


def _values(name: str, rows: list[_Fields], steps: list[float], times: list[float]) -> Values:
    """A metric's values. Nearly always all rows have it, as numbers."""
    try:
        figures = list(map(itemgetter(name), rows))
    except KeyError:
        return _some_values(name, rows, steps, times)
    if set(map(type, figures)) <= {float}:
        return Values(steps, times, figures)
    numbers = list(map(value_of, figures))
    if None not in numbers:
        return Values(steps, times, numbers)  # type: ignore[arg-type]
    return _some_values(name, rows, steps, times)


def _some_values(name: str, rows: list[_Fields], steps: list[float], times: list[float]) -> Values:
    """The values of a metric that some of the rows lack, or have a text for."""
    values = Values([], [], [])
    for place, row in enumerate(rows):
        if name in row:
            number = value_of(row[name])
            if number is not None:
                values.steps.append(steps[place])
                values.times.append(times[place])
                values.figures.append(number)
    return values
