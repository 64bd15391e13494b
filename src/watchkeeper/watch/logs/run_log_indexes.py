"""The pages beside the run logs: the timeline of each folder, and the table `experiments.md`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import msgspec

from watchkeeper.core.events import Judged, RunItem
from watchkeeper.report.compose import columns
from watchkeeper.report.compose.history import WELL, History, LogFile
from watchkeeper.report.compose.page import Written, format_number
from watchkeeper.report.runlog import read
from watchkeeper.report.runlog.dates import stamp
from watchkeeper.report.runlog.experiments_table import Entry, with_rows
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import DATED, Log
from watchkeeper.report.runlog.timeline import with_entries
from watchkeeper.watch.logs.about import Descriptions
from watchkeeper.watch.logs.histories import Histories
from watchkeeper.watch.logs.log_files import LogFiles
from watchkeeper.watch.logs.run_log_folder import load

_ENTERED = "timeline.entry"
_CELL = "table."  # a cell's field is named by its column


class LogUpdate(msgspec.Struct):
    """A log that is brought up. `extra` are fields that the pages beside it were given."""

    item: RunItem
    history: History
    written: Written = msgspec.field(default_factory=Written)
    extra: dict[str, str] = {}

    @property
    def file(self) -> LogFile:
        """The newest log of the work."""
        return self.history.files()[-1]


class _TableRow(msgspec.Struct, frozen=True):
    """A row of ours: `written` is what the machine wrote into its cells before, by column."""

    log: LogUpdate
    entry: Entry
    written: dict[str, set[str]]


class _TableEdit(msgspec.Struct, frozen=True):
    """The table's new text, the cells that were written by row and column, and the columns that
    were put in.
    """

    text: str
    cells: dict[str, dict[str, str]]
    put_in: list[str]


class Indexes:
    """The timelines and the table of one experiment's run logs."""

    def __init__(self, files: LogFiles, histories: Histories, descriptions: Descriptions) -> None:
        self._files = files
        self._histories = histories
        self._descriptions = descriptions

    def enter(self, logs: list[LogUpdate]) -> None:
        """Bring up the pages beside these logs. A page that cannot be written is reported, and does
        not keep the other one from being written.
        """
        self._files.guard("the timelines", lambda: self._enter_timelines(logs))
        self._files.guard("experiments.md", lambda: self._enter_table(logs))

    # ── timelines

    def _enter_timelines(self, logs: list[LogUpdate]) -> None:
        """Name each log in the timeline of its folder, once; a folder without one gets one. A log
        that was named before is passed over, so that a person may take its line out. So is one
        without a date in its name.
        """
        folders: dict[Path, list[LogUpdate]] = {}
        for log in logs:
            path = self._files.path_of(log.file.path)
            if _ENTERED not in log.written.fields and DATED.fullmatch(path.name):
                folders.setdefault(path.parent, []).append(log)
        for folder, new in folders.items():
            group = ""
            if folder != self._files.folder:
                group = folder.name
            names = [self._files.path_of(log.file.path).name for log in new]
            timeline = folder / "timeline.md"
            if not timeline.exists():
                # A new timeline begins with the logs that people wrote before.
                names = [*_dated_besides(folder, names), *names]
            if self._files.edit(timeline, partial(_with_names, names=names, group=group)):
                for log in new:
                    log.extra[_ENTERED] = "named"

    # ── the table

    def _enter_table(self, logs: list[LogUpdate]) -> None:
        """Bring up the rows of these runs in the table that compares them. What was written into a
        cell is kept in the log's `extra`: only such a cell may be replaced later, all others are a
        person's.
        """
        path = self._files.folder / "experiments.md"
        rows = self._rows_of(logs, path.parent)
        if not rows:
            return
        made = {row.entry.run: row.log for row in rows}
        others: list[Entry] = []
        if not path.exists():
            others = [entry for entry in self._rows_of_people() if entry.run not in made]
        wanted = dict.fromkeys(column for log in logs for column in self._metrics_of(log))
        given = self._histories.columns
        edits: list[_TableEdit] = []

        def with_table(text: str) -> str:
            edit = _with_table(text, rows, others, wanted, given)
            edits[:] = [edit]  # the page may have to be read again: the last edit counts
            return edit.text

        if not self._files.edit(path, with_table):
            return
        edit = edits[0]
        for run, log in made.items():
            for column, value in edit.cells.get(run, {}).items():
                log.extra[_CELL + column] = value
        if edit.put_in:
            logs[0].extra["table.columns"] = "|".join(edit.put_in)

    def _rows_of(self, logs: list[LogUpdate], folder: Path) -> list[_TableRow]:
        """The table's rows of these logs; none in a project that keeps no such table. A log without
        a date in its name has none.
        """
        rows: list[_TableRow] = []
        if not self._descriptions.has_mode:
            return rows
        for log in logs:
            path = self._files.path_of(log.file.path)
            name = DATED.fullmatch(path.name)
            if name is None:
                continue
            link = os.path.relpath(path, folder).replace(" ", "%20")
            cells = self._cells_of(log) | self._metrics_of(log)
            entry = Entry(f"{name[2]}_{name[1]}", link, cells)
            rows.append(_TableRow(log, entry, _cells_written(log.written)))
        return rows

    def _rows_of_people(self) -> list[Entry]:
        """A row for each experiment whose log was there before: the table begins with them, the
        oldest first.
        """
        entries = []
        for file in load(self._files.folder).files:
            log = read.read(file)
            if log is not None and log.kind == "experiment" and log.day:
                entries.append(_entry_of_person(log, file))
        return sorted(entries, key=lambda entry: entry.run.rpartition("_")[2])

    def _cells_of(self, log: LogUpdate) -> dict[str, str]:
        """The cells of a row that each table has: what it is, its validation loss, how it
        stands.
        """
        judged = _last_verdict(log.history)
        about = self._descriptions.about(log.item, log.file)
        return {
            "description": about.settings or about.description,
            "val_loss": _val_loss_of(judged),
            "status": _status_of(judged),
        }

    def _metrics_of(self, log: LogUpdate) -> dict[str, str]:
        """The main metrics of its evaluations, or its own where it is one; each of one attempt's
        checkpoint.
        """
        item = log.item
        if item.phase != "evaluation":
            evaluations = self._histories.evaluations_of(item, log.file)
            return columns.main_metrics([(one.task, one.epoch, one.judged) for one in evaluations])
        judged = _last_verdict(log.history)
        if judged is None:
            return columns.main_metrics([])
        return columns.main_metrics([(item.task, item.epoch, judged)])


