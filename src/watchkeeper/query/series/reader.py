"""Metric rows as columns of numbers, read in pieces of whole lines.

A piece is decoded at once; only one that holds a damaged line is decoded line by line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, compress, repeat
from operator import attrgetter, is_not, itemgetter
from pathlib import Path
from types import NoneType
from typing import Any, BinaryIO, NamedTuple

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.query.series.decoders import (
    Decoder,
    Value,
    columns_of,
    narrow_decoder,
    whole_decoder,
)
from watchkeeper.runfolder.metric_rows import value_of
from watchkeeper.runfolder.rows import OUR_FIELDS, decode_fields

PIECE_BYTES = 4 * 2**20
"""How much is decoded at once. A line may be longer."""
SAMPLE_BYTES = 64 * 1024
"""From so much of a file's first piece the names in it are learned, where it is four times as long.
"""
_MOST_FAILURES = 4
"""After so many pieces with a name of their own, those of a file are decoded as any rows."""
_Fields = dict[str, Any]

_any_fields = msgspec.json.Decoder(dict[str, Value])
_figure, _time, _step_field = map(attrgetter, ("figure", "time", "step"))
_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Values(NamedTuple):
    """The values of one metric, in the order written: training steps (NaN for none), seconds since
    1970, and figures, which may be NaN or infinite.
    """

    steps: list[float]
    times: list[float]
    figures: list[float]

    def extend(self, more: Values) -> None:
        """Append other values."""
        self.steps.extend(more.steps)
        self.times.extend(more.times)
        self.figures.extend(more.figures)


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


def pieces(path: Path, begin: int = 0) -> Iterator[Piece]:
    """The rows of a file from this byte on, which begins a line. A line without an end is left: its
    writer may be about to complete it.

    A row is one line of JSON, as `runfolder/rows.py` writes it:

        {"time":"2026-03-11T15:00:00Z","step":400,"loss":0.5,"lr":0.0001}

    Raises:
        OSError: the file cannot be read.
    """
    decoding = _Decoding()
    with open_regular(path) as file:
        file.seek(begin)
        for data in _whole_lines(file):
            yield decoding.piece(begin, data)
            begin += len(data)


class _Decoding:
    """Decodes the pieces of a file: by the names of rows before, where it has no others."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._failures = 0

    def piece(self, begin: int, data: bytes) -> Piece:
        """The rows of whole lines that begin at this byte of the file. A long first piece is begun
        with a sample, so that even its rows are decoded by the names in them.
        """
        if not self._names and len(data) >= 4 * SAMPLE_BYTES:
            end = data.find(b"\n", SAMPLE_BYTES) + 1
            self._learn(_decoded(data[:end]))
        piece = self._of_known_names(begin, data)
        if piece is not None:
            return piece
        read = _decoded(data)
        self._learn(read)
        return _piece(begin, begin + len(data), read)

    def _learn(self, read: _Rows) -> None:
        """Remember the names in some rows."""
        self._names |= dict.fromkeys(chain.from_iterable(read.fields))

    def _of_known_names(self, begin: int, data: bytes) -> Piece | None:
        """The rows of a piece, decoded by the names of rows before.

        None: another name or something damaged is in it, or nothing is known yet. After four such
        pieces it is not tried again: each failure has decoded a part of a piece in vain.
        """
        names = tuple(self._names)
        decoder = None
        if self._failures < _MOST_FAILURES:
            decoder = whole_decoder(names)
        if decoder is None:
            return None
        try:
            columns = columns_of(decoder.decode_lines(data), names)
            times = list(map(datetime.timestamp, columns["time"]))
        except (*_DAMAGE, ValueError, TypeError):
            self._failures += 1
            return None
        steps = [math.nan] * len(times)
        if "step" in columns:
            steps = _as_steps(columns["step"])
        metrics = _metrics(columns.items(), steps, times)
        return Piece(begin, begin + len(data), len(times), is_damaged=False, metrics=metrics)


def read_metric(path: Path, metric: str, begin: int, skip: int, count: int) -> Values:
    """Values of one metric: `count` of them, after the first `skip` behind byte `begin`. The other
    metrics are not decoded. Fewer, where the file ends before.

        values 0, 1, 2, 3 … behind `begin`; skip=2, count=2 → values 2 and 3

    Raises:
        OSError: the file cannot be read.
    """
    values = Values([], [], [])
    for read in _metric_pieces(path, metric, begin):
        values.extend(read)
        if len(values.figures) >= skip + count:
            break
    return Values(
        values.steps[skip : skip + count],
        values.times[skip : skip + count],
        values.figures[skip : skip + count],
    )


def read_figures(path: Path, metric: str, begin: int) -> Iterator[list[float]]:
    """The figures alone of one metric behind byte `begin`, in pieces. No row may be damaged.

    Raises:
        OSError: the file cannot be read.
    """
    decoder = narrow_decoder(metric, with_place=False)
    with open_regular(path) as file:
        file.seek(begin)
        for data in _whole_lines(file):
            yield _figures(data, metric, decoder)


def _figures(data: bytes, metric: str, decoder: Decoder | None) -> list[float]:
    """The values of one metric in whole lines. Lines that the decoder of that metric alone cannot
    read are read as any others.
    """
    if decoder is None:
        return _metric_values(data, metric, None).figures
    try:
        rows = decoder.decode_lines(data)
    except _DAMAGE:
        return _metric_values(data, metric, None).figures
    figures = list(map(_figure, rows))
    if set(map(type, figures)) <= {float}:
        return figures
    # A row without the metric has None here, and one with a text is no figure either.
    numbers = map(value_of, figures)
    return [number for number in numbers if number is not None]


