"""The figures of compared runs as rows: values, differences from the base, and the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeGuard

from watchkeeper.core.errors import UsageError
from watchkeeper.query.catalogue.entry import Extreme, Real
from watchkeeper.query.views.differences.figures import Measured, last_values, values_at
from watchkeeper.query.views.pages import FigureRow
from watchkeeper.report.compare.direction import Better
from watchkeeper.report.compare.sides import GOOD, Side, end_of
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS

LAST, BEST = "last", "best"


def step_of(at: str) -> float | None:
    """The training step that `at` names; None for `last` and `best`.

    Steps may be fractions, as epochs of some tools are.

    Raises:
        UsageError: it is none of these.
    """
    if at in (LAST, BEST):
        return None
    try:
        step = float(at)
    except ValueError:
        step = math.nan
    if math.isnan(step):
        raise UsageError(f"figures at {at!r} are not known", hint="say last, best, or a step")
    return step


def metric_names(sides: Sequence[Side], measured: Sequence[Measured]) -> list[str]:
    """The names of all figures, each once and those that decide first: results of evaluations, by
    metric and task; validation losses; others whose better end is known; training losses; the rest.

        clean accuracy, noisy accuracy, val_loss, perplexity, train_loss, lr

    `measured` is in the order of `sides`.
    """
    results: set[str] = set()
    names: dict[str, None] = {}
    for one in measured:
        results.update(one.results)
        names.update(dict.fromkeys(one.figures))
    of_tasks = [name for name in names if name in results]
    of_tasks.sort(key=lambda name: name.rpartition(" ")[2])
    val = [name for name in VAL_LOSS if name in names]
    train = [name for name in TRAIN_LOSS if name in names]
    ranked: list[str] = []
    for name in names:
        if name not in train and end_of(name, sides):
            ranked.append(name)
    return list(dict.fromkeys([*of_tasks, *val, *ranked, *train, *names]))


class Table:
    """The figures of runs, of which one is the base."""

    def __init__(self, sides: Sequence[Side], measured: Sequence[Measured], base: int) -> None:
        self._sides = sides
        self._measured = measured
        self._base = base

    def rows(self, metrics: Sequence[str], at: str) -> list[FigureRow]:
        """A row for each metric: its last values, its best ones, or those at a training step.

        `at` is `last`, `best`, or the number of a step as a text. A run that lacks a metric has
        None in its place.

        Raises:
            UsageError: `at` is none of these.
        """
        step = step_of(at)
        reached: list[Mapping[str, Extreme]] = []
        for one in self._measured:
            if step is not None:
                reached.append(values_at(one, step))
            elif at == LAST:
                reached.append(last_values(one))
            else:
                reached.append(self._best_values(one))
        return [self._row(metric, reached) for metric in metrics]

    def _best_values(self, one: Measured) -> dict[str, Extreme]:
        """The best values, of the metrics whose better end is known; the others are left out."""
        values = {}
        for metric, figure in one.figures.items():
            best = figure.best(end_of(metric, self._sides))
            if best is not None:
                values[metric] = best
        return values

    def _row(self, metric: str, reached: Sequence[Mapping[str, Extreme]]) -> FigureRow:
        """The row of one metric, with a value for each run, in the order of the runs.

        `reached` are the values of each run, metric → value and its step. The step of an
        evaluation's figure is the epoch of its checkpoint.
        """
        better = end_of(metric, self._sides)
        points = [values.get(metric) for values in reached]
        values = [_value_of(point) for point in points]
        base = values[self._base]
        axis: Literal["step", "epoch"] = "step"
        if any(metric in one.results for one in self._measured):
            axis = "epoch"
        return FigureRow(
            metric=metric,
            values=values,
            at=[_step_of(point) for point in points],
            deltas=[_difference(value, base) for value in values],
            is_best=self._best(values, better),
            better=better,
            axis=axis,
        )

    def _best(self, values: Sequence[Real | None], better: Better) -> list[bool]:
        """Which of the values are the best: of finished runs, where one of them has any.

        None is where nobody knows which end is better, or where fewer than two runs have a value: a
        figure that is compared with nothing is not the best. Several values may be equally good.

            val_loss 0.4, 0.3, 0.3 of finished runs → no, yes, yes
            val_loss 0.4, 0.3, of which the second run failed → yes, no
        """
        known = list(filter(_is_finite, values))
        if not better or len(known) < 2:
            return [False] * len(values)
        shown = list(map(_of_finished, values, self._sides))
        counted = list(filter(_is_finite, shown))
        if not counted:
            counted, shown = known, list(values)
        best = max(counted)
        if better == "less":
            best = min(counted)
        return [value == best for value in shown]


def _value_of(point: Extreme | None) -> Real | None:
    """The value of a point; None where the run has none."""
    if point is None:
        return None
    return point.value


def _step_of(point: Extreme | None) -> Real | None:
    """The step, or the epoch, that a value was reached at; None where nobody says."""
    if point is None:
        return None
    return point.step


def _is_finite(value: Real | None) -> TypeGuard[Real]:
    """Whether there is a value, and it is neither NaN nor infinite."""
    return value is not None and math.isfinite(value)


def _of_finished(value: Real | None, side: Side) -> Real | None:
    """The value of a run that finished; None of any other."""
    if side.state in GOOD:
        return value
    return None


def _difference(value: Real | None, base: Real | None) -> Real | None:
    """By how much a value is above the base's: 0.5 of 0.75 and 0.25. None where one of the two is
    missing or not finite.
    """
    if not _is_finite(value):
        return None
    if not _is_finite(base):
        return None
    return value - base
