"""The page of compared runs: in what they differ, and the figures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.events import Number
from watchkeeper.core.journal import local_zone
from watchkeeper.query.compare import Chosen, Compared, chosen_sides
from watchkeeper.query.views.differences.differing import contrast, heading_of
from watchkeeper.query.views.differences.figures import Measured, Measures
from watchkeeper.query.views.differences.patches import diffs_of
from watchkeeper.query.views.differences.table import LAST, Table, metric_names
from watchkeeper.query.views.pages import Compare, ComparedRun
from watchkeeper.query.views.shared import Standing
from watchkeeper.report.compare.sides import GOOD, Side

MOST_RUNS = 50
MOST_CELLS = 2_000
"""Figures times runs in a page that names no metrics."""
_LEAST_FIGURES = 8
_MOST_WHY = 3

_STANDINGS: Mapping[str, Standing] = {
    "running": "running",
    "waiting": "to do",
    "not run": "to do",
    "not submitted": "to do",
    "PENDING": "running",
    "RUNNING": "running",
    "unknown": "unknown",
    "UNKNOWN": "unknown",
    "not ended": "unknown",
    "": "unknown",
}


class Wish(NamedTuple):
    """Which figures are shown: `at` is `last`, `best` or a training step; of `metrics`, or of as
    many as fit where none is named.
    """

    at: str = LAST
    metrics: Sequence[str] = ()


LAST_VALUES = Wish()


def compare(runs: Sequence[Chosen], base: str = "", wish: Wish = LAST_VALUES) -> Compare:
    """Put runs side by side. `base` is the id of the run that the others are compared with, "": the
    first.

    Raises:
        UsageError: there are none or more than 50, none can be read, there is no such base, or
            `wish.at` is neither a word nor a step.
    """
    if not 0 < len(runs) <= MOST_RUNS:
        raise UsageError(
            f"{len(runs)} runs cannot be compared at once", hint=f"choose 1 to {MOST_RUNS} of them"
        )
    measures = Measures()
    last = {run.folder: _last_of(measures, run) for run in runs if not run.key}
    problems: list[Problem] = []
    sides = chosen_sides(runs, last, problems)
    if not sides:
        why = "; ".join(f"{one.where}: {one.message}" for one in problems[:_MOST_WHY])
        raise UsageError(f"none of the runs can be read: {why}")
    page = page_of(sides, _base(sides, base), measures, wish)
    return msgspec.structs.replace(page, problems=[*problems, *measures.problems])


def page_of_all(found: Compared) -> Compare:
    """The page of what `compare` on paths found, with the last values of all metrics that fit."""
    base = next(side for side in found.runs if side.name == found.base)
    return page_of(found.runs, base, Measures(), LAST_VALUES)


def page_of(sides: Sequence[Side], base: Side, measures: Measures, wish: Wish) -> Compare:
    """The page of these runs, without what could not be read of them.

    Raises:
        UsageError: `wish.at` is neither a word nor a step.
    """
    measured = [measures.of(side) for side in sides]
    difference = contrast(sides, base)
    names = metric_names(sides, measured)
    table = Table(sides, measured, sides.index(base))
    return Compare(
        heading=heading_of(len(sides), difference.differs),
        base=base.id,
        runs=[_run(side, one) for side, one in zip(sides, measured, strict=True)],
        same=difference.same,
        differs=difference.differs,
        figures=table.rows(_shown(names, wish.metrics, len(sides)), wish.at),
        diffs=diffs_of(base, sides),
        metrics=names,
        at=wish.at,
        zone=local_zone(),
    )


def _shown(names: Sequence[str], wanted: Sequence[str], runs: int) -> list[str]:
    """The metrics that get a row: those that were asked for, else as many as fit.

    Of the more runs, the fewer: 2,000 cells in all, but eight rows at least.
    """
    if wanted:
        return [name for name in wanted if name in names]
    return list(names[: max(_LEAST_FIGURES, MOST_CELLS // runs)])


def _last_of(measures: Measures, run: Chosen) -> Mapping[str, Number]:
    """The last figures of a recorded run, metric → value; {} where it has none."""
    return {name: figure.last for name, figure in measures.recorded(run.folder).figures.items()}


def _base(sides: Sequence[Side], base: str) -> Side:
    """The run that the others are compared with; the first for "".

    Raises:
        UsageError: none of them has this id.
    """
    if not base:
        return sides[0]
    for side in sides:
        if side.id == base:
            return side
    raise UsageError(f"the base {base!r} is none of the runs that are compared")


def _run(side: Side, measured: Measured) -> ComparedRun:
    """A run as the page's heading has it. A recorded run's own state outweighs its side's."""
    state = side.state
    if side.origin == "recorded":
        state = measured.entry.state
    return ComparedRun(
        id=side.id,
        name=side.name,
        state=state or "unknown",
        standing=standing_of(state),
        step=measured.entry.step,
        spark_metric=measured.entry.spark_metric,
        spark=measured.entry.spark,
    )


def standing_of(state: str) -> Standing:
    """Where a run stands, by its state in words. A state that is not on the list, such as a
    scheduler's TIMEOUT, is one of failure.
    """
    if state in GOOD:
        return "done"
    return _STANDINGS.get(state, "failed")
