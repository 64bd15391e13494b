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
from watchkeeper.core.errors import Problem
from watchkeeper.core.events import AnyEvent, Opened, RunStarted, Unknown
from watchkeeper.runfolder import rows
from watchkeeper.runfolder.columns import held
from watchkeeper.runfolder.executions import Execution, Row
from watchkeeper.runfolder.values import unspell

MOST_BYTES = 64 * 1024 * 1024
"""Of a file of rows, its end: a longer one's beginning is not read."""


class _Writer(msgspec.Struct):
    """What is known of one writer."""

    id: str
    started: RunStarted | None = None
    boot: str = ""
    rows: Sequence[held.Row] = ()
    has_rows: bool = False

    @property
    def last(self) -> float | None:
        """When it wrote its last row, in seconds since 1970; None without rows."""
        if self.rows:
            return self.rows[-1].time.timestamp()
        return None


class RecordedExecution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution with its rows as they were recorded: `rows[i]` is what `execution.rows[i]` has
    the figures of.
    """

    execution: Execution
    rows: list[held.Row]


class ExecutionFiles(msgspec.Struct, frozen=True, kw_only=True):
    """An execution with its files of rows, that of the process which began it first. `started` is
    None where no process said that it began the run; `boot` names its machine.
    """

    started: RunStarted | None
    boot: str
    files: list[Path]


def execution_files(
    run: Path, events: Mapping[str, Sequence[AnyEvent | Unknown]]
) -> list[ExecutionFiles]:
    """The executions of a run, in the order in which they began, with the files of their rows;
    those that left none as well.

    `run` is the run's folder, and `events` its journal, by writer. The files of one execution are
    that of the process which began it, then those of its forks. Nothing of the files is read.
    """
    writers = {name: _writer(name, own) for name, own in events.items()}
    files = {path.name.partition(".")[0]: path for path in rows.files_of(run)}
    for name in files:
        writers.setdefault(name, _Writer(id=name)).has_rows = True
    return [
        ExecutionFiles(
            started=first.started,
            boot=first.boot,
            files=[files[writer.id] for writer in (first, *others) if writer.has_rows],
        )
        for first, others in _grouped(writers)
    ]


def executions_of(
    run: Path, events: Mapping[str, Sequence[AnyEvent | Unknown]] | None = None
) -> list[Execution]:
    """The executions of a run that left rows, in the order in which they began.

    `events` is its journal, once read; None: it is read here. Of a long file of rows only the end
    is read (`MOST_BYTES`), and damaged lines are left to `watchkeeper check`.
    """
    if events is None:
        events = journal.read(run / layout.JOURNAL, is_evidence=True).events
    recorded, _ = recorded_executions(run, events, MOST_BYTES)
    return [each.execution for each in recorded]


def recorded_executions(
    run: Path, events: Mapping[str, Sequence[AnyEvent | Unknown]], most_bytes: int | None = None
) -> tuple[list[RecordedExecution], list[Problem]]:
    """The executions of a run that left rows, with these rows, in the order in which they began;
    and a problem for each damaged line and each file that cannot be read.

    `events` is the run's journal. `most_bytes` bounds how much of each file's end is read; None:
    all of it.
    """
    writers = {name: _writer(name, own) for name, own in events.items()}
    problems: list[Problem] = []
    for path in rows.files_of(run):
        name = path.name.partition(".")[0]
        writer = writers.setdefault(name, _Writer(id=name))
        problems += _read(path, writer, most_bytes)
    recorded = []
    for first, others in _grouped(writers):
        execution = _execution(first, others)
        if execution.rows:
            recorded.append(execution)
    return recorded, problems


def _writer(name: str, events: Sequence[AnyEvent | Unknown]) -> _Writer:
    """A writer with what its own events say of it: its machine (`opened`), and the start of the
    run, if it made one (`run_started`).
    """
    writer = _Writer(id=name)
    for event in events:
        if isinstance(event, Opened) and not writer.boot:
            writer.boot = f"{event.host} {event.boot_id}"
        elif isinstance(event, RunStarted) and writer.started is None:
            writer.started = event
    return writer


def value_of(figure: object) -> float | None:
    """A figure of a row as a number; None for what is none.

    0.5, 3           0.5, 3.0
    "NaN"            NaN, as rows spell it; so are the infinities
    10 ** 400        infinite: it is beyond all floats
    "adamw", True    None
    """
    if type(figure) is float:
        return figure
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
    figures = {}
    for name, value in metrics.items():
        figure = value_of(value)
        if figure is not None:
            figures[name] = figure
    return Row(at, figures)


def _read(path: Path, writer: _Writer, most_bytes: int | None) -> list[Problem]:
    """Add the rows of a file to its writer; a problem for each line or file that is unreadable."""
    try:
        writer.rows, problems = rows.read_file(path, most_bytes)
    except OSError as error:
        return [
            Problem(where=str(path), message=f"cannot be read: {error.strerror}", code="unreadable")
        ]
    writer.has_rows = bool(writer.rows)
    return problems


def _grouped(writers: Mapping[str, _Writer]) -> list[tuple[_Writer, list[_Writer]]]:
    """Each execution's first writer, with the others that belong to it, in the order in which the
    executions began.

    A process that started the run is first; its forks and handlers are the others. Where no process
    said that it began the run, as in a folder whose journal was lost, all rows are one execution.
    Empty: nobody wrote anything.
    """
    firsts = [writer for writer in writers.values() if writer.started is not None]
    rest = [writer for writer in writers.values() if writer.started is None and writer.has_rows]
    if not firsts:
        if not rest:
            return []
        return [(rest[0], rest[1:])]
    firsts.sort(key=_order)
    groups: list[tuple[_Writer, list[_Writer]]] = [(writer, []) for writer in firsts]
    for writer in rest:
        _group_of(writer, groups).append(writer)
    return groups


def _group_of(writer: _Writer, groups: Sequence[tuple[_Writer, list[_Writer]]]) -> list[_Writer]:
    """The others of the execution that had begun last before this writer, or of the first one.

    `groups` has at least one execution, in the order in which they began.
    """
    group = groups[0][1]
    for first, others in groups:
        if first.id <= writer.id:  # an id begins with the time of its start
            group = others
    return group


def _order(writer: _Writer) -> tuple[int, float, str]:
    """Sorts executions: by attempt where they worked for attempts, whatever the clocks of their
    hosts say, then by time.

    `attempt` is a path that ends in the attempt's number, `runs/r8/2`; without one it is 0.
    """
    assert writer.started is not None
    name = Path(writer.started.attempt).name
    number = 0
    if name.isdecimal() and len(name) < 10:
        number = int(name)
    return number, writer.started.time.timestamp(), writer.id


def _execution(first: _Writer, others: Sequence[_Writer]) -> RecordedExecution:
    """An execution with the rows of its first writer, then those of the others.

    Without a start its time and its pipeline are not known. It ended with the last row of its first
    writer: a fork may live longer than the work.
    """
    recorded = list(first.rows)
    for other in others:
        recorded += other.rows
    figures = [row_of(row.step, row.metrics) for row in recorded]
    started = first.started
    if started is None:
        execution = Execution(rows=figures, ended=first.last, boot=first.boot)
    else:
        execution = Execution(
            rows=figures,
            pipeline=started.pipeline,
            began=started.time.timestamp(),
            ended=first.last,
            boot=first.boot,
            attempt=started.attempt,
        )
    return RecordedExecution(execution=execution, rows=recorded)
