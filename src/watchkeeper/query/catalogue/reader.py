"""Reading one recorded run for the catalogue: from its journal and its rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import msgspec

from watchkeeper.core import journal
from watchkeeper.core.errors import Problem
from watchkeeper.core.events import Opened, RunStarted
from watchkeeper.core.journal import Journal
from watchkeeper.core.processes import ProcessName
from watchkeeper.core.words import Words, words_of
from watchkeeper.query.catalogue.curves import Curves, drawn, plain, read_quickly
from watchkeeper.query.catalogue.entry import SPARK_VALUES, Entry, Figure, medians
from watchkeeper.query.recording import RecordedRun, read_run
from watchkeeper.reading import settings
from watchkeeper.runfolder.columns.held import Row
from watchkeeper.runfolder.metric_rows import value_of
from watchkeeper.runfolder.planned_steps import PlannedSteps

_MOST_ERROR = 200  # characters


def read_entry(folder: Path) -> tuple[Entry | None, list[Problem]]:
    """Read a recorded run's files, and what is wrong with them; None where no run was recorded.

    `folder` is the run's. Its rows are read as columns where that is possible, else one by one, to
    the same figures.
    """
    quick = read_quickly(folder)
    if quick is not None:
        run, curves = quick
        return _entry(run, curves), list(run.journal.problems)
    read, problems = read_run(folder, folder.name, all_rows=False, is_alone=False)
    if read is None:
        return None, problems
    return _entry(read, _curves_of(read)), problems


def _curves_of(run: RecordedRun) -> Curves:
    """What an entry keeps of rows that were read one by one."""
    spark_metric, spark = _spark_of(run)
    return Curves(
        rows=len(run.rows),
        step=_last_step(run),
        figures=_figures_of(run),
        spark_metric=spark_metric,
        spark=spark,
    )


def _entry(run: RecordedRun, curves: Curves) -> Entry:
    """The entry of a run, from its journal and its rows.

    A folder that holds rows and no start, as after a journal was lost, still has its figures.
    """
    words = words_of(run.journal.events).get("", Words())
    entry = Entry(
        rows=curves.rows,
        step=curves.step,
        total=_total(run),
        figures=curves.figures,
        spark_metric=curves.spark_metric,
        spark=curves.spark,
        tags=tuple(words.tags),
        notes=tuple(words.notes),
    )
    started = run.started
    if started is None:
        return entry
    entry = msgspec.structs.replace(
        entry,
        run_id=started.run_id,
        name=started.name,
        pipeline=started.pipeline,
        attempt=started.attempt,
        started=started.time,
        config=settings.of_value(started.config),
        user=_user_of(run.journal, started.writer),
        executions=_executions(run, started),
    )
    if run.ended is None:
        return msgspec.structs.replace(entry, process=_process_of(run.journal, started.writer))
    return msgspec.structs.replace(
        entry,
        ended=run.ended.time,
        status=run.ended.status,
        error=_last_line(run.ended.error),
    )


def _last_line(text: str) -> str:
    """The last line of an error, cut to 200 characters: of a traceback the one that says what."""
    lines = text.strip().splitlines()
    if not lines:
        return ""
    return lines[-1].strip()[:_MOST_ERROR]


def _opened(read: Journal, writer: str) -> Opened | None:
    """The event with which a writer opened its file; None where that is lost."""
    events = read.events.get(writer, [])
    if not events or not isinstance(events[0], Opened):
        return None
    return events[0]


def _user_of(read: Journal, writer: str) -> str:
    """Who ran a writer's process; "" where nobody knows."""
    opened = _opened(read, writer)
    if opened is None:
        return ""
    return opened.user


def _process_of(read: Journal, writer: str) -> ProcessName | None:
    """The process that has not closed its file; None where it has, or is not known."""
    opened = _opened(read, writer)
    if opened is None or writer not in journal.unsealed(read):
        return None
    return journal.process_of(opened)


def _total(run: RecordedRun) -> int | None:
    """How many training steps are planned, as it last said it."""
    planned = PlannedSteps()
    for event in run.events:
        planned.take(event)
    return planned.total


def _executions(run: RecordedRun, started: RunStarted) -> int:
    """How often what the folder was begun for has been started."""
    starts = [event for event in run.events if isinstance(event, RunStarted)]
    return sum(start.pipeline == started.pipeline for start in starts)


def _last_step(run: RecordedRun) -> float | None:
    """The training step of the last row that has one; None where none has."""
    for placed in reversed(run.rows):
        step = value_of(placed.row.step)
        if step is not None:
            return plain(step)
    return None


class _Track:
    """A metric while its rows are read: of equal extremes the first one counts."""

    def __init__(self) -> None:
        self._last = math.nan
        self._last_step: float | None = None
        self._least = math.inf
        self._least_step: float | None = None
        self._greatest = -math.inf
        self._greatest_step: float | None = None

    def add(self, value: float, step: float | None) -> None:
        """Take the value of one more row, at this step (None: it has none)."""
        self._last, self._last_step = value, step
        if not math.isfinite(value):
            return
        if value < self._least:
            self._least, self._least_step = value, step
        if value > self._greatest:
            self._greatest, self._greatest_step = value, step

    def figure(self) -> Figure:
        """What was seen, as an entry keeps it; the extremes only where a value was finite."""
        last = plain(self._last)
        if self._least > self._greatest:
            return Figure(last, self._last_step)
        return Figure(
            last,
            self._last_step,
            plain(self._least),
            self._least_step,
            plain(self._greatest),
            self._greatest_step,
        )


def _figures_of(run: RecordedRun) -> dict[str, Figure]:
    """Metric → its figure over all rows that count."""
    tracks: dict[str, _Track] = {}
    for placed in run.rows:
        step = value_of(placed.row.step)
        if step is not None:
            step = plain(step)
        for metric, value in _numbers(placed.row):
            track = tracks.get(metric)
            if track is None:
                track = tracks[metric] = _Track()
            track.add(value, step)
    return {metric: track.figure() for metric, track in tracks.items()}


def _numbers(row: Row) -> Iterator[tuple[str, float]]:
    """The metrics of a row that are numbers."""
    for metric, value in row.metrics.items():
        if isinstance(value, str | bool) or value is None:
            continue
        number = value_of(value)
        if number is not None:
            yield metric, number


def _spark_of(run: RecordedRun) -> tuple[str, tuple[float, ...]]:
    """The metric that is drawn, a loss where there is one, and its medians; ("", ()) for none."""
    counts: dict[str, int] = {}
    for placed in run.rows:
        for metric, value in _numbers(placed.row):
            if math.isfinite(value):
                counts[metric] = counts.get(metric, 0) + 1
    chosen = drawn([metric for metric, count in counts.items() if count > 1])
    if not chosen:
        return "", ()
    return chosen, medians(list(_values_of(chosen, run)), SPARK_VALUES)


def _values_of(metric: str, run: RecordedRun) -> Iterator[float]:
    """The finite values of a metric, row by row."""
    for placed in run.rows:
        for name, value in _numbers(placed.row):
            if name == metric and math.isfinite(value):
                yield value
