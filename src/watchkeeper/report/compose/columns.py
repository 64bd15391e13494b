"""The columns of `experiments.md` for what its runs were made for: accuracy and the like, beside
the validation loss. Pure.

    | run | description | val_loss | accuracy | status | notes |

A column is put into the machine's own table alone: one that has exactly its columns. A person's
table is never given any; where it has a column of that name, its cells are filled. A column that a
person took out does not come back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from watchkeeper.core.events import Judged
from watchkeeper.report.compose.compose import WELL, number_words
from watchkeeper.report.runlog.document import Edit, apply, lines
from watchkeeper.report.runlog.experiments_table import HEAD

MOST = 3
BEHIND = "val_loss"
_BAR = re.compile(r"(?<!\\)\|")
_NAME = re.compile(r"[^|\s][^|\n]{0,39}")


def main_metrics(results: Sequence[tuple[str, int | None, Judged]]) -> dict[str, str]:
    """Metric → its figures in a cell, of (task, epoch, verdict): the first metric of each task's
    result, at the last epoch that has one.
    """
    last: dict[str, tuple[int, Judged]] = {}
    for task, epoch, judged in results:
        if epoch is None:
            at = -1
        else:
            at = epoch
        if judged.outcome in WELL and judged.metrics and at >= last.get(task, (-1, judged))[0]:
            last[task] = (at, judged)
    figures: dict[str, list[tuple[str, int, str]]] = {}
    for task, (at, judged) in last.items():
        name, value = next(iter(judged.metrics.items()))
        figures.setdefault(name.casefold(), []).append((task, at, number_words(value)))
    usable = [name for name in figures if _NAME.fullmatch(name) and name not in HEAD]
    return {name: _cell(figures[name], several=len(last) > 1) for name in usable[:MOST]}


def _cell(figures: Sequence[tuple[str, int, str]], *, several: bool) -> str:
    """`0.94`, `0.94 (epoch 1)`, `clean 0.94, noisy 0.82 (epoch 1)`."""
    epochs = {at for _, at, _ in figures}
    one = len(epochs) == 1
    words = []
    for task, at, value in figures:
        if several:
            named = f"{task} {value}"
        else:
            named = value
        words.append(named if one or at < 0 else f"{named} (epoch {at})")
    epoch = max(epochs)
    return ", ".join(words) + (f" (epoch {epoch})" if one and epoch >= 0 else "")


def with_columns(
    text: str, columns: Collection[str], before: Collection[str] = ()
) -> tuple[str, list[str]]:
    """The text with these columns in the machine's table, and those that were put in. `before`:
    what it was given before, which is not put in again where it is gone.
    """
    ours = {*columns, *before}  # one that was put in just before a death is not noted yet
    table: list[tuple[int, str]] = []
    for line in lines(text):
        content = text[line.start : line.stop]
        if content.startswith("|"):
            table.append((line.start, content))
        elif table and _is_ours(table[0][1], ours):
            break
        else:
            table = []
    if not table or not _is_ours(table[0][1], ours):
        return text, []
    header = _header(table[0][1])
    new = [column for column in columns if column not in header and column not in before]
    at = header.index(BEHIND) + 1  # bars up to the end of that cell, less the first
    edits = []
    for number, (start, content) in enumerate(table):
        bars = [match.start() for match in _BAR.finditer(content)]
        if at < len(bars) and new:
            cells = "".join(_new_cell(column, number) for column in new)
            edits.append(Edit(start + bars[at] + 1, start + bars[at] + 1, cells))
    return apply(text, edits), new


def _new_cell(column: str, number: int) -> str:
    if number == 0:
        return f" {column} |"
    if number == 1:
        return "-" * (len(column) + 2) + "|"
    return "  |"


def _header(content: str) -> list[str]:
    return [cell.strip().casefold() for cell in _BAR.split(content)[1:-1]]


def _is_ours(content: str, ours: Collection[str]) -> bool:
    """Whether a table's header is the one that the machine wrote, with columns of its own in it."""
    return [cell for cell in _header(content) if cell not in ours] == list(HEAD)


def given(fields: Mapping[str, str]) -> set[str]:
    """The columns that the machine has put in, by the fields that it noted with a log."""
    return {column for column in fields.get("table.columns", "").split("|") if column}
