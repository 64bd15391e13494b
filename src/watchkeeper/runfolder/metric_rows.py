"""The metric rows of a recorded run's folder, by execution: `.watchkeeper/metrics/<writer>.jsonl`,
with what the journal says of their writers.

A process that says its run's start is an execution. Any other writer, a fork or a handler within a
row, belongs to the execution that had begun last before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.disk.tails import end_of_file
from watchkeeper.core.events import AnyEvent, Opened, RunStarted, Unknown
from watchkeeper.runfolder.executions import Execution, Row

MOST_BYTES = 64 * 1024 * 1024
"""Of a file of rows, its end: a longer one's beginning is not read."""
_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_OURS = frozenset({"time", "step"})


class _Writer(msgspec.Struct):
    """What is known of one writer."""

    id: str
    started: RunStarted | None = None
    boot: str = ""
    rows: list[Row] = []
    last: float | None = None


def executions_of(
    run: Path, events: Mapping[str, Sequence[AnyEvent | Unknown]] | None = None
) -> list[Execution]:
    """The executions of a run that left rows, in the order in which they began. `events` is its
    journal, once read.
    """
    if events is not None:
        known = events
    else:
        known = journal.read(run / layout.JOURNAL, is_evidence=True).events
    writers: dict[str, _Writer] = {}
    for name, own in known.items():
        opened = next((event for event in own if isinstance(event, Opened)), None)
        started = next((event for event in own if isinstance(event, RunStarted)), None)
        writers[name] = _Writer(
            id=name, started=started, boot=f"{opened.host} {opened.boot_id}" if opened else ""
        )
    for path in sorted((run / layout.METRICS).glob("*.jsonl")):
        name = path.name.partition(".")[0]
        _read(path, writers.setdefault(name, _Writer(id=name)))
    return [
        _execution(first, others)
        for first, others in _grouped(writers)
        if first.rows or any(o.rows for o in others)
    ]


def value_of(figure: object) -> float | None:
    """A figure of a row as a number; None for what is none."""
    if isinstance(figure, str):
        return _SPELLED.get(figure)
    if isinstance(figure, bool) or not isinstance(figure, int | float):
        return None
    try:
        return float(figure)
    except OverflowError:
        if figure > 0:
            return math.inf
        return -math.inf


def row_of(fields: Mapping[str, Any]) -> Row:
    """A row with its figures alone; a step that is no number, or has no end, is none."""
    figures = ((name, value_of(value)) for name, value in fields.items() if name not in _OURS)
    step = value_of(fields.get("step"))
    return Row(
        step if step is not None and math.isfinite(step) else None,
        {name: value for name, value in figures if value is not None},
    )


def _read(path: Path, writer: _Writer) -> None:
    for line in end_of_file(path, MOST_BYTES).split(b"\n"):
        try:
            fields = msgspec.json.decode(line.rpartition(b"\0")[2], type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # empty, or torn by a death
        writer.rows.append(row_of(fields))
        writer.last = _seconds(fields.get("time"), writer.last)


def _seconds(time: object, before: float | None) -> float | None:
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except (ValueError, OverflowError):
        return before


def _grouped(writers: Mapping[str, _Writer]) -> list[tuple[_Writer, list[_Writer]]]:
    """Each execution's first writer, with the others that belong to it."""
    firsts = [writer for writer in writers.values() if writer.started is not None]
    rest = [writer for writer in writers.values() if writer.started is None and writer.rows]
    if not firsts:
        if rest:
            return [(rest[0], rest[1:])]
        return []
    firsts.sort(key=_order)
    groups: list[tuple[_Writer, list[_Writer]]] = [(writer, []) for writer in firsts]
    for writer in rest:
        before = [
            others for first, others in groups if first.id <= writer.id
        ]  # an id begins with the time of its start
        (before or [groups[0][1]])[-1].append(writer)
    return groups


def _order(writer: _Writer) -> tuple[int, float, str]:
    """Sorts executions: by attempt where they worked for attempts, whatever the clocks of their
    hosts say, then by time.
    """
    assert writer.started is not None
    number = Path(writer.started.attempt).name
    return (
        int(number) if number.isdecimal() and len(number) < 10 else 0,
        writer.started.time.timestamp(),
        writer.id,
    )


def _execution(first: _Writer, others: Sequence[_Writer]) -> Execution:
    started = first.started
    return Execution(
        rows=[*first.rows, *(row for other in others for row in other.rows)],
        pipeline=started.pipeline if started else "",
        began=started.time.timestamp() if started else None,
        ended=first.last,
        boot=first.boot,
        attempt=started.attempt if started else "",
    )
