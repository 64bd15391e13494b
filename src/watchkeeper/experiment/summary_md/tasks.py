"""The table Evaluation Tasks."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.core.ids import name_fault
from watchkeeper.experiment.faults import repeated
from watchkeeper.experiment.summary_md.page import NOTHING, Page, key_of, keys_of, tables_of
from watchkeeper.reading.markdown import Row, Table

_TASK = ("task name", "task", "name")
_SCRIPT = ("script", "task script")


def read_tasks(page: Page) -> dict[str, str]:
    """Task → its script, "": none is named. A task with a fault is left out, and so are two of one
    name.
    """
    tasks: dict[str, str] = {}
    first_lines: dict[str, int] = {}
    for table in _task_tables(page):
        name_column = page.column(table, _TASK, "Evaluation Tasks")
        script_column = page.column(table, _SCRIPT, "Evaluation Tasks")
        if name_column is None:
            continue
        for row in page.rows(table, "Evaluation Tasks"):
            name = row.cells[name_column]
            if fault := name_fault(name):
                message = f"the task cannot be named {name!r}: {fault}"
                page.blame(row.line, message, "give it another name")
            elif name in first_lines:
                message = repeated("task", name, first_lines[name])
                page.blame(row.line, message, "give one of them another name")
                page.faults.leave_out("task", name, page.where(first_lines[name]))
                tasks.pop(name, None)
            else:
                first_lines[name] = row.line
                tasks[name] = _script_of(row, script_column)
    return tasks


def _script_of(row: Row, column: int | None) -> str:
    """The script that a row names; "" for none. `column` None: the table has no such column."""
    if column is None or key_of(row.cells[column]) in NOTHING:
        return ""
    return row.cells[column]


def _task_tables(page: Page) -> Iterator[Table]:
    """The tables that name tasks."""
    for table in tables_of(page.below("evaluation tasks", "resources", "tasks")):
        header = set(keys_of(table))
        if header & {"task name", "task"} or header >= {"script", "name"}:
            yield table
