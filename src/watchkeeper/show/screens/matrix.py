"""The evaluations of an experiment: runs × (settings, training, task × epoch)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from watchkeeper.query.views.pages import Experiment, RunRow, TaskColumn, WorkRow
from watchkeeper.show.listing.figures import figures
from watchkeeper.show.listing.grid import Column, grid, one_line
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens import words
from watchkeeper.show.screens.jobs import urgency
from watchkeeper.show.text import width

MOST_RUNS = 60
_MOST_SETTINGS = 8
_MOST_SETTING = 16
_GAP = "  "
_LEAST_NAME = 10
_CONTROL = {True: "control run", False: "control"}
_NAME_CUT = 28
_LEAST_TASK = 10
_MOST_TASK = 16
_KINDS = {
    "done": "done",
    "running": "running",
    "to do": "waiting",
    "failed": "failed",
    "blocked": "blocked",
    "unknown": "unknown",
    "not needed": "not needed",
}
_SHORT_CAUSES = {
    "memory": "memory",
    "time limit": "time",
    "disk": "disk",
    "preempt": "preempted",
    "node": "node",
    "cancel": "cancelled",
    "not installed": "import",
    "ModuleNotFoundError": "import",
    "ImportError": "import",
    "interrupt": "interrupted",
}


class _Cells(msgspec.Struct, frozen=True, kw_only=True):
    """What the cells are made from. `rows` by (run, task, epoch); `figures`: of these rows, by key,
    all in one form, `wide` columns wide.
    """

    rows: Mapping[tuple[str, str, int | None], WorkRow]
    figures: Mapping[str, str]
    wide: int


def matrix_lines(experiment: Experiment, screen: Screen, metric: str = "") -> list[str]:
    """The matrix of one metric ("": the first). Tasks that have no room come in a further table
    below; none where the experiment evaluates nothing.

        accuracy  lr    training  clean           noisy
        epoch                     0       1       0       1
        r8        1e-4  ✓ 6 min   0.9156  0.9378  0.8711  ✗

    Settings are dropped from the right until all tasks have room.
    """
    if not experiment.tasks or not experiment.runs:
        return []
    name = metric or _first_metric(experiment)
    runs = _shown_runs(experiment)
    cells = _cells(experiment, name)
    lines: list[str] = []
    wide = _task_width(experiment.tasks, cells, screen)
    first = _leading_columns(experiment, runs, cells, screen, name)
    while first[1].right and not _has_room(first, experiment.tasks, wide, screen):
        last = max(number for number, column in enumerate(first) if column.right)
        del first[last]
    names = first[:1]
    for tasks in _blocks(first, names, experiment.tasks, wide, screen):
        leading = first if not lines else names
        if lines:
            lines.append("")
        columns = _copies(leading)
        columns += [_task_column(task, runs, cells, screen, wide) for task in tasks]
        lines += grid(columns, screen).splitlines()
    return lines + words.more(len(experiment.runs) - len(runs), " runs")


def _first_metric(experiment: Experiment) -> str:
    """The metric that is shown where none is asked for; "" where there is none yet."""
    if experiment.metrics:
        return experiment.metrics[0].name
    return ""


def _shown_runs(experiment: Experiment) -> list[RunRow]:
    """The runs, in their order; of more than 60 those with the most urgent work."""
    if len(experiment.runs) <= MOST_RUNS:
        return experiment.runs
    by_need = sorted(experiment.rows, key=urgency)
    names = dict.fromkeys(row.run for row in by_need)
    kept = set(list(names)[:MOST_RUNS])
    return [run for run in experiment.runs if run.name in kept]


def _cells(experiment: Experiment, metric: str) -> _Cells:
    """The rows by their place, and their figures of a metric, all with one number of decimals.

    A training has the task "" and no epoch.
    """
    having = [row for row in experiment.rows if row.task and metric in row.metrics]
    texts = figures([row.metrics[metric] for row in having])
    keys = [row.key for row in having]
    return _Cells(
        rows={(row.run, row.task, row.epoch): row for row in experiment.rows},
        figures=dict(zip(keys, texts, strict=True)),
        wide=max(map(len, texts), default=1),
    )


# ── columns


def _leading_columns(
    experiment: Experiment,
    runs: Sequence[RunRow],
    cells: _Cells,
    screen: Screen,
    metric: str,
) -> list[Column]:
    """Names, the settings that vary, and the training.

    A narrow screen has room for one setting. Of several, the last one is dropped first.
    """
    most, training_wide = 1, 9
    if screen.is_wide:
        most, training_wide = _MOST_SETTINGS, 22
    columns = [
        Column(
            header=metric or "run",
            second="epoch",
            cells=[screen.cut(one_line(run.name), _NAME_CUT) for run in runs],
            least=_LEAST_NAME,
            wide=_LEAST_NAME,
        )
    ]
    for setting in experiment.settings[:most]:
        columns.append(
            Column(
                header=screen.cut(setting, _MOST_SETTING),
                cells=[_setting(run, setting, screen) for run in runs],
                right=True,
                drop=100 - len(columns),
                wide=min(6, 2 + 2 * len(columns)),
            )
        )
    columns.append(
        Column(
            header="training",
            cells=[_training(run, cells, screen) for run in runs],
            has_glyphs=True,
            drop=10,
            wide=training_wide,
        )
    )
    used = [column for column in columns[1:-1] if any(column.cells)]
    return [columns[0], *used, columns[-1]]


def _setting(run: RunRow, name: str, screen: Screen) -> str:
    """The run's value of a setting; "" where it has none."""
    return screen.cut(one_line(run.settings.get(name, "")), _MOST_SETTING)