def _dated_besides(folder: Path, names: Iterable[str]) -> list[str]:
    """The names of a folder's dated logs but these, in their order. `2026-03-11_r8.md` is dated."""
    dated = {path.name for path in folder.glob("*.md") if DATED.fullmatch(path.name)}
    return sorted(dated - set(names))


def _with_names(text: str, *, names: Iterable[str], group: str) -> str:
    """The timeline with each of these logs named once. `group` is the folder's name, "" for
    `run_logs/` itself; a name without a day that exists is left out.
    """
    dated: list[tuple[str, date]] = []
    for name in names:
        at = stamp(name[:10])
        if at is not None and at.day is not None:
            dated.append((name, at.day))
    return with_entries(text, dated, group)


def _with_table(
    text: str,
    rows: Sequence[_TableRow],
    others: Sequence[Entry],
    wanted: Mapping[str, None],
    given: set[str],
) -> _TableEdit:
    """The table with these rows; `others` are rows of people's logs, `wanted` the columns of
    metrics, `given` those that were put in before.
    """
    entries = [row.entry for row in rows]
    written = {row.entry.run: row.written for row in rows}
    text, put_in = columns.with_columns(text, wanted, given)
    text, cells = with_rows(text, [*others, *entries], written)
    if wanted and not put_in:
        # The table was begun just now: only now can it be given columns.
        text, put_in = columns.with_columns(text, wanted, given)
        text, more = with_rows(text, entries, _joined(written, cells))
        runs = cells.keys() | more.keys()
        cells = {run: cells.get(run, {}) | more.get(run, {}) for run in runs}
    return _TableEdit(text, cells, put_in)


def _joined(
    written: Mapping[str, Mapping[str, set[str]]], cells: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, set[str]]]:
    """What the machine had written before, and has just written, by row and column: the values that
    it may replace.
    """
    joined: dict[str, dict[str, set[str]]] = {}
    for run, columns_before in written.items():
        joined[run] = {column: set(values) for column, values in columns_before.items()}
    for run, columns_now in cells.items():
        for column, value in columns_now.items():
            joined.setdefault(run, {}).setdefault(column, set()).add(value)
    return joined


def _cells_written(written: Written) -> dict[str, set[str]]:
    """What the machine wrote into a row's cells before, by column: only that it may replace. The
    field `table.val_loss` is of the column `val_loss`.
    """
    cells: dict[str, set[str]] = {}
    for name, values in written.fields.items():
        if name.startswith(_CELL):
            cells[name.removeprefix(_CELL)] = values
    return cells


def _entry_of_person(log: Log, file: File) -> Entry:
    """The row of a log that a person wrote; its title is `Run log — description`, with any dash
    between them. No title, or one without a dash: no description.
    """
    title = ""
    if log.document.title:
        title = log.document.title.text
    _, *rest = re.split(r" [—–-] ", title, maxsplit=1)
    cells = {"description": "".join(rest), "val_loss": _loss_in(log)}
    link = "/".join(file.parts).replace(" ", "%20")
    return Entry(f"{log.task}_{log.day}", link, cells)


def _loss_in(log: Log) -> str:
    """The validation loss that a person wrote into the results; "" for none."""
    for section in log.document.of("results"):
        for field in section.fields():
            if field.name in ("end_val_loss", "val_loss"):
                return field.value
    return ""


def _last_verdict(history: History) -> Judged | None:
    """The verdict on the newest attempt; None: not judged yet."""
    return history.judged.get(max(history.intended, default=0))


def _val_loss_of(judged: Judged | None) -> str:
    """The last validation loss, `n/a` where none was logged; "" before the verdict."""
    if judged is None:
        return ""
    learned = judged.learned
    if learned is None or learned.last_val_loss is None:
        return "n/a"
    return format_number(learned.last_val_loss)


def _status_of(judged: Judged | None) -> str:
    """How a run stands, in the table's words: `running` before its verdict, `completed` where it
    left what it promised, else its outcome, such as `failed`.
    """
    if judged is None:
        return "running"
    if judged.outcome in WELL:
        return "completed"
    return judged.outcome
