"""The figures of a run's rows for the catalogue, read as columns: several times as fast as row by
row. It is done where no row was superseded and nothing is damaged, as with nearly every run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.journal import Journal
from watchkeeper.query.catalogue.entry import SPARK_VALUES, Figure, medians
from watchkeeper.query.recording import RecordedRun, run_of
from watchkeeper.query.series.executions import Recorded, RunRows, read_run_rows
from watchkeeper.query.series.figures import figure_of
from watchkeeper.query.series.reader import read_figures
from watchkeeper.query.series.shelf import Shelf
from watchkeeper.query.series.track import At
from watchkeeper.query.series.tracks import FileTracks
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS

_MOST_WHOLE = 2**53  # an integer above it is kept as a float


class Curves(NamedTuple):
    """What an entry has of the rows that count."""

    rows: int
    step: float | None
    figures: dict[str, Figure]
    spark_metric: str
    spark: tuple[float, ...]


def read_quickly(folder: Path) -> tuple[RecordedRun, Curves] | None:
    """A run without its rows, and their figures; None where they must be read row by row, or where
    no run was recorded in the folder.

    A folder that cannot be read gives None too: whoever reads it row by row then meets the fault,
    and says it.
    """
    try:
        read = journal.read(folder / layout.JOURNAL)
        rows = _read(folder, read)
        if rows is None:
            return None
        return run_of(folder, folder.name, read, ()), _curves(rows)
    except (WatchkeeperError, OSError):
        return None


def drawn(metrics: Sequence[str]) -> str:
    """The metric that is drawn of those with several values: a loss where there is one, that of
    the training first; else the first of all. "" for none.
    """
    for metric in (*TRAIN_LOSS, *VAL_LOSS):
        if metric in metrics:
            return metric
    for metric in metrics:
        return metric
    return ""


def plain(value: float) -> float:
    """A whole number as an integer, so that it is shown as one: 3.0 is 3, and 0.5 stays."""
    if not math.isfinite(value):
        return value
    if abs(value) >= _MOST_WHOLE:
        return value
    whole = int(value)
    if value != whole:
        return value
    return whole


def _read(folder: Path, read: Journal) -> RunRows | None:
    """The rows of a run as columns; None where there are none, or where some must be left out one
    by one: superseded ones, and those of a damaged file.
    """
    recorded = Recorded(folder=folder, events=read.events)
    rows = read_run_rows([recorded], Shelf(keeps=False), waits=True)
    if rows.unreadable or not rows.rows:
        return None
    for execution in rows.executions:
        is_damaged = any(file.is_damaged for file in execution.files)
        if is_damaged or execution.is_cut:
            return None
    return rows


def _curves(rows: RunRows) -> Curves:
    """What an entry keeps of a run's rows. No curve is drawn of a metric with a single value."""
    figures = {metric: _figure(rows, metric) for metric in rows.metrics}
    several = [metric for metric in rows.metrics if _count(rows, metric) > 1]
    chosen = drawn(several)
    return Curves(
        rows=rows.rows,
        step=_last_step(rows),
        figures=figures,
        spark_metric=chosen,
        spark=_spark(rows, chosen),
    )


def _figure(rows: RunRows, metric: str) -> Figure:
    """A metric's last, least and greatest value, each with its step; least and greatest None where
    no value is finite.
    """
    figure = figure_of(rows, metric)
    last_step, last = figure.last or (math.nan, math.nan)
    if figure.low is None or figure.high is None:
        return Figure(plain(last), _step(last_step))
    return Figure(
        plain(last),
        _step(last_step),
        plain(figure.low[1]),
        _step(figure.low[0]),
        plain(figure.high[1]),
        _step(figure.high[0]),
    )


def _step(step: float) -> float | None:
    """A training step as it is shown; None for NaN, which stands for a row without one."""
    if math.isnan(step):
        return None
    return plain(step)


def _having(rows: RunRows, metric: str) -> Iterator[FileTracks]:
    """The files with a metric, in the order in which they were begun."""
    for execution in rows.executions:
        yield from execution.having(metric)


def _count(rows: RunRows, metric: str) -> int:
    """How many finite values a metric has, in all files together."""
    count = 0
    for file in _having(rows, metric):
        count += int(sum(file.tracks[metric].column(At.N)))
    return count


def _last_step(rows: RunRows) -> float | None:
    """The training step of the row that was written last, of the last execution that has one. None:
    no row has a step.

        execution 1: steps 1 to 400; execution 2: steps 401 to 900 → 900
    """
    for execution in reversed(rows.executions):
        ends = [track.block(-1) for track in execution.tracks()]
        known = [(end[At.TIME], end[At.STEP]) for end in ends if not math.isnan(end[At.STEP])]
        if known:
            _, step = max(known)
            return plain(step)
    return None


def _spark(rows: RunRows, metric: str) -> tuple[float, ...]:
    """Up to 48 medians of a metric over all executions. The values of a long file are not kept in
    memory, and are read again. Values that are not finite are left out; () of no metric, "".

    Raises:
        OSError: a file of rows can no longer be read.
    """
    figures: list[float] = []
    for file in _having(rows, metric):
        values = file.tracks[metric].values()
        if values is not None:
            figures += filter(math.isfinite, values.figures)
            continue
        for part in read_figures(file.path, metric, 0):
            figures += filter(math.isfinite, part)
    return medians(figures, SPARK_VALUES)
