"""`experiments.md`: the table that compares the runs, whose verdicts and notes are people's.

| run | description | val_loss | status | notes |
|-----|-------------|----------|--------|-------|
| [train_baseline_2026-03-11](arm/2026-03-11_train_baseline.md) | front cam, default LR | 0.028 |
keep | baseline |

The machine adds a row for each run, and brings up the cells that hold nothing, or what it wrote
before. Format source: the run-log document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.report.runlog.document import Edit, apply, lines

HEAD = ("run", "description", "val_loss", "status", "notes")
_RUN = (
    "run", "run log", "log", "run_log", "runlog", "experiment", "run name", "run_name", "name",
    "run id", "experiment name", "id", "logs", "training", "variant", "variation",
)  # fmt: skip
_LINK = lazy.pattern(r"\[([^\]\[]*)\]\(([^)(\s]+)\)")
_WORDS = (
    "notes",
    "note",
    "comment",
    "comments",
    "description",
    "remarks",
    "why",
    "what",
    "change",
    "changes",
    "outcome",
    "next",
)
"""Columns whose words may speak of any run."""
_DATED = lazy.pattern(r"\d{4}-\d{2}-\d{2}_[^\s`|\])]+|(?<![\w.+-])[\w.+-]+_\d{4}-\d{2}-\d{2}(?!\d)")
_DAY = lazy.pattern(r"[`*]*\d{4}-\d{2}-\d{2}[`*]*")
_OPEN = lazy.pattern(r"(?:pending|tbd|-|—|\?)?", re.IGNORECASE)
_CELL = lazy.pattern(
    r"((?:\\.|[^|\\]|\\$)*)(\||$)", re.DOTALL
)  # as GitHub reads it: in code a bar counts too
_MOST_KNOWN = 2**15  # names and cells that are remembered
_MOST_LETTERS = 2000  # of a cell that are looked through for names
_TITLE = "# Experiments\n"


class Row(msgspec.Struct, frozen=True):
    """One row that is there: its line, the run it names, its cells by column, and every name that
    it may mean a log by.
    """

    line: int
    run: str
    cells: Mapping[str, str] = {}
    names: frozenset[str] = frozenset()
    links: tuple[str, ...] = ()

    @property
    def spellings(self) -> frozenset[str]:
        """The names of the logs whose row it may be, as `spelled` gives them."""
        return self.names | {spelled(self.run)}


def names_of(day: str, task: str, stem: str) -> tuple[str, ...]:
    """What a table may call a log: the document's `<task>_<date>`, the file's own name, its task
    alone. `day` is "" where the log's name has none; `stem` is that name without `.md`.
    """
    if day:
        return (f"{task}_{day}", f"{day}_{task}", stem, task)
    return (stem, task)


class Entry(msgspec.Struct, frozen=True):
    """What the machine knows of a run: its name `<task>_<date>`, its log's path from the table, its
    cells by column.
    """

    run: str
    link: str
    cells: Mapping[str, str]


class _Cell(msgspec.Struct, frozen=True):
    start: int
    end: int
    text: str
    around: tuple[str, str] = ("", "")  # of an empty one: the space that its first text needs


class _Line(msgspec.Struct, frozen=True):
    number: int
    end: int
    header: list[str]
    cells: list[_Cell]
    table: int

    def cell(self, column: str) -> _Cell | None:
        """The cell of a column; None: the table, or this line, has none."""
        if column not in self.header:
            return None
        at = self.header.index(column)
        if at < len(self.cells):
            return self.cells[at]
        return None


def parse_experiments(text: str) -> list[Row]:
    """The rows of tables that compare runs: a column names a run, or a cell links to its log.

        | run | val_loss | status |
        |-----|----------|--------|
        | [train_2026-03-11](arm/2026-03-11_train.md) | 0.028 | keep |

    is one row, of the run `train_2026-03-11`, with the link `arm/2026-03-11_train.md`. Any text may
    be given: other tables, and rows without a run, are passed over.
    """
    return [_row(line) for line in _rows(text)]


def _row(line: _Line) -> Row:
    """A row, and which log it means: what its run's cell says, else a link or a dated name in any
    other that is no note.

    A task in one cell and a day in another are a name as well: `| train | 2026-03-11 |` means
    `train_2026-03-11`.
    """
    cells = dict(zip(line.header, (cell.text for cell in line.cells), strict=False))
    run = cells.get("run", "")
    links, names = _meant([run])
    if not names:
        links, names = _meant(_cells_that_may_name(cells))
    shown = _name(run)
    if shown:
        names |= {f"{spelled(shown)}_{day}" for day in _days_in(cells.values())}
    return Row(line.number, shown or next(iter(links), ""), cells, frozenset(names), tuple(links))


def _cells_that_may_name(cells: Mapping[str, str]) -> list[str]:
    """The first cell of a row, and each other one whose words are not of any run.

    A note may well say `better than train_2026-03-10`.
    """
    first = next(iter(cells), "")
    texts = []
    for name, text in cells.items():
        if name == first or name not in _WORDS:
            texts.append(text)
    return texts


def _days_in(texts: Iterable[str]) -> list[str]:
    """The days that stand alone in a cell, without marks: `2026-03-11` of `**2026-03-11**`."""
    days = []
    for text in texts:
        if _DAY.fullmatch(text):
            days.append(text.strip("`*"))
    return days


def _meant(texts: Iterable[str]) -> tuple[list[str], set[str]]:
    """The links to logs in some cells, and every name of a log that stands there, as it is
    compared.

    Of a long cell only the first `_MOST_LETTERS` are read.
    """
    links: list[str] = []
    names: set[str] = set()
    for text in texts:
        own_links, own_names = _meant_by(text[:_MOST_LETTERS])
        links += own_links
        names |= own_names
    return links, names


@lru_cache(maxsize=_MOST_KNOWN)
def _meant_by(text: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """The links to logs in one cell, and every name of a log that stands there, as it is compared.
    A table of many runs is read again and again while they run, so that cells are remembered.

    `[train](arm/2026-03-11_train.md#status)` has the link `arm/2026-03-11_train.md`; a link to
    anything else than a `.md` is of no log.
    """
    targets = [_path(match[2]) for match in _LINK.finditer(text)]
    links = tuple(target for target in targets if target.endswith(".md"))
    dated = [match[0] for match in _DATED.finditer(text)]
    return links, frozenset(map(spelled, (*dated, *links)))


def _path(target: str) -> str:
    """The file that a link points to, without the part of the page and as a path is spelled:
    `arm/a b.md` of `./arm/a%20b.md#results`.
    """
    return target.split("#", maxsplit=1)[0].replace("%20", " ").removeprefix("./")


def same_log(path: str, other: str) -> bool:
    """Whether two paths may be one log's: a table names it from its folder, from the repository, or
    by its file alone.

    `arm/2026-03-11_train.md` and `run_logs/arm/2026-03-11_train.md` may, `arm/a.md` and `leg/a.md`
    may not.
    """
    if path == other:
        return True
    return path.endswith(f"/{other}") or other.endswith(f"/{path}")


@lru_cache(maxsize=_MOST_KNOWN)
def spelled(name: str) -> str:
    """A run's name as it is compared: without folder, ending, marks and case; a space as an
    underscore. `arm/Train Long_2026-03-11.md` is compared as `train_long_2026-03-11`.
    """
    bare = name.replace("%20", " ").strip("`*_~ ").split("#")[0]
    bare = PurePosixPath(bare).name.removesuffix(".md")
    return re.sub(r"[\s]+", "_", bare).casefold()


def with_rows(
    text: str, entries: Sequence[Entry], written: Mapping[str, Mapping[str, set[str]]]
) -> tuple[str, dict[str, dict[str, str]]]:
    """The table with these runs in it, and what was written: run → column → value.

    `written`: run → column → every value that the machine gave it before. A cell that a person has
    filled stays, and so does the absence of a row that a person took out. The text is the same
    where nothing is new, and a table is begun where there is none.
    """
    rows = _Rows(text)
    edits: list[Edit] = []
    new: list[str] = []
    noted: dict[str, dict[str, str]] = {}
    columns = _header(text) or list(HEAD)
    for entry in entries:
        before = written.get(entry.run, {})
        was_written = "run" in before
        line = rows.line_of(entry)
        if line is not None:
            filled = _fill(line, entry, before)
            edits += [edit for _, edit in filled]
            values = {column: entry.cells[column] for column, _ in filled}
            if not was_written:
                # A person's row is the run's from now on: if it goes, it was removed.
                values = {"run": entry.run, **values}
            if values:
                noted[entry.run] = values
        elif not was_written:
            new.append(_new_row(entry, columns))
            kept = {column: value for column, value in entry.cells.items() if column in columns}
            noted[entry.run] = {"run": entry.run, **kept}
    return _with_new(apply(text, edits), new), noted


def _fill(line: _Line, entry: Entry, before: Mapping[str, set[str]]) -> list[tuple[str, Edit]]:
    """The cells of a row that the machine may bring up: (column, edit) of each.

    It may fill an open cell (empty, `pending`, `-`) and one that holds what it wrote; `before` are
    the values that it gave them.
    """
    filled = []
    for column, value in entry.cells.items():
        cell = line.cell(column)
        if cell is None or value in ("", cell.text):
            continue
        is_open = _OPEN.fullmatch(cell.text) is not None
        if is_open or cell.text in before.get(column, set()):
            ahead, behind = cell.around
            filled.append((column, Edit(cell.start, cell.end, ahead + _escaped(value) + behind)))
    return filled


def _new_row(entry: Entry, columns: Iterable[str]) -> str:
    """A row for a run in a table with these columns: `| [train_2026-03-11](arm/2026-03-11_train.md)
    | front cam | 0.028 | | |`. What the table has no column for is left out.
    """
    cells = {"run": f"[{entry.run}]({entry.link})", **entry.cells}
    return _table_row(_escaped(cells.get(column, "")) for column in columns)


def _table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


class _Rows:
    """The rows that are there, by the files that they link to and by their names."""

    def __init__(self, text: str) -> None:
        self._by_file: dict[str, list[tuple[Row, _Line]]] = {}
        self._by_name: dict[str, list[tuple[Row, _Line]]] = {}
        for line in _rows(text):
            row = _row(line)
            for file in dict.fromkeys(map(file_of, row.links)):
                self._by_file.setdefault(file, []).append((row, line))
            for name in row.spellings:
                self._by_name.setdefault(name, []).append((row, line))

    def line_of(self, entry: Entry) -> _Line | None:
        """The row of a run: by a link to its log, else by one of its names, the document's before a
        person's. None: there is none.

        A row that links to another log of the same name, in another folder, is that one's.
        """
        link = _path(entry.link)
        file = file_of(link)
        for row, line in self._by_file.get(file, ()):
            if any(same_log(target, link) for target in row.links):
                return line
        stem = file.removesuffix(".md")
        day, _, task = stem.partition("_")
        for name in (entry.run, stem, f"{task}_{day}"):
            for row, line in self._by_name.get(spelled(name), ()):
                # a file of this name in another folder is another run's
                if file not in map(file_of, row.links):
                    return line
        return None


def file_of(link: str) -> str:
    """The file's name at the end of a link: `2026-03-11_train.md` of `arm/2026-03-11_train.md`."""
    return link.rpartition("/")[2]


