"""The table of evaluations in a report: what stands in which cell."""

from __future__ import annotations

import re

from watchkeeper.query.views.pages import MetricColumn, RunRow, TaskColumn, WorkRow
from watchkeeper.show.report.parts.matrix import MOST_RUNS, Matrix
from watchkeeper.show.report.parts.pieces import section

METRIC = MetricColumn(name="accuracy", least=0.1, greatest=0.9, better="more")


class Page:
    """What the table takes of an experiment's page."""

    def __init__(self, runs, rows, tasks):
        self.runs, self.rows, self.tasks = runs, rows, tasks
        self.settings = ["lr"]


def run(name, *, control=False):
    return RunRow(name=name, id="", settings={"lr": "0.1"}, control=control)


def training(name, loss):
    return WorkRow(
        key=name, id="", phase="preparation", run=name, task="", epoch=None, standing="done",
        state="done", why="", train_loss=loss,
    )  # fmt: skip


def evaluation(name, epoch, value=None, *, standing="done", task="clean"):
    metrics = {} if value is None else {"accuracy": value}
    return WorkRow(
        key=f"{name}/{task}/{epoch}", id="", phase="evaluation", run=name, task=task, epoch=epoch,
        standing=standing, state=standing, why="", metrics=metrics,
    )  # fmt: skip


def shown(page):
    """The table as HTML, and as rows of text."""
    part = Matrix(page, METRIC).section()
    return section(part), part.tables[0]


def test_a_cell_has_its_figure_and_the_best_of_a_task_is_bold():
    """One column has one number of decimals, and the strong end of the ramp is the better one."""
    rows = [training("a", 1.35334), training("b", 0.361), evaluation("a", 0, 0.1)]
    rows += [evaluation("a", 1, 0.5), evaluation("b", 0, 0.9533), evaluation("b", 1, 0.9)]
    markup, text = shown(
        Page([run("a"), run("b")], rows, [TaskColumn(name="clean", epochs=(0, 1))])
    )
    assert text.rows == [
        ["a", "0.1", "1.353", "0.1000", "0.5000"],
        ["b", "0.1", "0.361", "0.9533", "0.9000"],
    ]
    assert re.findall(r"<strong>(.*?)</strong>", markup) == ["0.9533"]
    assert 'class="figure r0"' in markup and 'class="figure r20"' in markup


def test_a_control_stands_once_and_spans_the_epochs():
    """A result without an epoch is one cell, and in text one of the columns."""
    rows = [evaluation("base", None, 0.12), evaluation("a", 0, 0.5), evaluation("a", 1, 0.6)]
    page = Page(
        [run("a"), run("base", control=True)], rows, [TaskColumn(name="clean", epochs=(0, 1))]
    )
    markup, text = shown(page)
    assert text.rows[1] == ["base", "0.1", "control", "", "0.12"]
    assert markup.count("0.12<") == 1 and 'colspan="2" class="figure' in markup


def test_a_cell_without_a_figure_has_a_sign_that_is_explained_below():
    """The sign is read aloud as its word, and the words stand below the table."""
    rows = [evaluation("a", 0, 0.5), evaluation("a", 1, standing="failed")]
    markup, text = shown(Page([run("a")], rows, [TaskColumn(name="clean", epochs=(0, 1))]))
    assert 'role="img" aria-label="failed"' in markup and text.rows[0][-1] == "failed"
    assert '<p class="key">' in markup


def test_many_tasks_are_several_tables_and_many_runs_are_cut():
    """No table has more than eight columns of figures; beyond 200 runs the heading says so."""
    tasks = [TaskColumn(name=f"t{number}", epochs=(0, 1, 2)) for number in range(5)]
    rows = [evaluation("r0", 0, 0.5, task="t0")]
    runs = [run(f"r{number}") for number in range(MOST_RUNS + 50)]
    markup, text = shown(Page(runs, rows, tasks))
    assert markup.count("<table") == 3 and len(text.rows) == MOST_RUNS
    assert f"the first {MOST_RUNS} of 250 runs" in markup
