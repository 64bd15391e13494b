"""The answer to a chart: metrics of a run over columns, a line for each attempt."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.query.series.columns import (
    Columns,
    Grid,
    grid_of,
    in_columns,
    pause_limit,
)
from watchkeeper.query.series.executions import RowedExecution, RunRows
from watchkeeper.query.series.line import Axis, Part, Window, empty_part, part_of, part_of_values
from watchkeeper.query.series.reader import Values
from watchkeeper.query.series.smoothing import MOST, default_smoothing
from watchkeeper.query.series.tracks import FileTracks
from watchkeeper.query.views.pages import Line, Series
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS

MOST_COLUMNS = 2000
MOST_BAD = 2000
"""Values that are not finite are drawn at no more places of one line."""
GAP = "gap"
"""The name of a gap that is made: validation loss less training loss."""
GAPS = (GAP, "loss_gap", "train_val_gap")
"""The names of a gap that is logged."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: metrics over training steps or over seconds since 1970, from `begin` to
    `end` (None: all), in at most `width` columns, smoothed (None: by their length).
    """

    metrics: Sequence[str]
    axis: Axis = "step"
    begin: float | None = None
    end: float | None = None
    width: int = 800
    smoothing: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no chart can be made of.

        Raises:
            UsageError: the width, the smoothing or the range is none.
        """
        if not 1 <= self.width <= MOST_COLUMNS:
            raise UsageError(
                f"{self.width} columns were asked for", hint=f"ask for 1 to {MOST_COLUMNS}"
            )
        if self.smoothing is not None and not 0 <= self.smoothing <= MOST:
            raise UsageError(
                f"the smoothing {self.smoothing} is out of range", hint=f"it is from 0 to {MOST}"
            )
        if self.begin is not None and self.end is not None and not self.begin <= self.end:
            raise UsageError(
                f"the range ends at {self.end:g}, before it begins at {self.begin:g}",
                hint="give the smaller one as `from`",
            )


class _Drawn(msgspec.Struct, frozen=True):
    """A line before it is put into columns."""

    metric: str
    execution: RowedExecution
    smoothing: float
    part: Part


def series_of(run: RunRows, chart: Chart) -> Series:
    """The lines of some metrics; metrics that the run lacks have none, but for a gap that is made
    of both losses (`gap_lines`).

    `run` are its rows as they were read so far. Each execution has a line of its own, and one more
    for what a later one superseded.

        train_loss, val_loss of a run that was resumed once → up to six lines: of each metric what
        counts of both executions, and what the second superseded of the first

    Raises:
        OSError: a file of rows can no longer be read.
    """
    parts: tuple[str, ...] = ()
    if GAP in chart.metrics:
        parts = gap_parts(run.metrics)
    # The parts of the gap are drawn even if nobody asked for them, and left out again below.
    drawn: list[_Drawn] = []
    for metric in dict.fromkeys((*chart.metrics, *parts)):
        for execution in run.executions:
            files = execution.having(metric)
            if files:
                drawn.append(_draw(execution, metric, files, chart))
    grid = _grid(drawn, chart)
    made = [(one, _lines(one, grid, chart)) for one in drawn]
    lines: list[Line] = []
    for one, own in made:
        if one.metric in chart.metrics:
            lines += own
    for execution in run.executions:
        own_lines = {one.metric: own for one, own in made if one.execution is execution}
        if parts and own_lines.keys() >= set(parts):
            lines += gap_lines(*map(own_lines.__getitem__, parts))
    return Series(
        lines=lines,
        smoothing=max((one.smoothing for one in drawn), default=0.0),
        rows=run.rows,
        is_whole=run.is_whole,
    )


def _draw(
    execution: RowedExecution, metric: str, files: Sequence[FileTracks], chart: Chart
) -> _Drawn:
    """A metric of one execution, which these files have, within the range of the chart.

    Unless the smoothing is asked for, it follows from how many values there are.
    """
    smoothing = chart.smoothing
    if smoothing is None:
        smoothing = default_smoothing(sum(file.tracks[metric].rows for file in files))
    window = Window(
        axis=chart.axis,
        begin=_bound(chart.begin, -math.inf),
        end=_bound(chart.end, math.inf),
        smoothing=smoothing,
        width=chart.width,
        cut=execution.end_of(metric),
    )
    return _Drawn(metric, execution, smoothing, _part(files, metric, window))


def _bound(asked: float | None, otherwise: float) -> float:
    """An end of the range: what was asked for, `otherwise` for None."""
    if asked is None:
        return otherwise
    return asked


def _part(files: Sequence[FileTracks], metric: str, window: Window) -> Part:
    """A metric of one execution. Where several of its processes wrote it, their values are put
    together by time; of very many, each process is smoothed alone.
    """
    if len(files) == 1:
        return part_of(files[0], metric, window)
    known: list[Values] = []
    for file in files:
        values = file.tracks[metric].values()
        if values is not None:
            known.append(values)
    if len(known) == len(files):
        return part_of_values(_merged(known), window)
    whole = empty_part()
    for file in files:
        whole.extend(part_of(file, metric, window))
    return whole


def _merged(parts: Sequence[Values]) -> Values:
    """The values of several processes as one row of values, in order of time. Those of one time
    stay in the order of the processes.
    """
    rows: list[tuple[float, float, float]] = []
    for part in parts:
        rows += zip(*part, strict=True)
    rows.sort(key=lambda row: row[1])
    return Values(
        [step for step, _, _ in rows],
        [time for _, time, _ in rows],
        [figure for _, _, figure in rows],
    )


