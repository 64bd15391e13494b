"""A run that was opened in `top`: how far it is, its curve in braille with marks, its figures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from watchkeeper.query.views.pages import Line, Mark, MetricRow, Run, Series
from watchkeeper.query.views.shared import Real
from watchkeeper.show.listing.figures import figures
from watchkeeper.show.listing.grid import one_line
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens import words
from watchkeeper.show.screens.braille import DOTS_WIDE, Canvas, Scale
from watchkeeper.show.screens.needs import wrapped
from watchkeeper.show.text import width

_LEAST_ROWS, _MOST_ROWS = 4, 10
_AROUND = 9  # lines that are no part of the chart
_LEAST_LABEL = 5
_MOST_TICKS = 6
_MOST_WIDE = 120
_MOST_MARK_LINES = 3
_ROLES = {"train loss": "train", "val loss": "val", "gap": "gap"}
_MOST_SHIFT = 8  # columns that a mark may stand right of its step
_MARKED = {
    "attempt": "^",
    "requeue": "^",
    "stall": "!",
    "death": "x",
}


class _Axis(msgspec.Struct, frozen=True):
    """From training steps to columns of the terminal, behind the labels."""

    least: float
    most: float
    left: int
    columns: int

    def column(self, x: float) -> int:
        """The column of a step, from the left edge of the terminal."""
        return self.left + self._place(x, self.columns)

    def dot(self, x: float) -> int:
        """The column of dots of a step."""
        return self._place(x, self.columns * DOTS_WIDE)

    def _place(self, x: float, places: int) -> int:
        """The number of a place, from 0, of `places`; 0 where all steps are the same."""
        if self.most <= self.least:
            return 0
        return int((x - self.least) / (self.most - self.least) * (places - 1))


def opened_lines(
    run: Run, series: Series | None, screen: Screen, now: datetime, height: int | None = None
) -> list[str]:
    """The run, in at most `height` lines (None: as many as it takes). `series` None: it is read.

        sft_r16   running   attempt 2 of 2                 06:05:11
        step 18,350/24,000  ████████···  49 min left, 1.92/s

    and below that the chart, the figures, and why it failed.
    """
    lines = [_heading(run, screen, now), *wrapped(_progress(run, screen), screen), ""]
    chart = _chart(run, series, screen, _rows(height))
    if chart:
        lines += [*chart, ""]
    for text in _facts(run):
        lines += wrapped(one_line(text), screen)
    return lines[:height]


def chart_columns(screen: Screen) -> int:
    """How many columns of dots a chart has on this screen: as many points are worth asking for."""
    return max(1, min(screen.room, _MOST_WIDE) - _LEAST_LABEL) * DOTS_WIDE


def _rows(height: int | None) -> int:
    """How high the chart is, in characters."""
    if height is None:
        return _MOST_ROWS
    return min(_MOST_ROWS, max(_LEAST_ROWS, height - _AROUND))


def _heading(run: Run, screen: Screen, now: datetime) -> str:
    """`sft_r16   running   attempt 2 of 2`, and the time at the right.

    The state says how the run is where it is not well: `running, stalled`.
    """
    time = f"{now:%H:%M:%S}"
    state = run.state
    if run.health not in ("", "advancing"):
        state = f"{state}, {run.health}"
    attempts = len(run.attempts)
    attempt = ""
    if attempts > 1:
        attempt = f"attempt {run.attempt} of {attempts}"
    line_width = min(screen.room, _MOST_WIDE)
    text = one_line(words.joined("   ", run.name, state, attempt))
    text = screen.cut(text, max(1, line_width - len(time) - 2))
    return text + " " * (line_width - width(text) - len(time)) + time


def _progress(run: Run, screen: Screen) -> str:
    """`step 18,350/24,000  ████···  49 min left, 1.92/s`; of a run without a step, how it is."""
    progress = run.progress
    bar, left = "", ""
    if progress.step is None:
        return run.health_why or run.state
    if progress.total:
        bar_width = min(35, max(8, screen.room // 2 - 5))
        bar = screen.bar(progress.step / progress.total, bar_width)
    if progress.eta_s is not None:
        left = f"{words.span(progress.eta_s)} left"
    if progress.fits is False:
        left = f"! {left}, after its time limit"
    speed = words.joined(", ", left, words.rate(progress.rate_per_s))
    return words.joined("  ", f"step {words.steps(progress.step, progress.total)}", bar, speed)


# ── the chart


def _chart(run: Run, series: Series | None, screen: Screen, rows: int) -> list[str]:
    """The training loss as a line, the validation loss as points, an axis of steps, and marks.

    It is `rows` characters high; [] where there is no finite value to draw.
    """
    if series is None:
        return ["reading …" if screen.is_utf8 else "reading ..."]
    lines = [line for line in series.lines if not line.superseded]
    values = _finite(lines)
    if not values:
        return []
    scale = Scale(min(values), max(values), rows)
    labels = scale.labels()
    left = max(_LEAST_LABEL, *(len(label) + 1 for label in labels.values()))
    axis = _axis(run, lines, left, screen)
    drawn = _drawn(run, lines, scale, axis)
    text = []
    for row in range(rows):
        label = labels.get(row, "").ljust(left)
        text.append((label + _row_text(drawn, row, screen)).rstrip())
    if not series.is_whole:
        text.append("the last rows; the earlier ones are being read")
    return [*text, _ticks(axis), *_mark_lines(run.marks, axis, screen)]


def _finite(lines: Sequence[Line]) -> list[float]:
    """The values that are drawn: of all lines, without gaps, NaN and infinity; [] for none."""
    values: list[float] = []
    for line in lines:
        for value in line.smooth:
            if value is not None and math.isfinite(value):
                values.append(value)
    return values


def _axis(run: Run, lines: Sequence[Line], left: int, screen: Screen) -> _Axis:
    """From the first step to the last one there is, or is to be: of a run under way the planned
    end, so that one sees how much is left. It begins at 0, unless steps are below.

    `left` is how many columns the labels take.
    """
    steps: list[Real] = []
    for line in lines:
        steps += [x for x in line.x if x is not None]
    most = max(steps)
    if run.standing == "running" and run.progress.total:
        most = max(most, run.progress.total)
    columns = max(1, min(screen.room, _MOST_WIDE) - left)
    return _Axis(min(0, *steps), most, left, columns)


def _drawn(run: Run, lines: Sequence[Line], scale: Scale, axis: _Axis) -> Canvas:
    """All lines on one canvas: the validation last, above the others.

    Other lines are joined; a validation loss has few values, and each is a dot.
    """
    canvas = Canvas(axis.columns, scale.rows)
    validations = {metric.name for metric in run.metrics if metric.role == "val loss"}
    for line in sorted(lines, key=lambda line: line.metric in validations):
        points = list(_points(line, scale, axis))
        if line.metric not in validations:
            canvas.line(points, "running")
            continue
        for point in filter(None, points):
            canvas.dot(*point, "warning")
    return canvas


def _points(line: Line, scale: Scale, axis: _Axis) -> Iterator[tuple[int, int] | None]:
    """Where the values of a line stand, as columns and rows of dots; None where it breaks: at a
    gap, and where a value is not finite.
    """
    for x, value in zip(line.x, line.smooth, strict=True):
        if x is None or value is None or not math.isfinite(value):
            yield None
        else:
            yield axis.dot(x), scale.dot(value)


def _row_text(canvas: Canvas, row: int, screen: Screen) -> str:
    """A row of the chart, coloured; in ASCII a star where there is a dot."""
    texts = []
    for text, kind in canvas.pieces(row):
        if not screen.is_utf8:
            texts.append(re.sub(r"\S", "*", text))
        elif kind:
            texts.append(screen.paint(text, kind))
        else:
            texts.append(text)
    return "".join(texts).rstrip()


def _ticks(axis: _Axis) -> str:
    """The steps below the chart, each beginning at its column; the last one ends at the edge.

        0              5,000           10,000          15,000        24,000

    One that has no room before the last is left out.
    """
    last = f"{axis.most:,.0f}"
    edge = axis.left + axis.columns
    text = ""
    for value in _round_steps(axis):
        column = axis.column(value)
        label = f"{value:,.0f}"
        if column > len(text) and column + len(label) + 2 <= edge - len(last):
            text = f"{text.ljust(column)}{label} "
    return f"{text.ljust(edge - len(last))}{last}"


def _round_steps(axis: _Axis) -> Iterator[float]:
    """Round steps at equal distances, `_MOST_TICKS` at most, the last step left out.

    The distance is 1, 2, 4 or 5 times a power of ten: the least of which few enough fit.
    """
    span = axis.most - axis.least
    most = max(1, min(_MOST_TICKS, axis.columns // 12))
    if span <= 0:
        return
    size = 10.0 ** math.floor(math.log10(span / most))
    distance = next(size * times for times in (1, 2, 4, 5, 10, 20) if span / (size * times) <= most)
    value = math.ceil(axis.least / distance) * distance
    while value < axis.most:
        yield value
        value += distance


def _mark_lines(marks: Sequence[Mark], axis: _Axis, screen: Screen) -> list[str]:
    """What happened, each at its step, on the first line that has room; the rest is left out.

    `! stalled 28 min` below the column of the step at which it stalled.
    """
    lines = [""] * _MOST_MARK_LINES
    known = [(mark.step, mark) for mark in marks if mark.step is not None]
    for step, mark in sorted(known, key=lambda pair: pair[0]):
        if mark.kind in _MARKED:
            label = f"{_MARKED[mark.kind]} {one_line(_mark_words(mark))}"
            column = axis.column(min(max(step, axis.least), axis.most))
            _place(lines, column, label, screen.room)
    return list(filter(None, lines))


def _place(lines: list[str], column: int, label: str, room: int) -> None:
    """Put a label at its column, or further right behind another one, where that has room."""
    for number, line in enumerate(lines):
        begin = column
        if line:
            begin = max(column, len(line) + 2)
        if begin <= column + _MOST_SHIFT and begin + width(label) <= room:
            lines[number] = line.ljust(begin) + label
            return


def _mark_words(mark: Mark) -> str:
    """What a mark says: `attempt 2`, `stalled 28 min`."""
    if mark.kind == "stall" and mark.duration_s is not None:
        return f"stalled {words.coarse_span(mark.duration_s)}"
    return mark.text or mark.kind


# ── the figures


def _facts(run: Run) -> Iterator[str]:
    """Last and best figures; checkpoints and examples; why it failed, with the end of the traceback
    and the command that helps.
    """
    yield words.joined("   ", *_losses(run.metrics), _best(run))
    yield words.joined("   ", _checkpoints(run), _examples(run))
    if run.failure is not None:
        yield words.joined(": ", run.failure.why, run.failure.cause)
        yield from run.failure.traceback[-4:]
        yield words.short_command(run.failure.command)


def _losses(metrics: Sequence[MetricRow]) -> Iterator[str]:
    """`train 0.468`, `val 0.597 at 18,000`, `gap +0.164`. The step of a validation is said where it
    is not the newest. A loss that is not finite is left out.
    """
    newest = max([metric.last_step or 0 for metric in metrics], default=0)
    for metric in metrics:
        name = _ROLES.get(metric.role)
        if name is None or not isinstance(metric.last, int | float):
            continue
        figure = _figure(metric.last)
        if metric.role == "gap" and metric.last > 0:
            figure = f"+{figure}"
        place = ""
        if metric.role == "val loss" and metric.last_step != newest:
            place = _at(metric.last_step)
        yield f"{name} {figure}{place}"


def _at(step: Real | None) -> str:
    """` at 18,000`; "" where that is not known."""
    if step is None:
        return ""
    return f" at {step:,}"


def _figure(value: Real) -> str:
    """A figure as the tables show it."""
    (text,) = figures([value])
    return text


def _best(run: Run) -> str:
    """`best val 0.558 at 15,500`; "" where no metric of the run has a better end."""
    if run.best is None:
        return ""
    roles = {metric.name: metric.role for metric in run.metrics}
    name = _ROLES.get(roles.get(run.best.metric, "other"), run.best.metric)
    return f"best {name} {_figure(run.best.value)}{_at(run.best.step)}"


def _checkpoints(run: Run) -> str:
    """`checkpoints 9, newest step 18,000, whole`; "" for none. Whether the newest is whole is left
    out where nobody looked.
    """
    if not run.checkpoints:
        return ""
    newest = max(run.checkpoints, key=lambda one: one.step or 0)
    whole = ""
    if newest.is_whole:
        whole = "whole"
    elif newest.is_whole is False:
        whole = newest.missing or "not whole"
    step = ""
    if newest.step is not None:
        step = f"newest step {newest.step:,}"
    return words.joined(", ", f"checkpoints {len(run.checkpoints)}", step, whole)


def _examples(run: Run) -> str:
    """`examples 37, 34 match`; "" for none, and without the second where nothing was to match."""
    if not run.examples:
        return ""
    matching = ""
    if run.examples_matching is not None:
        matching = f"{run.examples_matching:,} match"
    return words.joined(", ", f"examples {run.examples:,}", matching)
