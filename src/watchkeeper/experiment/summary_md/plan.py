"""The Evaluation Plan: tables of runs by tasks, rows with Tasks and Epochs, or sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.experiment import sentences
from watchkeeper.experiment.draft import DraftCell, DraftRun, EvalKey
from watchkeeper.experiment.faults import untrained_epoch
from watchkeeper.experiment.sentences import UnreadableError
from watchkeeper.experiment.summary_md.page import (
    EPOCHS,
    NOTHING,
    RUN,
    Page,
    key_of,
    keys_of,
    tables_of,
    texts_of,
)
from watchkeeper.reading.markdown import Row, Section, Table, Text
from watchkeeper.reading.yaml import listed

_PLAN = "the evaluation plan"
_TASKS = ("tasks", "task", "evaluation tasks")
# Words that plan, whether or not they name what the tables do.
_PLANNING = lazy.pattern(r"\bevaluated on\b|^(?:tasks?|runs?)\s*:\s*\S", re.IGNORECASE)


class _Known(msgspec.Struct, frozen=True):
    """What a plan can name: the runs, and the tasks with their scripts."""

    runs: Mapping[str, DraftRun]
    tasks: Mapping[str, str]


def read_cells(
    page: Page, runs: Mapping[str, DraftRun], tasks: Mapping[str, str], tool: str
) -> list[DraftCell]:
    """The evaluations of the plan's tables, in their order; of its sentences where it has no table.
    `tool` runs them.
    """
    sections = page.below("evaluation plan", "evaluation matrix")
    known = _Known(runs, tasks)
    cells: dict[EvalKey, DraftCell] = {}
    planned = list(_planned(page, sections, known))
    for key, line in planned:
        if key in cells:
            first_line = cells[key].where.rpartition(":")[2]
            message = (
                f"{key.key} stands in the plan again, first on line {first_line}; it is planned "
                "once"
            )
            page.blame(line, message, "keep one of them", severity="warning")
            continue
        _check_epoch(page, key, runs[key.run], line)
        cells[key] = DraftCell(key=key, where=page.where(line), tool=tool, script=tasks[key.task])
    if tasks and not cells:
        _report_empty_plan(page, sections)
    return list(cells.values())


def _planned(page: Page, sections: list[Section], known: _Known) -> Iterator[tuple[EvalKey, int]]:
    """The plan's evaluations, each with its line."""
    tables = _plan_tables(page, sections)
    for table in tables:
        yield from _read_table(page, table, known)
    if not tables:
        for text in texts_of(sections):
            yield from _read_sentences(page, text, known)


def _plan_tables(page: Page, sections: list[Section]) -> list[Table]:
    """The tables that plan; one with ticks that does not name its runs is a fault."""
    tables: list[Table] = []
    for table in tables_of(sections):
        if not set(keys_of(table)).isdisjoint(RUN):
            tables.append(table)
        elif _has_ticks(table):
            page.blame(
                table.line,
                "a table of the evaluation plan has no column 'Run Name': nothing of it is planned",
                "write a row for each run and a column for each task",
            )
    return tables


def _has_ticks(table: Table) -> bool:
    """Whether a cell of the table asks for something, as `✓` does."""
    cells = (cell for row in table.rows for cell in row.cells)
    return any(map(sentences.is_ticked, cells))


def _report_empty_plan(page: Page, sections: list[Section]) -> None:
    """Warn that there are tasks, and that none is planned: at the plan, or on line 1 where there is
    no plan.
    """
    line, message = 1, "there are tasks, and no Evaluation Plan"
    if sections:
        line, message = sections[0].line, "the evaluation plan names no evaluation"
    hint = "add a table of runs by tasks, with cells like `✓ epoch 0,1`"
    page.blame(line, f"{message}: none is planned", hint, severity="warning")


def _check_epoch(page: Page, key: EvalKey, run: DraftRun, line: int) -> None:
    """Warn of an epoch that is not trained: it can never be evaluated."""
    if run.epochs and key.epoch is not None and key.epoch not in run.epochs:
        message = untrained_epoch(key.run, key.epoch, run.epochs)
        page.blame(line, message, "epochs count from 0", severity="warning")


# ── tables


def _read_table(page: Page, table: Table, known: _Known) -> Iterator[tuple[EvalKey, int]]:
    """A table's evaluations, each with its line."""
    run_column = page.column(table, RUN, _PLAN) or 0
    task_column = _task_list_column(table, known.tasks)
    if task_column is not None:
        yield from _read_list(page, table, run_column, task_column, known)
        return
    tasks = _task_columns(page, table, run_column, known.tasks)
    if not tasks and table.rows:
        message = (
            "no column of this table of the evaluation plan is a task: nothing of it is planned"
        )
        page.blame(table.line, message, f"tasks: {listed([*known.tasks]) or 'none'}")
        return
    for row, run in _runs_of(page, table, run_column, known.runs):
        for column, task in tasks.items():
            yield from _read_cell(page, row, column, run, task)


