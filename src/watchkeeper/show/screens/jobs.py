"""The work of an experiment that has no evaluations as a table: a line for each job."""

from __future__ import annotations

from collections import Counter
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
    """A line for each job, and below an array for its tasks; of too many the most urgent.

        run       lr    loss    state        took    job
        r8        1e-4  0.4682  ✓ COMPLETED  6 min  1234

    Columns have room by what they say: the duration is the last to be dropped.
    """
    rows = _most_urgent(experiment.rows)
    tasks = _tasks(experiment)
    shown: list[WorkRow] = []
    for row in rows:
        shown += [row, *tasks.get(row.key, ())[:_MOST_TASKS]]
    left_out = len(experiment.rows) + len(experiment.array_tasks) - len(shown)
    return _lines(shown, experiment, screen) + words.more(left_out, " jobs")


def array_lines(experiment: Experiment, screen: Screen) -> list[str]:
    """A line for each task of an array, where its array is in another table. Of one array at most
    20 tasks are shown.
    """
    shown: list[WorkRow] = []
    for members in _tasks(experiment).values():
        shown += members[:_MOST_TASKS]
    left_out = len(experiment.array_tasks) - len(shown)
    return _lines(shown, experiment, screen) + words.more(left_out, " tasks")


def array_words(experiment: Experiment) -> list[str]:
    """How many arrays of each size there are: `1 array of 10`, for the heading."""
    sizes = Counter(map(len, _tasks(experiment).values()))
    return [f"{words.counted(count, 'array')} of {size:,}" for size, count in sizes.items()]


def _lines(rows: Sequence[WorkRow], experiment: Experiment, screen: Screen) -> list[str]:
    """The table; none for no rows."""
    if not rows:
        return []
    return grid(_columns(rows, experiment, screen), screen).splitlines()


def _tasks(experiment: Experiment) -> dict[str, list[WorkRow]]:
    """Key of an array → its tasks, those that are done last where not all are shown."""
    tasks: dict[str, list[WorkRow]] = {}
    for row in experiment.array_tasks:
        tasks.setdefault(row.key.rpartition("[")[0], []).append(row)
    for members in tasks.values():
        if len(members) > _MOST_TASKS:
            members.sort(key=urgency)
    return tasks


def urgency(row: WorkRow) -> int:
    """A number by which the most urgent work comes first."""
    return _URGENCY.index(row.standing)


def _most_urgent(rows: Sequence[WorkRow]) -> list[WorkRow]:
    """As many rows as are shown, in their own order. What failed is the most urgent."""
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
    """The settings in which the runs differ, at most four; of several the last is dropped first
    where there is no room.
    """
    settings = {run.name: run.settings for run in experiment.runs}
    for number, name in enumerate(experiment.settings[:_MOST_SETTINGS]):
        cells: list[str] = []
        for row in rows:
            value = settings.get(row.run, {}).get(name, "")
            cells.append(screen.cut(value, _MOST_SETTING))
        yield Column(header=name, cells=cells, right=True, drop=_DROP_SETTING + number)


def _figures(rows: Sequence[WorkRow]) -> Iterator[Column]:
    """The first three metrics that the rows have, a column for each, with one number of
    decimals.
    """
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