def _grid(drawn: Sequence[_Drawn], chart: Chart) -> Grid:
    """The same columns for all lines: over what was asked for, else over all that there is.

    Where there is nothing, the columns lie at 0.
    """
    places: list[float] = []
    for one in drawn:
        for points in (one.part.kept, one.part.superseded):
            places += points.x[:1]
            places += points.x[-1:]
    begin = _bound(chart.begin, min(places, default=0.0))
    end = _bound(chart.end, max(places, default=begin))
    return grid_of(begin, end, chart.width)


def _lines(drawn: _Drawn, grid: Grid, chart: Chart) -> list[Line]:
    """The line that counts, and what later attempts superseded of it; either only where it has a
    value. Over time, a line breaks where its run paused.
    """
    limit = None
    if chart.axis == "time":
        limit = pause_limit(drawn.part.pauses)
    part = drawn.part
    both = (
        (False, part.kept, part.bad),
        (True, part.superseded, part.superseded_bad),
    )
    lines = []
    for is_superseded, points, bad in both:
        if points.x or bad:
            columns = in_columns(points, grid, limit)
            lines.append(_line(drawn, columns, bad, is_superseded=is_superseded))
    return lines


def _line(drawn: _Drawn, columns: Columns, bad: Sequence[float], *, is_superseded: bool) -> Line:
    """A line as a page draws it: of each column the least, the greatest and the smoothed value."""
    return Line(
        metric=drawn.metric,
        attempt=drawn.execution.number,
        superseded=is_superseded,
        is_requeue=drawn.execution.is_requeue,
        x=[*map(_plain, columns.x)],
        min=_short(columns.low),
        max=_short(columns.high),
        smooth=_short(columns.smooth),
        n=columns.n,
        bad=_thinned(bad),
        other=[*map(_plain, columns.other)],
    )


def _thinned(bad: Sequence[float]) -> list[float | int]:
    """At most `MOST_BAD` of the places, over all of the range: every second, third, and so on."""
    step = max(1, math.ceil(len(bad) / MOST_BAD))
    # A value over steps that has no step has no place (NaN) either.
    places = map(_plain, bad[::step])
    return [x for x in places if x is not None]


def _short(figures: Sequence[float | None]) -> list[float | None]:
    """The figures to seven digits: a chart has no room for more, and an answer is half as long."""
    short: list[float | None] = []
    for figure in figures:
        if figure is None:
            short.append(None)
        else:
            short.append(float(f"{figure:.7g}"))
    return short


def _plain(x: float | None) -> float | int | None:
    """A place on an axis: a whole number as an integer, a time to the millisecond.

    None for an empty column, and for what JSON has no number for.
    """
    if x is None or not math.isfinite(x):
        return None
    if x.is_integer() and abs(x) < 2**53:
        return int(x)
    return round(x, 3)


# ── the gap of a run that logs both losses and no gap


def loss_names(metrics: Sequence[str]) -> tuple[str, str]:
    """The names of the training loss and of the validation loss among these; "" for none.

    Of several spellings the one that comes first in runfolder/losses.py counts.
    """
    train = next((name for name in TRAIN_LOSS if name in metrics), "")
    val = next((name for name in VAL_LOSS if name in metrics), "")
    return train, val


def gap_parts(metrics: Sequence[str]) -> tuple[str, ...]:
    """The training loss and the validation loss that a gap is made of; () where one of them is not
    logged, or a gap is.
    """
    train, val = loss_names(metrics)
    logs_gap = not set(GAPS).isdisjoint(metrics)
    if not train or not val or logs_gap:
        return ()
    return train, val


def gap_lines(train: Sequence[Line], val: Sequence[Line]) -> Iterator[Line]:
    """The gap of one execution, from its lines of both losses.

    At each point of the validation loss it is that, less the smoothed training loss there or, where
    none is there, before it. What was superseded is compared with what was superseded.
    """
    for line in val:
        beside = next((one for one in train if one.superseded == line.superseded), None)
        if beside is not None:
            yield _gap_line(beside, line)


def _gap_line(train: Line, val: Line) -> Line:
    """The gap of one line of each loss; None where no training loss was logged before.

        training loss   step 10: 0.5   step 20: 0.4
        validation loss step 15: 0.6   step 20: 0.6 → gap 0.1, 0.2

    It is rounded to seven digits behind the point.
    """
    known: list[tuple[float, float]] = []
    for x, loss in zip(train.x, train.smooth, strict=True):
        if x is not None and loss is not None:
            known.append((x, loss))
    known.sort()
    places = [x for x, _ in known]
    gaps: list[float | None] = []
    for x, loss in zip(val.x, val.smooth, strict=True):
        gap = None
        if x is not None and loss is not None and known and x >= places[0]:
            gap = round(loss - known[bisect.bisect_right(places, x) - 1][1], 7)
        gaps.append(gap)
    return Line(
        metric=GAP,
        attempt=val.attempt,
        superseded=val.superseded,
        is_requeue=val.is_requeue,
        x=val.x,
        min=gaps,
        max=gaps,
        smooth=gaps,
        n=val.n,
        bad=[],
        other=val.other,
    )
