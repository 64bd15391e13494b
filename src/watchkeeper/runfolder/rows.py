"""The format of metric rows, and their one reader.

One JSON line each, flat, in an append-only file per writer: `.watchkeeper/metrics/WRITER.jsonl`,
{"time", "step", and the metrics}. They are bulk and source data, kept apart from the journal's
events and never rewritten. `pandas.read_json(path, lines=True)` reads a file as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.files import lines_of, open_regular
from watchkeeper.core.errors import Problem
from watchkeeper.runfolder.columns.decoding import DAMAGE, Decoding
from watchkeeper.runfolder.columns.held import Row, Rows
from watchkeeper.runfolder.values import (
    INT_BITS,
    Metric,
    flat,
    metric,
    spell,
    text,
    training_step,
    unspell,
)

SUFFIX = ".jsonl"
OUR_FIELDS = frozenset({"time", "step"})

_encode = msgspec.json.Encoder().encode
_PLAIN = frozenset({int, float})
_MOST = sys.float_info.max
_PIECE_BYTES = 64 * 1024
"""How much is decoded at once: what a processor has at hand."""
_decoder = msgspec.json.Decoder(dict[str, Any])


def _free_name(name: str, *taken: Container[str]) -> str:
    """The name, with underscores behind it until it is in none of these: `time_`, `time__`."""
    while any(name in names for names in taken):
        name += "_"
    return name


def encode_row(time: datetime, step: object, metrics: dict[str, Any]) -> bytes:
    """The row's line. A metric named like a field of ours, `time` or `step`, gets an underscore
    behind its name. A step that is no number is kept as `step_`, and the row has none.

        {"time":"2026-03-11T15:00:00Z","step":400,"loss":0.5,"lr":0.0001}
        {"time":"2026-03-11T15:00:00Z","step":401,"loss":"NaN","time_":3.2}

    `metrics` are as the caller gave them: numbers of any library, texts, mappings.
    """
    # Nearly every row: finite numbers under names of their own. Only numbers add up to a plain
    # number, and only finite ones to a finite one; the parts put together were measured faster than
    # one merged dict.
    if metrics and step.__class__ is int and "time" not in metrics and "step" not in metrics:
        try:
            total = sum(metrics.values())
            if total.__class__ in _PLAIN and -_MOST <= total <= _MOST:  # type: ignore[operator]
                return b'{"time":%b,"step":%d,%b\n' % (_encode(time), step, _encode(metrics)[1:])
        except Exception:  # whatever a user's value may raise: _encode_any has an answer to each
            pass
    return _encode_any(time, step, metrics)


def _encode_any(time: datetime, step: object, metrics: dict[str, Any]) -> bytes:
    """The line of any row, whatever its values are: what `encode_row` leaves to it. Mappings among
    the metrics are opened: `{"train": {"loss": 0.5}}` is `train/loss`.
    """
    at = training_step(step)
    row: dict[str, Any] = {"time": time, "step": at}
    if at is None and step is not None:
        row[_free_name("step_", metrics)] = metric(step)
    for given, value in flat(metrics):
        row[_name(given, row, metrics)] = _value(value)
    return _encode(row) + b"\n"


def _name(given: str, row: Container[str], metrics: Container[str]) -> str:
    """A name that the row does not have yet, as UTF-8 can hold it. `metrics` are the names that are
    still to come: `loss_` is not given to a second `loss` where the caller has one.

    The commonest name, a text in ASCII, is seen first.
    """
    if given not in row and given.__class__ is str and given.isascii():
        return given
    name = str(given).encode("utf-8", "replace").decode()
    if name not in row:
        return name
    return _free_name(name, row, metrics)


def _value(value: object) -> Metric:
    """A metric as the row holds it, the commonest types first: most are floats. `x - x` is 0 for
    each finite float, and NaN for the others.
    """
    if type(value) is float:
        if value - value == 0.0:
            return value
        return spell(value)
    if type(value) is int and value.bit_length() <= INT_BITS:
        return value
    if type(value) is str:
        return text(value)
    return metric(value)


def decode_fields(line: bytes) -> dict[str, Any] | None:
    """The fields of a line as they are spelled in the file; None if no row is on it.

    The death of a node can leave a hole of NULs in front of a good row: the row behind it is read.
    """
    try:
        return _decoder.decode(_behind_hole(line))
    except DAMAGE:
        return None


def read_file(path: Path, most_bytes: int | None = None) -> tuple[Rows, list[Problem]]:
    """The rows of one writer's file, in the order written, and the damaged lines.

    `most_bytes` bounds how much of the file's end is read; None: all of it. A line without an end
    was never acknowledged and is no problem.

    Raises:
        OSError: the file cannot be read.
    """
    writer = path.name.partition(".")[0]
    rows = Rows()
    problems: list[Problem] = []
    decoding = Decoding()
    with open_regular(path) as file:
        is_whole = _seek_end(file, most_bytes)
        number = 1
        for data in _pieces(file):
            columns = decoding.columns_of(data)
            if columns is None:
                own, damages = _line_by_line(data, writer)
                rows.add_rows(own)
                problems += [
                    _damaged(f"{path}:{number + line}" if is_whole else str(path), damage)
                    for line, damage in damages
                ]
            else:
                rows.add(writer, columns)
            number += data.count(b"\n")
    return rows, problems


def read_rows(run_folder: str | os.PathLike[str]) -> tuple[Sequence[Row], list[Problem]]:
    """Read the metric rows of a run: the writers in the order of their start, each writer's rows in
    the order written; and a problem for each damaged line.

    Rows of every execution are returned, also those that a later one superseded. They are held as
    columns of numbers, and each is made when it is asked for: `list(rows)` is a list of them, and
    takes several times the memory. A torn last line is no problem. A folder without rows has none.
    """
    rows = Rows()
    problems: list[Problem] = []
    for path in files_of(Path(run_folder)):
        try:
            own, damaged = read_file(path)
        except OSError as error:
            problems.append(
                Problem(
                    where=str(path), message=f"cannot be read: {error.strerror}", code="unreadable"
                )
            )
            continue
        rows.extend(own)
        problems += damaged
    return rows, problems


def files_of(run_folder: Path) -> list[Path]:
    """The files of rows of a run, in the order in which their writers started. Empty: it has
    none.
    """
    return sorted((run_folder / layout.METRICS).glob(f"*{SUFFIX}"))


def _seek_end(file: BinaryIO, most_bytes: int | None) -> bool:
    """Go to where the last `most_bytes` begin with a line; whether that is the whole file."""
    if most_bytes is None:
        return True
    if file.seek(0, os.SEEK_END) <= most_bytes:
        file.seek(0)
        return True
    file.seek(-most_bytes, os.SEEK_END)
    next(lines_of(file), b"")  # most likely the second half of a line
    return False


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in pieces of whole lines. Of a line that is too long only the beginning is
    kept.
    """
    while data := file.read(_PIECE_BYTES):
        if not data.endswith(b"\n"):
            data += next(lines_of(file), b"")
        if not data.endswith(b"\n"):
            data = data[: data.rfind(b"\n") + 1]
        if data:
            yield data


