"""The work of an experiment that has no evaluations as a table: a line for each job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from watchkeeper.query.views.pages import Experiment, WorkRow
from watchkeeper.show.listing.figures import figures
from watchkeeper.show.listing.grid import Column, grid
from watchkeeper.show.listing.screen import Screen, kind_of
from watchkeeper.show.screens import words

MOST = 60
_MOST_METRICS = 3
_MOST_SETTINGS = 4
_MOST_TASKS = 20  # of one array
_LEAST_NAME = 16
_MOST_SETTING = 16
_URGENCY = ("failed", "blocked", "unknown", "running", "to do", "done", "not needed")
_DROP_SETTING, _DROP_METRIC, _DROP_JOB, _DROP_ATTEMPT, _DROP_TOOK = 60, 50, 40, 30, 20


def job_lines(experiment: Experiment, screen: Screen) -> list[str]:
    """A line for each job; of too many the most urgent."""
    rows = _most_urgent(_without_done_tasks(experiment.rows))
    if not rows:
        return []
    lines = grid(_columns(rows, experiment, screen), screen).splitlines()
    return lines + words.more(len(experiment.rows) - len(rows), " jobs")


def is_array_task(row: WorkRow) -> bool:
    """Whether it is a task of an array, which is a row as well."""
    return row.key.endswith("]")


def urgency(row: WorkRow) -> int:
    """A number by which the most urgent work comes first."""
    return _URGENCY.index(row.standing)


def _without_done_tasks(rows: Sequence[WorkRow]) -> list[WorkRow]:
    """The rows without the tasks that are too many of their array, those that are done first."""
    counts: dict[str, int] = {}
    left_out: set[str] = set()
    for row in sorted(filter(is_array_task, rows), key=urgency):
        array, _, _ = row.key.rpartition("[")
        counts[array] = counts.get(array, 0) + 1
        if counts[array] > _MOST_TASKS:
            left_out.add(row.key)
    return [row for row in rows if row.key not in left_out]


def _most_urgent(rows: Sequence[WorkRow]) -> list[WorkRow]:
    """As many rows as are shown, in their order."""
    kept = {row.key for row in sorted(rows, key=urgency)[:MOST]}
    return [row for row in rows if row.key in kept]


def _columns(rows: Sequence[WorkRow], experiment: Experiment, screen: Screen) -> list[Column]:
    """Key, settings, figures, state, how long it took, job and attempt."""
    return [
        Column(header="run", cells=list(map(_key, rows)), least=_LEAST_NAME),
        *_settings(rows, experiment, screen),
        *_figures(rows),
        Column(
            header="state",
            cells=list(map(partial(_state, screen), rows)),
            kinds=list(map(_kind, rows)),
        ),
        Column(header="took", cells=list(map(_took, rows)), right=True, drop=_DROP_TOOK),
        Column(header="job", cells=list(map(_job, rows)), right=True, drop=_DROP_JOB),
        Column(header="attempt", cells=list(map(_attempt, rows)), right=True, drop=_DROP_ATTEMPT),
    ]


def _settings(rows: Sequence[WorkRow], experiment: Experiment, screen: Screen) -> Iterator[Column]:
    """The settings in which the runs differ."""
    settings = {run.name: run.settings for run in experiment.runs}
    for number, name in enumerate(experiment.settings[:_MOST_SETTINGS]):
        values = [settings.get(row.run, {}).get(name, "") for row in rows]
        cells = [screen.cut(value, _MOST_SETTING) for value in values]
        yield Column(header=name, cells=cells, right=True, drop=_DROP_SETTING + number)


def _figures(rows: Sequence[WorkRow]) -> Iterator[Column]:
    """The first few metrics that the rows have."""
    for number, name in enumerate(_metrics(rows)):
        cells = figures([row.metrics.get(name) for row in rows])
        yield Column(header=name, cells=cells, right=True, drop=_DROP_METRIC + number)


def _metrics(rows: Sequence[WorkRow]) -> list[str]:
    """The first few metrics that the rows have."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row.metrics))
    return list(names)[:_MOST_METRICS]


def _key(row: WorkRow) -> str:
    """Its key."""
    return row.key


def _kind(row: WorkRow) -> str:
    """The kind by which its state has its colour."""
    return kind_of(row.standing)


def _state(screen: Screen, row: WorkRow) -> str:
    """Its state in the scheduler's words, behind the glyph of where it stands."""
    return f"{screen.glyph(_kind(row))} {row.state}"


def _job(row: WorkRow) -> str:
    """The scheduler's name of its job."""
    return row.job_id


def _took(row: WorkRow) -> str:
    """How long it took; "" where no scheduler said."""
    if row.elapsed_s is None:
        return ""
    return words.elapsed(row.elapsed_s)


def _attempt(row: WorkRow) -> str:
    """The number of its attempt, above 1."""
    if row.attempt < 2:
        return ""
    return str(row.attempt)