def _with_new(text: str, new: list[str]) -> str:
    """The text with these rows behind the last of the table that compares runs; without one, a
    table is begun. Line ends are those of the text.
    """
    if not new:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    main_table = _of_main_table(text)
    if not main_table:
        return _with_table(text, new, newline)
    at = main_table[-1].end
    before, after = text[:at], text[at:]
    body = newline.join(new)
    if before.endswith("\n"):
        return before + body + newline + after
    return before + newline + body + after


def _with_table(text: str, rows: list[str], newline: str) -> str:
    """The text with a table of these rows at its end; an empty one gets a title as well.

    | run | description | val_loss | status | notes |
    |-----|-------------|----------|--------|-------|
    """
    rule = "|".join("-" * (len(column) + 2) for column in HEAD)
    table = [_table_row(HEAD), f"|{rule}|", *rows]
    if not text.strip():
        return "\n".join([_TITLE, *table]) + "\n"
    gap = newline
    if not text.endswith("\n"):
        gap = newline * 2
    return text + gap + newline.join(table) + newline


def _of_main_table(text: str) -> list[_Line]:
    """The lines of the table that new rows go into: of those with a run's column the one with most
    of the document's. Empty: no table has such a column, or none has a row or a rule.

    A person may keep other tables in the file, of seeds or of machines.
    """
    known = [line for line in _table_lines(text) if "run" in line.header]
    if not known:
        return []
    columns = set(HEAD)
    best = max(known, key=lambda line: len(columns.intersection(line.header)))
    return [line for line in known if line.table == best.table]


