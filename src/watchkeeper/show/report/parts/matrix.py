"""The evaluations of an experiment: runs down, tasks and epochs across, one table per metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchkeeper.query.views.pages import Experiment, MetricColumn, RunRow, TaskColumn, WorkRow
from watchkeeper.query.views.shared import Real, Standing
from watchkeeper.show.report.markup import Child, Markup, recorded, tag
from watchkeeper.show.report.parts.pieces import (
    GLYPHS,
    Section,
    Table,
    ramp_class,
    scrolling,
    state,
)
from watchkeeper.show.report.wording import figures

Cells = dict[tuple[str, str, int | None], WorkRow]
_MOST_METRICS = 6
_MOST_COLUMNS = 8
MOST_RUNS = 200


def matrix_sections(experiment: Experiment) -> Iterator[Section]:
    """A section for each metric; one without figures where there is none yet."""
    for metric in experiment.metrics[:_MOST_METRICS]:
        yield Matrix(experiment, metric).section()


class Matrix:
    """The table of one metric."""

    def __init__(self, experiment: Experiment, metric: MetricColumn) -> None:
        """Sort the experiment's work into cells (run, task, epoch) and trainings (by run)."""
        self.experiment = experiment
        self.runs = experiment.runs[:MOST_RUNS]
        self.metric = metric
        self.cells: Cells = {}
        self.trainings: dict[str, WorkRow] = {}
        for row in experiment.rows:
            if row.phase == "evaluation":
                self.cells[row.run, row.task, row.epoch] = row
            else:
                self.trainings[row.run] = row
        self.words = self._words()
        losses = figures([row.train_loss for row in self.trainings.values()])
        self.losses = dict(zip(self.trainings, losses, strict=True))
        self.best = {task.name: self._best_of(task) for task in experiment.tasks}

    def section(self) -> Section:
        """The table as a section, in parts that a page is wide enough for; in Markdown, whole."""
        parts = list(_parts_of(self.experiment.tasks))
        tables = [self._table(tasks, is_first=not at) for at, tasks in enumerate(parts)]
        names = self._names()
        right = frozenset(range(len(self.experiment.settings) + 1, len(names)))
        text = Table(names, [self._text(run) for run in self.runs], right=right)
        aside = "bold: the best of a task"
        if len(self.runs) < len(self.experiment.runs):
            aside = f"{aside}; the first {len(self.runs)} of {len(self.experiment.runs):,} runs"
        body = [tables, self._key()]
        return Section(self.metric.name.capitalize(), body, aside, tables=[text])

    def _table(self, tasks: Sequence[TaskColumn], *, is_first: bool) -> Markup:
        """The columns of some tasks; the first table has the settings too."""
        settings = self.experiment.settings if is_first else []
        lines = [self._line(run, tasks, settings) for run in self.runs]
        heads = tag("thead", _task_heads(tasks, settings), _epoch_heads(tasks, settings))
        return scrolling(tag("table", heads, tag("tbody", lines), class_="matrix"))

    def _key(self) -> Markup | None:
        """What the signs of cells without a figure mean; None where every cell has one."""
        names: dict[Standing, None] = {}
        for row in self.cells.values():
            if row.key not in self.words:
                names[row.standing] = None
        if not names:
            return None
        return tag("p", [[state(name), " "] for name in names], class_="key")

    def _value(self, row: WorkRow | None) -> Real | None:
        """The figure of a cell; None where nothing was evaluated, or it came to no figure."""
        if row is None:
            return None
        return row.metrics.get(self.metric.name)

    def _words(self) -> dict[str, str]:
        """Each cell's figure as it is shown, by its key: one number of decimals for all. A cell
        without a figure has no words.
        """
        keys: list[str] = []
        values: list[Real | None] = []
        for row in self.cells.values():
            value = self._value(row)
            if value is not None:
                keys.append(row.key)
                values.append(value)
        return dict(zip(keys, figures(values), strict=True))

    def _best_of(self, task: TaskColumn) -> Real | None:
        """The best figure of a task; None where there is none, or nobody knows which end
        is better.
        """
        values = []
        for (_, name, _), row in self.cells.items():
            value = self._value(row)
            if name == task.name and value is not None:
                values.append(value)
        if not values or not self.metric.better:
            return None
        if self.metric.better == "less":
            return min(values)
        return max(values)

    def _line(self, run: RunRow, tasks: Sequence[TaskColumn], settings: Sequence[str]) -> Markup:
        """A run's line as HTML: its name, these settings, its training, and its cells of these
        tasks.
        """
        cells = [tag("th", recorded(run.name), scope="row")]
        for name in settings:
            cells.append(tag("td", recorded(run.settings.get(name, "")), class_="right"))
        cells.append(tag("td", self._training(run), class_="right"))
        for task in tasks:
            cells.extend(self._cells_of(run, task))
        return tag("tr", cells)

    def _training(self, run: RunRow) -> Child:
        """What a run's training came to: its loss, the sign of its state, or that it is a
        control.
        """
        row = self.trainings.get(run.name)
        if run.control:
            return tag("span", "control", class_="quiet")
        if row is None:
            return None
        if row.train_loss is not None:
            return self.losses[run.name]
        return _glyph(row)

    def _cells_of(self, run: RunRow, task: TaskColumn) -> Iterator[Markup]:
        """A run's cells of a task. A result without an epoch spans them all."""
        alone = self.cells.get((run.name, task.name, None))
        if alone is not None:
            yield self._cell(alone, task, max(1, len(task.epochs)))
            return
        for epoch in task.epochs or (None,):
            yield self._cell(self.cells.get((run.name, task.name, epoch)), task, 1)

    def _cell(self, row: WorkRow | None, task: TaskColumn, columns: int) -> Markup:
        """One cell as HTML, over `columns` columns: its figure on the colour of its rank, bold for
        the best of the task; the sign of its state where it has no figure.
        """
        span = None
        if columns > 1:
            span = str(columns)
        if row is None:
            return tag("td", colspan=span)
        value = self._value(row)
        if value is None:
            return tag("td", _glyph(row), colspan=span, class_="right")
        metric = self.metric
        ramp = ramp_class(value, metric.least, metric.greatest, metric.better)
        words: Child = self.words[row.key]
        if value == self.best[task.name]:
            words = tag("strong", words)
        return tag("td", words, colspan=span, class_=f"figure {ramp}")

    def _names(self) -> list[str]:
        """The heads of the columns in Markdown: `run`, settings, `train_loss`, `clean 0`, `clean
        1`.
        """
        names = ["run", *self.experiment.settings, "train_loss"]
        for task, epoch in _columns_of(self.experiment.tasks):
            if epoch is None:
                names.append(task)
            else:
                names.append(f"{task} {epoch}")
        return names

    def _text(self, run: RunRow) -> list[str]:
        """A run's line in words, a cell for each of `_names`."""
        words = [run.name, *(run.settings.get(name, "") for name in self.experiment.settings)]
        if run.control:
            words.append("control")
        else:
            words.append(self.losses.get(run.name, ""))
        for task in self.experiment.tasks:
            words += self._words_of(run, task)
        return words

    def _words_of(self, run: RunRow, task: TaskColumn) -> list[str]:
        """A run's cells of a task. A result without an epoch stands in the last of them."""
        epochs = task.epochs or (None,)
        words = [self._word(self.cells.get((run.name, task.name, epoch))) for epoch in epochs]
        alone = self.cells.get((run.name, task.name, None))
        if alone is not None:
            words[-1] = self._word(alone)
        return words

    def _word(self, row: WorkRow | None) -> str:
        """A cell in words: its figure, else its state; "" where nothing was planned."""
        if row is None:
            return ""
        return self.words.get(row.key, row.state)