def _line_by_line(data: bytes, writer: str) -> tuple[list[Row], list[tuple[int, str]]]:
    """The rows of some lines; and what is damaged, by the number of the line, counted from 0."""
    rows: list[Row] = []
    damages: list[tuple[int, str]] = []
    for number, line in enumerate(data.split(b"\n")[:-1]):
        row, damage = _decode_row(line, writer)
        if row is not None:
            rows.append(row)
        if damage:
            damages.append((number, damage))
    return rows, damages


def _damaged(where: str, damage: str) -> Problem:
    return Problem(
        where=where,
        message=f"damaged row: {damage}",
        hint="the other rows are read",
        code="unreadable",
    )


def _decode_row(line: bytes, writer: str) -> tuple[Row | None, str]:
    """The row on a line, None if there is none; and what is damaged on the line, "" for nothing."""
    try:
        return _row(_decoder.decode(line), writer), ""
    except DAMAGE as error:
        damage = str(error)
    try:
        return _row(_decoder.decode(_behind_hole(line)), writer), damage
    except DAMAGE:
        return None, damage


def _behind_hole(line: bytes) -> bytes:
    """The line without a hole of NULs before it. A sound line holds no NUL: JSON escapes it."""
    return line.rpartition(b"\0")[2]


def _row(fields: dict[str, Any], writer: str) -> Row:
    """The row that these fields are.

    Raises:
        KeyError, msgspec.ValidationError: the time or the step is missing or wrong.
    """
    time = msgspec.convert(fields.pop("time"), datetime)
    step = unspell(fields.pop("step"))
    metrics = {name: unspell(value) for name, value in fields.items()}
    return Row(time=time, step=step, metrics=metrics, writer=writer)