def _runs_of(
    page: Page, table: Table, column: int, runs: Mapping[str, DraftRun]
) -> Iterator[tuple[Row, DraftRun]]:
    """The rows of a table, each with the run that it names; a row of an unknown run is a fault."""
    for row in page.rows(table, _PLAN):
        name = row.cells[column]
        if name in runs:
            yield row, runs[name]
        else:
            page.blame(row.line, *page.faults.describe_unknown("run", name, runs, _PLAN))


def _read_cell(
    page: Page, row: Row, column: int, run: DraftRun, task: str
) -> Iterator[tuple[EvalKey, int]]:
    """The evaluations that a cell asks of its run and task, each with its line. A cell without a
    single meaning is a fault, and none of it is planned.
    """
    try:
        epochs = sentences.cell(row.cells[column], run)
    except UnreadableError as error:
        message = f"{run.name}/{task}: {error}: it is not planned"
        page.blame(row.line, message, error.hint)
        return
    for epoch in epochs:
        yield EvalKey(run=run.name, task=task, epoch=epoch), row.line


def _task_columns(
    page: Page, table: Table, run_column: int, tasks: Mapping[str, str]
) -> dict[int, str]:
    """Column → its task, from 0. A column with ticks that names no task is a fault; one without is
    a remark, and is passed over. `run_column` names the runs.
    """
    columns: dict[int, str] = {}
    for index, name in enumerate(table.header):
        if index == run_column:
            continue
        if name in columns.values():
            message = f"the plan has two columns of task {name!r}: the second is not planned"
            page.blame(table.line, message, "keep one")
        elif name in tasks:
            columns[index] = name
        elif any(sentences.is_ticked(row.cells[index]) for row in table.rows):
            message, hint = page.faults.describe_unknown("task", name, tasks, _PLAN)
            page.blame(table.line, f"{message}: its column is not planned", hint)
    return columns


# ── tables that list tasks


def _task_list_column(table: Table, tasks: Mapping[str, str]) -> int | None:
    """The column in which each row lists its tasks; None: there is none."""
    header = keys_of(table)
    for name in _TASKS:
        if name in header and name not in tasks:
            return header.index(name)
    return None


def _read_list(
    page: Page, table: Table, run_column: int, task_column: int, known: _Known
) -> Iterator[tuple[EvalKey, int]]:
    """The evaluations of a table with Run Name, Tasks and Epochs, each with its line."""
    epoch_column = page.column(table, EPOCHS, _PLAN)
    for row, run in _runs_of(page, table, run_column, known.runs):
        epochs = ""
        if epoch_column is not None and key_of(row.cells[epoch_column]) not in NOTHING:
            epochs = row.cells[epoch_column].lower()
        try:
            keys = _listed_keys(page, row.cells[task_column], epochs, run, known.tasks)
        except UnreadableError as error:
            message = f"run {run.name!r}: {error}: nothing of the row is planned"
            page.blame(row.line, message, error.hint)
            continue
        for key in keys:
            yield key, row.line


def _listed_keys(
    page: Page, task_list: str, epochs: str, run: DraftRun, tasks: Mapping[str, str]
) -> list[EvalKey]:
    """The evaluations of one row: `clean, noisy` with `0,1` asks for four. `all` is every task.

    Raises:
        UnreadableError: it names an unknown task, or its epochs are ambiguous.
    """
    names = [name.strip() for name in task_list.split(",")]
    if key_of(task_list) in ("all", "all tasks"):
        names = list(tasks)
    keys: list[EvalKey] = []
    for name in names:
        if name not in tasks:
            raise UnreadableError(*page.faults.describe_unknown("task", name, tasks, _PLAN))
        for epoch in sentences.of_run(epochs, run):
            keys.append(EvalKey(run=run.name, task=name, epoch=epoch))
    return keys


# ── sentences


def _read_sentences(page: Page, text: Text, known: _Known) -> Iterator[tuple[EvalKey, int]]:
    """The evaluations that a paragraph asks for, each with its line."""
    tasks = list(known.tasks)
    for lines, clause in sentences.clauses(text.text):
        is_plan = sentences.speaks_of_plan(clause, known.runs, tasks) or _PLANNING.search(clause)
        if not is_plan:
            continue
        line = text.line + lines
        try:
            keys = sentences.sentence(clause, known.runs, tasks)
        except UnreadableError as error:
            message = f"{_PLAN}: {error}: nothing of the sentence is planned"
            page.blame(line, message, error.hint)
            continue
        for key in keys:
            yield key, line