def _columns_of(tasks: Sequence[TaskColumn]) -> Iterator[tuple[str, int | None]]:
    """Each column of figures: its task, and its epoch, None where the task has none."""
    for task in tasks:
        for epoch in task.epochs or (None,):
            yield task.name, epoch


def _parts_of(tasks: Sequence[TaskColumn]) -> Iterator[Sequence[TaskColumn]]:
    """The tasks in groups of at most 8 columns; a task is never split."""
    part: list[TaskColumn] = []
    columns = 0
    for task in tasks:
        wide = max(1, len(task.epochs))
        if part and columns + wide > _MOST_COLUMNS:
            yield part
            part, columns = [], 0
        part.append(task)
        columns += wide
    if part:
        yield part


def _task_heads(tasks: Sequence[TaskColumn], settings: Sequence[str]) -> Markup:
    """The first line of the head: each task over its epochs."""
    heads: list[Child] = [tag("td", colspan=str(len(settings) + 2))]
    for task in tasks:
        columns = str(max(1, len(task.epochs)))
        heads.append(tag("th", recorded(task.name), scope="colgroup", colspan=columns))
    return tag("tr", heads)


def _epoch_heads(tasks: Sequence[TaskColumn], settings: Sequence[str]) -> Markup:
    """The second line of the head: what stands in each column."""
    heads = [tag("th", "Run", scope="col")]
    for name in [*settings, "train_loss"]:
        heads.append(tag("th", recorded(name), scope="col", class_="right"))
    for _, epoch in _columns_of(tasks):
        words = None
        if epoch is not None:
            words = f"epoch {epoch}"
        heads.append(tag("th", words, scope="col", class_="right"))
    return tag("tr", heads)


def _glyph(row: WorkRow) -> Markup:
    """The sign of a state; its word is below the table, and read aloud."""
    name = row.standing.replace(" ", "-")
    words = row.standing
    return tag("span", GLYPHS[words], class_=f"state {name}", role="img", aria_label=words)
