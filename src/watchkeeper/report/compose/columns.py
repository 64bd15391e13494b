"""The columns of `experiments.md` for the metrics of its runs, beside the validation loss. Pure.

    | run | description | val_loss | accuracy | status | notes |

Columns are added to the machine's own table only: one that has exactly its columns. A person's
table gets none; where it has a column of that name, its cells are filled. A column that a person
removed does not come back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from watchkeeper.core.events import Judged
from watchkeeper.core.text import lazy
from watchkeeper.report.compose.history import WELL
from watchkeeper.report.compose.page import format_number
from watchkeeper.report.runlog.document import Edit, apply, lines
from watchkeeper.report.runlog.experiments_table import HEAD

MOST = 3
BEHIND = "val_loss"
_BAR = lazy.pattern(r"(?<!\\)\|")
_NAME = lazy.pattern(r"[^|\s][^|\n]{0,39}")
_Figure = tuple[str, int, str]
"""(task, epoch or -1, figure as text)"""


def main_metrics(results: Sequence[tuple[str, int | None, Judged]]) -> dict[str, str]:
    """Return metric → its figures in a cell, from (task, epoch, verdict): the first metric of each
    task's result, at the last epoch that has one.

        {"accuracy": "clean 0.94, noisy 0.82 (epoch 1)"}

    At most `MOST` metrics. One that has the name of another column, or a bar or a line end in its
    name, is left out. Empty: no task has a good result with a figure.
    """
    newest = _newest_results(results)
    figures: dict[str, list[_Figure]] = {}
    for task, (epoch, judged) in newest.items():
        name, value = next(iter(judged.metrics.items()))
        figure = (task, epoch, format_number(value))
        figures.setdefault(name.casefold(), []).append(figure)
    usable = [name for name in figures if _NAME.fullmatch(name) and name not in HEAD]
    several = len(newest) > 1
    return {name: _write_cell(figures[name], several=several) for name in usable[:MOST]}


def _newest_results(
    results: Sequence[tuple[str, int | None, Judged]],
) -> dict[str, tuple[int, Judged]]:
    """Return the result of each task at its last epoch, with the epoch (-1: of no epoch).

        [("clean", 0, …), ("clean", 1, …)]      {"clean": (1, …)}

    Only good results with a figure count: an evaluation that failed leaves the one before in its
    place. Of two at one epoch the later in the list counts.
    """
    newest: dict[str, tuple[int, Judged]] = {}
    for task, epoch, judged in results:
        number = -1 if epoch is None else epoch
        if judged.outcome not in WELL or not judged.metrics:
            continue
        if task not in newest or number >= newest[task][0]:
            newest[task] = (number, judged)
    return newest


def _write_cell(figures: Sequence[_Figure], *, several: bool) -> str:
    """Write `0.94`, `0.94 (epoch 1)`, `clean 0.94, noisy 0.82 (epoch 1)`.

    `several`: the tasks are named. Where their epochs differ, each has its own: `clean 0.94 (epoch
    1), noisy 0.8 (epoch 0)`. An evaluation of no epoch (-1) has none. `figures` has at least one.
    """
    epochs = {epoch for _, epoch, _ in figures}
    share_epoch = len(epochs) == 1
    texts = []
    for task, epoch, value in figures:
        text = f"{task} {value}" if several else value
        if epoch >= 0 and not share_epoch:
            text += f" (epoch {epoch})"
        texts.append(text)
    cell = ", ".join(texts)
    last = max(epochs)
    if share_epoch and last >= 0:
        return f"{cell} (epoch {last})"
    return cell


def with_columns(
    text: str, columns: Collection[str], before: Collection[str] = ()
) -> tuple[str, list[str]]:
    """Put columns into the machine's table: the new text, and the columns that were added.

    They stand behind `val_loss`, in the order of `columns`; the cells of all rows are empty:

        | run | description | val_loss | accuracy | status | notes |
        |-----|-------------|----------|----------|--------|-------|
        | …   | front cam   | 0.028    |  | keep | |

    `before`: the columns that it was given before, which are not added again where they are gone. A
    text without the machine's table comes back as it is, with an empty list.
    """
    ours = {*columns, *before}  # a column added just before a death is not noted yet
    table = _find_table(text, ours)
    if not table:
        return text, []
    header = _header(table[0][1])
    new = [column for column in columns if column not in header and column not in before]
    if not new:
        return text, []
    at = header.index(BEHIND) + 1  # the number of the bar that ends that cell
    edits = []
    for number, (start, row) in enumerate(table):
        bars = [match.start() for match in _BAR.finditer(row)]
        if at < len(bars):
            offset = start + bars[at] + 1
            cells = "".join(_new_cell(column, number) for column in new)
            edits.append(Edit(offset, offset, cells))
    return apply(text, edits), new


def _find_table(text: str, ours: Collection[str]) -> list[tuple[int, str]]:
    """Find the machine's table: (offset, text) of each of its lines. Empty: there is none.

    The first such table counts: a person may have put others above it.
    """
    table: list[tuple[int, str]] = []
    for line in lines(text):
        content = text[line.start : line.stop]
        if content.startswith("|"):
            table.append((line.start, content))
            continue
        if _is_ours(table, ours):
            return table
        table = []
    # the table may end with the file
    if _is_ours(table, ours):
        return table
    return []


def _new_cell(column: str, number: int) -> str:
    """Write the cell that a line of the table gets, with the bar behind it.

    of the head (line 0)     ` accuracy |`
    of the rule (line 1)     `----------|`
    of a row                 `  |`
    """
    if number == 0:
        return f" {column} |"
    if number == 1:
        return "-" * (len(column) + 2) + "|"
    return "  |"


def _header(content: str) -> list[str]:
    """Read the cells of a table's first line, in lower case: `run`, `description`, `val_loss` and
    so on.
    """
    return [cell.strip().casefold() for cell in _BAR.split(content)[1:-1]]


def _is_ours(table: Sequence[tuple[int, str]], ours: Collection[str]) -> bool:
    """Whether a table has the header that the machine wrote, with our columns in it: those of
    `HEAD`, in their order, and between them none but `ours`. `table` are its lines; without any it
    is none.
    """
    if not table:
        return False
    header = _header(table[0][1])
    return [cell for cell in header if cell not in ours] == list(HEAD)


def given(fields: Mapping[str, str]) -> set[str]:
    """Read the columns that the machine has added from the fields that it noted with a log:
    `{"table.columns": "accuracy|f1"}`. Empty: it added none.

    A column that is among them, and gone from the table, was removed by a person.
    """
    return {column for column in fields.get("table.columns", "").split("|") if column}
