"""The table All Runs."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from watchkeeper.core.ids import name_fault
from watchkeeper.experiment.draft import DraftRun, RunType
from watchkeeper.experiment.faults import repeated
from watchkeeper.experiment.summary_md.page import (
    EPOCHS,
    NOTHING,
    RUN,
    TYPE,
    Page,
    count_of,
    key_of,
    tables_of,
    texts_of,
)
from watchkeeper.reading.markdown import Row, Table
from watchkeeper.reading.yaml import listed, nearest

_TYPES: Mapping[str, RunType] = {
    "fine-tuned": "fine-tuned", "finetuned": "fine-tuned", "fine-tune": "fine-tuned",
    "finetune": "fine-tuned", "control": "control", "base": "control", "baseline": "control",
    "base-model": "control", "untrained": "control", "eval-only": "eval-only",
    "evaluation-only": "eval-only",
}  # fmt: skip
# Columns that are not settings of a run.
_NOT_SETTINGS = frozenset(
    {
        *RUN,
        *TYPE,
        "model",
        "est. time",
        "est time",
        "estimated time",
        "time",
        "notes",
        "status",
        "",
    }
)


class _Columns(msgspec.Struct, frozen=True):
    """Where a table of runs has what; `epochs`: None where it has no such column."""

    name: int
    type: int
    epochs: int | None


def read_runs(page: Page, epochs: int | None) -> dict[str, DraftRun]:
    """Name → run, in the tables' order; fine-tuned runs train `epochs` epochs unless their row says
    otherwise (None: unknown). A run with a fault is left out, and so are two of one name.
    """
    runs: dict[str, DraftRun] = {}
    first_lines: dict[str, int] = {}
    for table in _run_tables(page):
        columns = _columns_of(page, table)
        if columns is None:
            continue
        for row in page.rows(table, "All Runs"):
            name = row.cells[columns.name]
            run = _read_run(page, table, row, columns, epochs)
            if name in first_lines:
                message = repeated("run", name, first_lines[name])
                page.blame(row.line, message, "give one of them another name")
                runs.pop(name, None)
            elif run is not None:
                runs[name] = run
            if name:
                first_lines.setdefault(name, row.line)
            if name and name not in runs:
                page.faults.leave_out("run", name, page.where(first_lines[name]))
    return runs


def _columns_of(page: Page, table: Table) -> _Columns | None:
    """The columns of a table of runs; None, and a fault, where it lacks one that it needs."""
    name = page.column(table, RUN, "All Runs")
    kind = page.column(table, TYPE, "All Runs")
    epochs = page.column(table, EPOCHS, "All Runs")
    if name is not None and kind is not None:
        return _Columns(name, kind, epochs)
    missing = "Run Name" if name is None else "Type"
    header = [cell or "(none)" for cell in table.header]
    page.blame(
        table.line,
        f"the table of runs has no column {missing!r}",
        f"its columns: {listed(header)}",
        is_fatal=True,
    )
    return None


def _run_tables(page: Page) -> list[Table]:
    """The tables of All Runs."""
    sections = page.below("all runs", "runs")
    tables = list(tables_of(sections))
    if tables:
        return tables
    line, message = 1, "there is no section All Runs"
    if sections:
        line, message = sections[0].line, "section All Runs holds no table of runs"
    for text in texts_of(sections):
        if text.text.count("|") > 1:
            line = text.line
            message = (
                "these lines with | are not a table: its second line must be |---|---|, as many as "
                "columns"
            )
            break
    hint = "it needs a table with the columns Run Name and Type"
    page.blame(line, message, hint, is_fatal=True)
    return []


def _read_run(
    page: Page, table: Table, row: Row, columns: _Columns, epochs: int | None
) -> DraftRun | None:
    """The run of a row; None, and a fault, where it is left out."""
    name = row.cells[columns.name]
    kind = row.cells[columns.type]
    if fault := name_fault(name):
        message = f"the run cannot be named {name!r}: {fault}"
        page.blame(row.line, message, "give it another name")
        return None
    run_type = _TYPES.get(re.sub(r"[\s_]+", "-", kind.lower().strip()))
    if run_type is None:
        hint = "one of: Fine-tuned, Control, Eval-only"
        if near := nearest(kind.lower(), _TYPES):
            hint = f"did you mean {_TYPES[near]!r}?"
        page.blame(row.line, f"the type {kind!r} of run {name!r} is not known", hint)
        return None
    own = ""
    if columns.epochs is not None:
        own = row.cells[columns.epochs]
    if key_of(own) not in NOTHING:
        epochs = count_of(own)
        if epochs is None:
            message = f"how many epochs run {name!r} trains cannot be read from {own!r}"
            page.blame(row.line, message, "write a whole number")
            return None
    trained = epochs if run_type == "fine-tuned" else None
    return DraftRun(
        name=name,
        type=run_type,
        where=page.where(row.line),
        epochs=tuple(range(trained or 0)),
        settings=_settings_of(table, row),
    )


def _settings_of(table: Table, row: Row) -> str:
    """`LoRA Rank 8, LR 1e-5`: what the row sets, as it is written."""
    settings: list[str] = []
    for name, cell in zip(table.header, row.cells, strict=True):
        if key_of(name) not in _NOT_SETTINGS and key_of(cell) not in NOTHING:
            settings.append(f"{name} {cell}")
    return ", ".join(settings)
