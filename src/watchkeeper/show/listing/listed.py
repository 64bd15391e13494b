"""Runs as `ls --json` prints them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from watchkeeper.core.words import Note
from watchkeeper.query.catalogue.entry import Real
from watchkeeper.query.catalogue.listing import Run
from watchkeeper.query.views.pages import More, PlaceRow, Reading, RunningRow, WaitingRow
from watchkeeper.query.views.shared import Need

_SPARK_DIGITS = 4


class ListedFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One metric: its last value and its best, each with its training step; null: there is none, or
    its name does not say whether more is better.
    """

    last: Real
    last_step: Real | None
    best: Real | None
    best_step: Real | None


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `folder` and `key` are what `tag` and `note` take; `run` is both in one, below the
    folders listed. `name` is its own, "" for none. Times are in UTC, null where not known. `spark`
    are up to 48 medians of `spark_metric`, in order.
    """

    run: str
    folder: str
    key: str
    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    user: str
    pipeline: str
    error: str
    rows: int
    step: Real | None
    config: dict[str, str]
    metrics: dict[str, ListedFigure]
    spark_metric: str
    spark: tuple[Real, ...]
    tags: tuple[str, ...]
    notes: tuple[Note, ...]


class LsData(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that were asked for, in `order` (in words), of so many that there are. The rest is
    the overview; empty where there is no experiment, or a filter or an order was given. `left_out`:
    how many more there are of its lists; `reading`: how many journals were read.
    """

    runs: list[ListedRun]
    order: str
    of: int
    needs: list[Need] = []
    running: list[RunningRow] = []
    waiting: list[WaitingRow] = []
    places: list[PlaceRow] = []
    left_out: More = More()
    reading: Reading | None = None


def listed(run: Run) -> ListedRun:
    """A run as `--json` prints it."""
    return ListedRun(
        run=run.label,
        folder=run.path,
        key=run.key,
        name=run.name,
        state=run.state,
        started=run.started,
        ended=run.ended,
        user=run.user,
        pipeline=run.pipeline,
        error=run.error,
        rows=run.rows,
        step=run.step,
        config=run.config,
        metrics=_metrics(run),
        spark_metric=run.spark_metric,
        spark=tuple(float(f"{value:.{_SPARK_DIGITS}g}") for value in run.spark),
        tags=run.tags,
        notes=run.notes,
    )


def _metrics(run: Run) -> dict[str, ListedFigure]:
    metrics = {}
    for name, figure in run.figures.items():
        best, best_step = run.best(name) or (None, None)
        metrics[name] = ListedFigure(
            last=figure.last,
            last_step=figure.last_step,
            best=best,
            best_step=best_step,
        )
    return metrics