def _metric_pieces(path: Path, metric: str, begin: int) -> Iterator[Values]:
    """The values of one metric from byte `begin` on, in pieces as they are read."""
    decoder = narrow_decoder(metric)
    with open_regular(path) as file:
        file.seek(begin)
        for data in _whole_lines(file):
            yield _metric_values(data, metric, decoder)


def _metric_values(data: bytes, metric: str, decoder: Decoder | None) -> Values:
    """One metric of a piece; the whole rows are decoded where the narrow decoder cannot.

    Empty: no row has the metric. `decoder` None: there is none for a name like this.
    """
    if decoder is not None:
        try:
            return _of_narrow(decoder.decode_lines(data))
        except (*_DAMAGE, ValueError, TypeError):
            pass
    return _piece(0, 0, _decoded(data)).metrics.get(metric, Values([], [], []))


def _of_narrow(rows: list[Any]) -> Values:
    """The values of narrow rows: those with a figure, whose times and steps are read with it.

    Raises:
        TypeError, ValueError: a row has no time.
    """
    figures = list(map(_figure, rows))
    if not set(map(type, figures)) <= {float}:
        numbers = list(map(value_of, figures))
        rows = [row for row, number in zip(rows, numbers, strict=True) if number is not None]
        figures = [number for number in numbers if number is not None]
    texts = map(_time, rows)
    times = list(map(datetime.timestamp, map(datetime.fromisoformat, texts)))
    return Values(_as_steps(list(map(_step_field, rows))), times, figures)


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in pieces that end with a line, of 4 MiB and the rest of a line. What
    follows the last end of a line is left.
    """
    while data := file.read(PIECE_BYTES):
        if not data.endswith(b"\n"):
            data += file.readline()
        if not data.endswith(b"\n"):
            data = data[: data.rfind(b"\n") + 1]
        if not data:
            return
        yield data


def _decoded(data: bytes) -> _Rows:
    """The rows in whole lines, all at once; one by one where a line is damaged."""
    try:
        return _Rows(_any_fields.decode_lines(data), is_damaged=False)
    except _DAMAGE:
        return _line_by_line(data)


def _line_by_line(data: bytes) -> _Rows:
    """The rows of a piece that holds something else, or a number beyond all floats.

    A line that is no row is left out, and the piece is damaged; so is one with a NUL, as which a
    hole in a file is read.
    """
    lines = data.split(b"\n")[:-1]
    decoded = [decode_fields(line) for line in lines]
    fields = [row for row in decoded if row is not None and row.keys() >= OUR_FIELDS]
    return _Rows(fields, is_damaged=len(fields) < len(lines) or b"\0" in data)


def _piece(begin: int, end: int, read: _Rows) -> Piece:
    """What was read from byte `begin` up to `end`: each metric's values, with steps and times."""
    fields, times = _timed(read.fields)
    steps = _as_steps([row.get("step") for row in fields])
    metrics = _metrics(_columns(fields), steps, times)
    is_damaged = read.is_damaged or len(fields) < len(read.fields)
    return Piece(begin, end, len(fields), is_damaged, metrics)


def _metrics(
    columns: Iterable[tuple[str, Sequence[object]]], steps: list[float], times: list[float]
) -> dict[str, Values]:
    """The metrics among the columns that have values: all but the time, the step and what else is
    ours. Each of `steps` and `times` belongs to the row at the same place.
    """
    metrics = {}
    for name, figures in columns:
        if name not in OUR_FIELDS:
            values = _values(figures, steps, times)
            if values.figures:
                metrics[name] = values
    return metrics


def _timed(rows: list[_Fields]) -> tuple[list[_Fields], list[float]]:
    """The rows whose time can be read, and these times in seconds since 1970. Nearly always those
    are all: only if not, each row is looked at.
    """
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
    """Whether this is a time with its zone, as rows have it."""
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _as_steps(steps: list[Any]) -> list[float]:
    """Training steps; NaN for none. A column of floats alone is returned as it is."""
    if set(map(type, steps)) <= {float}:
        return steps
    return list(map(_step, steps))


def _step(step: object) -> float:
    """A row's training step; NaN where it has none."""
    value = value_of(step)
    if value is None or not math.isfinite(value):
        return math.nan
    return value


def _columns(rows: list[_Fields]) -> Iterator[tuple[str, Sequence[object]]]:
    """Each field with its values, None where a row lacks it. Rows of the same fields, as nearly all
    are, are turned at once.
    """
    names: list[str] = []
    if rows:
        names = list(rows[0])
    if all(list(row) == names for row in rows):
        yield from zip(names, zip(*map(dict.values, rows), strict=True), strict=True)
        return
    for name in dict.fromkeys(chain.from_iterable(rows)):
        yield name, _column(name, rows)


def _column(name: str, rows: list[_Fields]) -> Sequence[object]:
    """What each row has under a name; None where a row has none."""
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def _values(column: Sequence[object], steps: list[float], times: list[float]) -> Values:
    """A metric's values. Nearly always all rows have it, as numbers, or lack it.

        figures 0.5, None, "warm", "NaN" at steps 1, 2, 3, 4 → figures 0.5, NaN at steps 1, 4

    Where all rows have it, its steps and times are the very lists that were given.
    """
    kinds = set(map(type, column))
    if kinds <= {float}:
        return Values(steps, times, list(column))  # type: ignore[arg-type]
    numbers = column
    if not kinds <= {float, NoneType}:
        # `value_of` gives None for None.
        numbers = list(map(value_of, column))
    has_number = list(map(is_not, numbers, repeat(None)))
    if all(has_number):
        return Values(steps, times, list(numbers))  # type: ignore[arg-type]
    return Values(
        list(compress(steps, has_number)),
        list(compress(times, has_number)),
        list(compress(numbers, has_number)),  # type: ignore[arg-type]
    )