def _rows(text: str) -> Iterator[_Line]:
    """The lines of tables that are rows of a run: their cell of the run is filled, and they are not
    the rule below the head.

    Without a column of the run, the first cell counts: such a table was taken because a cell links
    to a log.
    """
    for line in _table_lines(text):
        run = line.cell("run")
        if run is None and line.cells:
            run = line.cells[0]
        if run is None or not run.text:
            continue
        is_rule = set(run.text) <= set("-: ")
        if not is_rule:
            yield line


def _header(text: str) -> list[str] | None:
    """The columns of the table that new rows go into, as the machine names them. None: there is no
    such table, and one is begun with `HEAD`.
    """
    return next((line.header for line in _of_main_table(text)), None)


def _table_lines(text: str) -> Iterator[_Line]:
    """The lines below the header of each table that names runs in one of its columns, and any that
    links to a log. The rule below the header is one of them.

    A table ends with the first line that does not begin with a bar; `table` numbers them, from 1.
    """
    header: list[str] | None = None
    table = 0
    for line in lines(text):
        content = text[line.start : line.stop]
        if not content.lstrip().startswith("|"):
            header = None
            continue
        cells = _cells(content, line.start)
        if header is None:
            table += 1
            header = _named([cell.text.strip("`* ").casefold() for cell in cells])
        elif "run" in header or any(".md)" in cell.text for cell in cells):
            yield _Line(line.number, line.end, header, cells, table)


