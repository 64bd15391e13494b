"""The metrics of a run with their last and best figures, and the sentence on its loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from watchkeeper.query.ranking import Ranking
from watchkeeper.query.series.executions import RunRows
from watchkeeper.query.series.figures import Figure, figure_of, values_of
from watchkeeper.query.views.charts import (
    GAP,
    GAPS,
    MOST_COLUMNS,
    Chart,
    gap_parts,
    loss_names,
    series_of,
)
from watchkeeper.query.views.pages import MetricRow
from watchkeeper.query.views.run_page.numbers import plain, spelled
from watchkeeper.query.views.shared import Best
from watchkeeper.report.compare.direction import Better
from watchkeeper.report.compose import loss_sentence

Role = Literal["train loss", "val loss", "gap", "other"]
_ROLES: tuple[Role, ...] = ("train loss", "val loss", "gap", "other")
_MOST_POINTS = 4096  # of a curve that a sentence is made of


def metrics_of(run: RunRows, ranking: Ranking) -> list[MetricRow]:
    """The metrics: the losses first, then their gap, then the others in the order logged."""
    names = run.metrics
    train, val = loss_names(names)
    roles: dict[str, Role] = {train: "train loss", val: "val loss"}
    roles.update(dict.fromkeys(GAPS, "gap"))
    rows = [
        _row(figure_of(run, name), name, roles.get(name, "other"), ranking.better(name))
        for name in names
    ]
    return sorted([*rows, *_made_gap(run)], key=_place)


def _place(row: MetricRow) -> int:
    """By what the metrics are sorted: their roles."""
    return _ROLES.index(row.role)


def _made_gap(run: RunRows) -> Iterator[MetricRow]:
    """The gap of a run that logs none, as its strip ends; none where it lacks a loss, or where none
    of its values has one of the other loss beside it.
    """
    parts = gap_parts(run.metrics)
    if not parts:
        return
    lines = series_of(run, Chart(metrics=(GAP,), width=MOST_COLUMNS)).lines
    points: list[tuple[float | None, float | None]] = []
    for line in lines:
        if line.superseded:
            continue
        for point in zip(line.x, line.smooth, strict=True):
            if point[1] is not None:
                points.append(point)
    if points:
        last_step, last = points[-1]
        yield MetricRow(
            name=GAP,
            rows=len(points),
            last=last,
            last_step=last_step,
            best=None,
            best_step=None,
            better="",
            role="gap",
            made_of=parts,
        )


def best_of(metrics: Sequence[MetricRow], run: str, id: str) -> Best | None:
    """The best figure: of the validation loss, else of another metric whose better end is known,
    else of the training loss.
    """
    order = ("val loss", "other", "train loss")
    ranked = [row for row in metrics if row.best is not None and row.role in order]
    first = min(ranked, key=lambda row: order.index(row.role), default=None)
    if first is None or first.best is None:
        return None
    return Best(metric=first.name, value=first.best, run=run, id=id, step=first.best_step)


def reading_of(run: RunRows, *, is_running: bool) -> str:
    """The sentence on the loss curve; "" where no loss was logged."""
    train, val = loss_names(run.metrics)
    if not train and not val:
        return ""
    curves = [_curve(run, name) for name in (train, val)]
    sentence = loss_sentence.reading(*curves)
    if is_running:
        return f"So far: {sentence}"
    return sentence[:1].upper() + sentence[1:]


def _curve(run: RunRows, name: str) -> list[loss_sentence.Point]:
    """The points of a loss that have a training step, each (step, loss); [] of no loss, ""."""
    if not name:
        return []
    return [point for point in values_of(run, name, _MOST_POINTS) if not math.isnan(point[0])]


def _row(figure: Figure, name: str, role: Role, better: Better) -> MetricRow:
    """A metric as a page has it. Which of its values is the best depends on the `better` end; there
    is none where nobody knows that.
    """
    best = {"more": figure.high, "less": figure.low, "": None}[better]
    last_step, last = figure.last or (None, None)
    best_step, best_value = best or (None, None)
    return MetricRow(
        name=name,
        rows=figure.rows,
        last=spelled(last),
        last_step=plain(last_step),
        best=plain(best_value),
        best_step=plain(best_step),
        better=better,
        role=role,
    )
