"""The matrix of an experiment: its runs with the settings that differ, its tasks with their epochs,
and the range of each metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from watchkeeper.core.events import Number
from watchkeeper.query.catalogue.experiment_runs import ExperimentRun, runs_of, settings_of
from watchkeeper.query.rows import Row
from watchkeeper.query.views.pages import MetricColumn, RunningRow, RunRow, TaskColumn, WorkRow
from watchkeeper.query.views.parts.alike import line_of
from watchkeeper.query.views.parts.site import Site, standing_of
from watchkeeper.query.views.shared import Best, Progress, Real
from watchkeeper.reading import settings as flatten

_SAMPLES = "samples"


def work_rows(site: Site, running: Sequence[RunningRow]) -> list[WorkRow]:
    """A row for each piece of work, in the experiment's order.

    `running` are those that run (`running_rows`): their health and progress are the newest.
    """
    now = {row.key: row for row in running}
    return [_work_row(site, row, now.get(row.key)) for row in site.rows]


def array_task_rows(site: Site) -> list[WorkRow]:
    """A row for each task of an array: `train[0]`, `train[1]` … Their health is not known: only the
    array as a whole has a watcher's word.
    """
    tasks = (row for row in site.looked.rows if row.array_task is not None)
    return [_work_row(site, row, None) for row in tasks]


def _work_row(site: Site, row: Row, running: RunningRow | None) -> WorkRow:
    """A row as a page has it. `running`: how far it is, None where it does not run."""
    health: str = row.health or ""
    progress = Progress()
    if running is not None:
        health = running.health
        progress = running.progress
    cause = ""
    if row.standing == "failed":
        cause = line_of(row)
    return WorkRow(
        key=row.key,
        id=site.id_of(row.key),
        phase=row.phase,
        run=row.run,
        task=row.task,
        epoch=row.epoch,
        standing=standing_of(row),
        state=row.state,
        why=row.why,
        cause=cause,
        metrics=dict(finite(row.metrics)),
        elapsed_s=_elapsed_s(site, row),
        train_loss=_train_loss(site, row),
        attempt=row.attempt,
        job_id=row.job_id,
        progress=progress,
        health=health,
    )


def finite(metrics: Mapping[str, Number]) -> Iterator[tuple[str, Real]]:
    """The figures that are numbers, without how many samples they are of.

    An event spells NaN and infinity as texts, since JSON has no number for them.
    """
    for name, value in metrics.items():
        if name == _SAMPLES or isinstance(value, str):
            continue
        if math.isfinite(value):
            yield name, value


def _elapsed_s(site: Site, row: Row) -> float | None:
    """How many seconds it took, or has run so far; None where it has not begun, or nobody says.

    The clocks of two machines may differ: what begins in the future has run for 0 seconds.
    """
    if row.elapsed_s is not None:
        return row.elapsed_s
    attempt = site.latest(row.key)
    if attempt is None or not attempt.active:
        return None
    facts = attempt.facts
    if facts is None or facts.started is None:
        return None
    return max(0.0, (site.now - facts.started).total_seconds())


def _train_loss(site: Site, row: Row) -> float | None:
    """The last training loss that the verdict on its newest attempt found; None for none."""
    attempt = site.latest(row.key)
    if attempt is None:
        return None
    judged = attempt.judged
    if judged is None or judged.learned is None:
        return None
    loss = judged.learned.last_train_loss
    if not isinstance(loss, int | float):
        # None, or the text "NaN".
        return None
    return float(loss)


# ── columns


def task_columns(site: Site) -> list[TaskColumn]:
    """The tasks in their order, each with its epochs; a result without an epoch adds none: of
    `r8/clean/epoch0`, `r8/clean/epoch1` and `base/clean`, `clean` has the epochs 0 and 1.
    """
    epochs: dict[str, set[int]] = {}
    for item in site.looked.experiment.items:
        if item.phase != "evaluation":
            continue
        known = epochs.setdefault(item.task, set())
        if item.epoch is not None:
            known.add(item.epoch)
    return [TaskColumn(name=task, epochs=tuple(sorted(known))) for task, known in epochs.items()]


def metric_columns(site: Site, rows: Sequence[WorkRow]) -> list[MetricColumn]:
    """The metrics of the evaluations, each with its range over all tasks, in the order in which
    they are met in `rows`.
    """
    values: dict[str, list[Real]] = {}
    for row in rows:
        if row.phase != "evaluation":
            continue
        for name, value in row.metrics.items():
            values.setdefault(name, []).append(value)
    columns: list[MetricColumn] = []
    for name, own in values.items():
        better = site.ranking.better(name)
        columns.append(MetricColumn(name=name, least=min(own), greatest=max(own), better=better))
    return columns


def run_rows(site: Site) -> tuple[list[str], list[RunRow]]:
    """The names of the settings that differ between the runs, and the runs with theirs.

    A control is the base model, which is evaluated and not trained: its settings do not count.
    """
    reader = flatten.Reader()
    experiment = site.looked.experiment
    runs = runs_of(experiment, site.looked.state)
    settings = {run.name: _settings(run, reader) for run in runs}
    controls = {item.run for item in experiment.items if item.control}
    names = _differing([settings[run.name] for run in runs if run.name not in controls])
    rows: list[RunRow] = []
    for run in runs:
        own = settings[run.name]
        rows.append(
            RunRow(
                name=run.name,
                id=site.id_of(run.name),
                settings={name: own[name] for name in names if own.get(name)},
                control=run.name in controls,
            )
        )
    return names, rows


def _settings(run: ExperimentRun, reader: flatten.Reader) -> dict[str, str]:
    """The settings of a run, name → value, from its configuration as it was kept, from what its
    training recorded, or from the summary's words.
    """
    known, _ = settings_of(run.experiment, run.name, run.intended, run.snapshot, reader)
    return known


def _differing(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """The names that have more than one value. A run that does not say one, as before its end, has
    none.

    Of runs that all have `lr: 1e-4`, `lr` is not among them.
    """
    values: dict[str, set[str]] = {}
    for one in settings:
        for name, value in one.items():
            values.setdefault(name, set()).add(value)
    return [name for name, own in values.items() if len(own) > 1]


# ── the best


def best_of(site: Site, rows: Sequence[WorkRow]) -> list[Best]:
    """The best figure of each task's first metric, in the tasks' order. Of equal ones the first; a
    task of which nobody knows which figures are better has none.

    The first metric is that of the task's first result: inspect-ai's own order.

        clean: r8 accuracy 0.91, r16 accuracy 0.94      noisy: r8 accuracy 0.62
        → `clean accuracy` 0.94 of r16, `noisy accuracy` 0.62 of r8
    """
    best: dict[str, Best] = {}
    firsts: dict[str, str] = {}
    for row in rows:
        if row.phase != "evaluation" or not row.metrics:
            continue
        metric = firsts.setdefault(row.task, next(iter(row.metrics)))
        value = row.metrics.get(metric)
        if value is None:
            continue
        if _is_better(site.ranking.sign(metric), value, best.get(row.task)):
            best[row.task] = Best(
                metric=f"{row.task} {metric}",
                value=value,
                run=row.run,
                id=site.id_of(row.run),
                epoch=row.epoch,
            )
    return list(best.values())


def _is_better(sign: int, value: Real, before: Best | None) -> bool:
    """Whether a figure is better than the best so far, None for none.

    `sign` is 1 where more is better, -1 where less is, and 0 where nobody knows: there is no best.
    """
    if not sign:
        return False
    return before is None or sign * value > sign * before.value