def _named(header: list[str]) -> list[str]:
    """The columns under the names that the machine knows: the one that names the run is `run`, and
    `val loss` is `val_loss`. Any other keeps a person's name, in lower case.
    """
    columns = []
    for name in header:
        known = name.replace(" ", "_")
        columns.append(known if known in HEAD else name)
    for name in _RUN:
        if name in columns:
            columns[columns.index(name)] = "run"
            break
    return columns


def _cells(content: str, start: int) -> list[_Cell]:
    r"""The cells of a row, without the space around their text.

    Of `| a | b \| c |  |` these are `a`, `b | c` and an empty one. `start` is the offset of the
    line, which holds a bar; what stands behind its last bar is a cell too.
    """
    at = content.index("|") + 1
    cells = []
    while at < len(content):
        match = _CELL.match(content, at)
        if match is None:
            break
        has_bar = bool(match[2])
        if not has_bar and not match[1].strip():
            break
        cells.append(_cell(match[1], start + at))
        at = match.end()
        if not has_bar:
            break
    return cells


def _cell(raw: str, start: int) -> _Cell:
    """A cell from the text between two bars. An empty one keeps a space on each side, or says which
    is missing.
    """
    text = raw.strip()
    if text:
        first = start + len(raw) - len(raw.lstrip())
        return _Cell(first, first + len(text), text.replace("\\|", "|"))
    before = min(1, len(raw))
    behind = min(1, len(raw) - before)
    return _Cell(start + before, start + len(raw) - behind, "", (" "[before:], " "[behind:]))


def _name(cell: str) -> str:
    """The run that a cell names, without marks and link: `train` of `**[train](arm/a.md)**`."""
    bare = cell.strip("`*~ ")
    link = re.fullmatch(r"\[([^\]]*)\]\([^)]*\)", bare)
    if link:
        bare = link[1]
    return bare.strip("`* ")


def _escaped(value: str) -> str:
    """A value as the text of a cell: on one line, and with its bars escaped."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(value.split()))
