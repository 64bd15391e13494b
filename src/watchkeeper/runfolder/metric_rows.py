"""The metric rows of a recorded run's folder, by execution: `.watchkeeper/metrics/<writer>.jsonl`,
with what the journal says of their writers.

A process that says its run's start is an execution. Any other writer, a fork or a handler within a
row, belongs to the execution that had begun last before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.events import AnyEvent, Opened, RunStarted, Unknown
from watchkeeper.runfolder import rows
from watchkeeper.runfolder.executions import Execution, Row
from watchkeeper.runfolder.values import unspell

MOST_BYTES = 64 * 1024 * 1024
"""Of a file of rows, its end: a longer one's beginning is not read."""


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
    writers = {name: _writer(name, own) for name, own in known.items()}
    for path in rows.files_of(run):
        name = path.name.partition(".")[0]
        _read(path, writers.setdefault(name, _Writer(id=name)))
    executions = [_execution(first, others) for first, others in _grouped(writers)]
    return [execution for execution in executions if execution.rows]


def _writer(name: str, events: Sequence[AnyEvent | Unknown]) -> _Writer:
    """A writer with what its own events say of it."""
    writer = _Writer(id=name)
    for event in events:
        if isinstance(event, Opened) and not writer.boot:
            writer.boot = f"{event.host} {event.boot_id}"
        elif isinstance(event, RunStarted) and writer.started is None:
            writer.started = event
    return writer


def value_of(figure: object) -> float | None:
    """A figure of a row as a number; None for what is none."""
    if isinstance(figure, str):
        figure = unspell(figure)
    if isinstance(figure, bool) or not isinstance(figure, int | float):
        return None
    try:
        return float(figure)
    except OverflowError:
        if figure > 0:
            return math.inf
        return -math.inf


def row_of(step: object, metrics: Mapping[str, object]) -> Row:
    """A row with its figures alone. A step that is not a finite number becomes None."""
    at = value_of(step)
    if at is not None and not math.isfinite(at):
        at = None
    figures = ((name, value_of(value)) for name, value in metrics.items())
    return Row(at, {name: value for name, value in figures if value is not None})


def _read(path: Path, writer: _Writer) -> None:
    """Add the rows of a file to its writer. Damaged lines are for `watchkeeper check` to report."""
    try:
        found, _ = rows.read_file(path, MOST_BYTES)
    except OSError:
        return
    writer.rows += [row_of(row.step, row.metrics) for row in found]
    if found:
        writer.last = found[-1].time.timestamp()


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
        _group_of(writer, groups).append(writer)
    return groups


def _group_of(writer: _Writer, groups: Sequence[tuple[_Writer, list[_Writer]]]) -> list[_Writer]:
    """The others of the execution that had begun last before this writer, or of the first one."""
    group = groups[0][1]
    for first, others in groups:
        if first.id <= writer.id:  # an id begins with the time of its start
            group = others
    return group


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
    rows = list(first.rows)
    for other in others:
        rows += other.rows
    started = first.started
    if started is None:
        return Execution(rows=rows, ended=first.last, boot=first.boot)
    return Execution(
        rows=rows,
        pipeline=started.pipeline,
        began=started.time.timestamp(),
        ended=first.last,
        boot=first.boot,
        attempt=started.attempt,
    )
