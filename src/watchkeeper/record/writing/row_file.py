"""Metric rows: one JSON line each, flat, in an append-only file per writer: {"time", "step", and
the metrics}.

They are bulk and source data, kept apart from the journal's events and never rewritten.
`pandas.read_json(path, lines=True)` reads a file as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.disk.spill import SLOW_S, SpillingFile
from watchkeeper.core.errors import Problem
from watchkeeper.core.journal import Clock, utc_now
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
LOOK_S = 1.0  # between two looks whether the file is still there
OURS = frozenset({"time", "step"})

_encode = msgspec.json.Encoder().encode
_PLAIN = frozenset({int, float})
_MOST = sys.float_info.max
_decoder = msgspec.json.Decoder(dict[str, Any])


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One acknowledged row. `step` is None where the caller gave None; non-finite numbers are
    floats again.
    """

    time: datetime
    step: Metric
    metrics: dict[str, Metric]
    writer: str


def _free_name(name: str, *taken: Container[str]) -> str:
    """The name, with underscores behind it until it is in none of these."""
    while any(name in names for names in taken):
        name += "_"
    return name


def encode_row(time: datetime, step: object, metrics: dict[str, Any]) -> bytes:
    """The row's line. A metric named like a field of ours, `time` or `step`, gets an underscore
    behind its name. A step that is no number is kept as `step_`, and the row has none.
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
    at = training_step(step)
    row: dict[str, Any] = {"time": time, "step": at}
    if at is None and step is not None:
        row[_free_name("step_", metrics)] = metric(step)
    for given, value in flat(metrics):
        row[_name(given, row, metrics)] = _value(value)
    return _encode(row) + b"\n"


def _name(given: str, row: Container[str], metrics: Container[str]) -> str:
    """A name that the row does not have yet, as UTF-8 can hold it."""
    if given not in row and given.__class__ is str and given.isascii():
        return given
    name = str(given).encode("utf-8", "replace").decode()
    if name not in row:
        return name
    return _free_name(name, row, metrics)


def _value(value: object) -> Metric:
    if type(value) is float:
        if value - value == 0.0:
            return value
        return spell(value)
    if type(value) is int and value.bit_length() <= INT_BITS:
        return value
    if type(value) is str:
        return text(value)
    return metric(value)


class RowFile:
    """The rows of one writer. Safe from threads and from signal handlers.

    A handler that logs while its own thread is in the middle of writing a row can neither wait for
    that row nor go around it; it gets a file of its own, `<writer>.1.jsonl`.
    """

    def __init__(
        self,
        folder: Path,
        writer: str,
        clock: Clock,
        *,
        depth: int = 0,
        revived: Callable[[Path], None] = lambda path: None,
    ) -> None:
        """`revived` is told the path of a file that was deleted under us, and made again."""
        self._kept = 0
        self._lost = 0
        self._spent_s = 0.0
        self._place = (folder, writer, clock, depth)
        self._revived = revived
        self._look_due = 0.0
        self._inners: dict[None, RowFile] = {}  # at most one
        self._clock = (
            partial(datetime.now, UTC) if clock is utc_now else clock
        )  # the same, a call cheaper
        self._file = SpillingFile(
            folder / layout.METRICS / f"{writer}{f'.{depth}' if depth else ''}{SUFFIX}"
        )
        self._lock = self._file.lock
        self._writing = False

    @property
    def kept(self) -> int:
        """How many rows were acknowledged."""
        return self._kept + sum(inner.kept for inner in self._inners.values())

    @property
    def files(self) -> list[tuple[Path, int, int]]:
        """Each file that holds rows, with how many were acknowledged, and their bytes."""
        if self._file.size_bytes:
            own = [(self._file.path, self._kept, self._file.size_bytes)]
        else:
            own = []
        return own + [facts for inner in self._inners.values() for facts in inner.files]

    @property
    def lost(self) -> int:
        """How many rows could not be written."""
        return self._lost + sum(inner.lost for inner in self._inners.values())

    @property
    def spent_s(self) -> float:
        """How long writing rows has taken so far, in seconds."""
        return self._spent_s + sum(inner.spent_s for inner in self._inners.values())

    def append(self, step: object, metrics: dict[str, Any]) -> None:
        """Append a row. On return the death of the process loses nothing of it.

        Raises:
            StorageError: it could not be written, and is counted as lost.
        """
        began = perf_counter()
        with self._lock:
            if self._writing:
                self._for_handler().append(step, metrics)
                return
            self._writing = True
            try:
                self._file.put(encode_row(self._clock(), step, metrics))
                self._kept += 1
                if began > self._look_due:
                    self._look(began)
                took = perf_counter() - began
                self._spent_s += took
                if took > SLOW_S:
                    self._file.was_slow()
            except BaseException:
                self._lost += 1
                raise
            finally:
                self._writing = False

    def _look(self, now: float) -> None:
        """Whether the file is still there: who deletes a run's folder while it runs is not to lose
        its rows.
        """
        self._look_due = now + LOOK_S
        if self._file.revive():
            self._revived(self._file.path)

    def _for_handler(self) -> RowFile:
        folder, writer, clock, depth = self._place
        # setdefault is one step: a handler that interrupts a handler here cannot make a second one.
        return self._inners.setdefault(None, RowFile(folder, writer, clock, depth=depth + 1))

    def close(self) -> None:
        """Make the rows survive the node's death, and close the files.

        Raises:
            StorageError: they could not be synced; they are still in the files.
        """
        try:
            for inner in self._inners.values():
                inner.close()
            self._look(perf_counter())
            self._file.sync()
        finally:
            self._file.close()


def _read_line(line: bytes, writer: str) -> Row:
    fields = _decoder.decode(line)
    time = msgspec.convert(fields.pop("time"), datetime)
    step = unspell(fields.pop("step"))
    return Row(
        time=time,
        step=step,
        metrics={name: unspell(value) for name, value in fields.items()},
        writer=writer,
    )


def _read_file(path: Path, rows: list[Row], problems: list[Problem]) -> None:
    writer = path.name.partition(".")[0]
    with open_regular(path) as file:
        for count, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # a torn tail: the row was never acknowledged
            try:
                rows.append(_read_line(line, writer))
            except (
                msgspec.DecodeError,
                msgspec.ValidationError,
                KeyError,
                UnicodeDecodeError,
                RecursionError,
            ) as error:
                problems.append(
                    Problem(
                        where=f"{path}:{count}",
                        message=f"damaged row: {error}",
                        hint="the other rows are read",
                    )
                )
                if b"\0" in line:  # a node's death can leave a hole of NULs in front of a good row
                    try:
                        rows.append(_read_line(line.rpartition(b"\0")[2], writer))
                    except (
                        msgspec.DecodeError,
                        msgspec.ValidationError,
                        KeyError,
                        UnicodeDecodeError,
                        RecursionError,
                    ):
                        continue


def read_rows(run_folder: Path) -> tuple[list[Row], list[Problem]]:
    """The rows of a run, writers in the order of their start, each one's in the order written; and
    what is damaged.

    A torn tail is no problem. A folder without rows has none.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    for path in sorted((run_folder / layout.METRICS).glob(f"*{SUFFIX}")):
        try:
            _read_file(path, rows, problems)
        except OSError as error:
            problems.append(Problem(where=str(path), message=f"cannot be read: {error.strerror}"))
    return rows, problems