def _training(run: RunRow, cells: _Cells, screen: Screen) -> str:
    """`✓ 6 min`, `▶ 12 %, 129 min`, `✗ 2 min, memory`, `– control run`; in the narrow form less."""
    row = cells.rows.get((run.name, "", None))
    if run.control:
        return f"{screen.glyph('not needed')} {_CONTROL[screen.is_wide]}"
    if row is None:
        return ""
    took = ""
    if row.elapsed_s is not None and screen.is_wide:
        took = words.elapsed(row.elapsed_s)
    text = words.joined(", ", _percent(row), took, _short_cause(row))
    return f"{_glyph(row, screen)} {text}".rstrip()


def _percent(row: WorkRow) -> str:
    """How far a running job is, `12 %`; "" where it does not run, or nobody says of how much."""
    step, total = row.progress.step, row.progress.total
    if row.standing != "running" or step is None or not total:
        return ""
    return f"{100 * step / total:.0f} %"


def _short_cause(row: WorkRow) -> str:
    """Why a training failed, in a word; "" for none."""
    if row.standing != "failed":
        return ""
    text = f"{row.cause} {row.why}"
    for mark, word in _SHORT_CAUSES.items():
        if mark in text:
            return word
    return ""


def _glyph(row: WorkRow, screen: Screen) -> str:
    """The glyph of where it stands."""
    return screen.glyph(_KINDS[row.standing])


def _task_column(
    task: TaskColumn, runs: Sequence[RunRow], cells: _Cells, screen: Screen, wide: int
) -> Column:
    """A task: a figure for each epoch, or the glyph of its state."""
    header = one_line(task.name)
    if width(header) > wide:
        header = f"{header[: wide - 3]}."
    numbers = map("{}".format, task.epochs)
    return Column(
        header=header,
        second=_joined(numbers, cells.wide),
        cells=[_joined(_figures(run, task, cells, screen), cells.wide) for run in runs],
        has_glyphs=True,
        wide=wide,
    )


def _epochs(task: TaskColumn) -> Sequence[int | None]:
    """The epochs at which it is evaluated; one without a number where there are none."""
    return task.epochs or (None,)


def _figures(run: RunRow, task: TaskColumn, cells: _Cells, screen: Screen) -> Iterator[str]:
    """Of one run, epoch by epoch. A control's result has no epoch: it stands in the first place."""
    epochs = _epochs(task)
    if run.control:
        epochs = (None,)
    for epoch in epochs:
        row = cells.rows.get((run.name, task.name, epoch))
        if row is None:
            yield ""
        else:
            yield cells.figures.get(row.key) or _glyph(row, screen)


def _joined(texts: Iterable[str], wide: int) -> str:
    """The texts side by side, each `wide` columns wide."""
    padded = [text.ljust(wide) for text in texts]
    return _GAP.join(padded).rstrip()


def _task_width(tasks: Sequence[TaskColumn], cells: _Cells, screen: Screen) -> int:
    """How wide each task is: as its epochs are; where there is room, as the longest name.

    All tasks are equally wide, so that tables below one another line up.
    """
    most = max(len(_epochs(task)) for task in tasks)
    wide = max(cells.wide * most + len(_GAP) * (most - 1), _LEAST_TASK)
    if screen.is_wide:
        wide = max(wide, min(_MOST_TASK, max(width(task.name) for task in tasks)))
    return wide


# ── what has room


def _has_room(
    first: Sequence[Column], tasks: Sequence[TaskColumn], wide: int, screen: Screen
) -> bool:
    """Whether all tasks, each `wide` columns wide, fit beside these columns."""
    needed = _taken(first) + len(tasks) * (wide + len(_GAP))
    return needed <= screen.room


def _blocks(
    first: Sequence[Column],
    names: Sequence[Column],
    tasks: Sequence[TaskColumn],
    wide: int,
    screen: Screen,
) -> Iterator[list[TaskColumn]]:
    """The tasks, as many side by side as there is room for; the first beside all columns.

    Further ones stand beside the names alone, in tables below.
    """
    block: list[TaskColumn] = []
    used = _taken(first)
    needed = wide + len(_GAP)
    for task in tasks:
        if block and used + needed > screen.room:
            yield block
            block, used = [], _taken(names)
        block.append(task)
        used += needed
    yield block


def _taken(columns: Sequence[Column]) -> int:
    """How wide the columns are together."""
    return sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1)


def _copies(columns: Sequence[Column]) -> list[Column]:
    """Columns of their own for a table, which may cut them."""
    return list(map(msgspec.structs.replace, columns))
