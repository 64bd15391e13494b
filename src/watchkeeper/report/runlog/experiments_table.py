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

    def means(self, names: Iterable[str]) -> bool:
        """Whether the row is that of a log with one of these names."""
        return not ({_spelled(self.run), *self.names}.isdisjoint(_spelled(name) for name in names))


def names_of(day: str, task: str, stem: str) -> tuple[str, ...]:
    """What a table may call a log: the document's `<task>_<date>`, the file's own name, its task
    alone.
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
    """The rows of tables that compare runs: a column names a run, or a cell links to its log."""
    return [_row(line) for line in _rows(text)]


def _row(line: _Line) -> Row:
    """A row, and which log it means: what its run's cell says, else a link or a dated name in any
    other that is no note.
    """
    cells = dict(zip(line.header, (cell.text for cell in line.cells), strict=False))
    run = cells.get("run", "")
    links, names = _meant([run])
    if not names:
        links, names = _meant(_cells_that_may_name(cells))
    shown = _name(run)
    if shown:
        names |= {f"{_spelled(shown)}_{day}" for day in _days_in(cells.values())}
    return Row(line.number, shown or next(iter(links), ""), cells, frozenset(names), tuple(links))


def _cells_that_may_name(cells: Mapping[str, str]) -> list[str]:
    """The first cell of a row, and each other one whose words are not of any run."""
    first = next(iter(cells), "")
    return [text for name, text in cells.items() if name == first or name not in _WORDS]


def _days_in(texts: Iterable[str]) -> list[str]:
    return [text.strip("`*") for text in texts if _DAY.fullmatch(text)]


def _meant(texts: Iterable[str]) -> tuple[list[str], set[str]]:
    """The links to logs in some cells, and every name of a log that stands there."""
    links: list[str] = []
    names: set[str] = set()
    for text in texts:
        own_links, own_names = _meant_by(text[:_MOST_LETTERS])
        links += own_links
        names |= own_names
    return links, names


@lru_cache(maxsize=_MOST_KNOWN)
def _meant_by(text: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """The same of one cell. A table of many runs is read again and again while they run."""
    targets = [_path(match[2]) for match in _LINK.finditer(text)]
    links = tuple(target for target in targets if target.endswith(".md"))
    dated = [match[0] for match in _DATED.finditer(text)]
    return links, frozenset(map(_spelled, (*dated, *links)))


def _path(target: str) -> str:
    return target.split("#", maxsplit=1)[0].replace("%20", " ").removeprefix("./")


def same_log(path: str, other: str) -> bool:
    """Whether two paths may be one log's: a table names it from its folder, from the repository, or
    by its file alone.
    """
    return path == other or path.endswith(f"/{other}") or other.endswith(f"/{path}")


@lru_cache(maxsize=_MOST_KNOWN)
def _spelled(name: str) -> str:
    """A run's name as it is compared: without folder, ending, marks and case; a space as an
    underscore.
    """
    bare = name.replace("%20", " ").strip("`*_~ ").split("#")[0]
    bare = PurePosixPath(bare).name.removesuffix(".md")
    return re.sub(r"[\s]+", "_", bare).casefold()


def with_rows(
    text: str, entries: Sequence[Entry], written: Mapping[str, Mapping[str, set[str]]]
) -> tuple[str, dict[str, dict[str, str]]]:
    """The table with these runs in it, and what was written: run → column → value.

    `written`: run → column → every value that the machine gave it before. A cell that a person has
    filled stays, and so does the absence of a row that a person took out.
    """
    rows = _Rows(text)
    edits: list[Edit] = []
    new: list[str] = []
    noted: dict[str, dict[str, str]] = {}
    columns = _header(text) or list(HEAD)
    for entry in entries:
        before = written.get(entry.run, {})
        line = rows.line_of(entry)
        if line is not None:
            filled = _fill(line, entry, before)
            edits += [edit for _, edit in filled]
            values = {column: entry.cells[column] for column, _ in filled}
            if "run" not in before:
                values = {"run": entry.run, **values}
            if values:
                noted[entry.run] = values
        elif "run" not in before:
            new.append(_new_row(entry, columns))
            kept = {column: value for column, value in entry.cells.items() if column in columns}
            noted[entry.run] = {"run": entry.run, **kept}
    return _with_new(apply(text, edits), new), noted


def _fill(line: _Line, entry: Entry, before: Mapping[str, set[str]]) -> list[tuple[str, Edit]]:
    """The cells of a row that the machine may bring up: (column, edit) of each. `before` are the
    values that it gave them.
    """
    filled = []
    for column, value in entry.cells.items():
        cell = line.cell(column)
        if cell is None or value in ("", cell.text):
            continue
        if _OPEN.fullmatch(cell.text) or cell.text in before.get(column, set()):
            ahead, behind = cell.around
            filled.append((column, Edit(cell.start, cell.end, ahead + _escaped(value) + behind)))
    return filled


def _new_row(entry: Entry, columns: Iterable[str]) -> str:
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
            for file in dict.fromkeys(map(_file_of, row.links)):
                self._by_file.setdefault(file, []).append((row, line))
            for name in {_spelled(row.run), *row.names}:
                self._by_name.setdefault(name, []).append((row, line))

    def line_of(self, entry: Entry) -> _Line | None:
        """The row of a run: by a link to its log, else by one of its names, the document's before a
        person's. None: there is none.
        """
        link = _path(entry.link)
        file = _file_of(link)
        for row, line in self._by_file.get(file, ()):
            if any(same_log(target, link) for target in row.links):
                return line
        stem = file.removesuffix(".md")
        day, _, task = stem.partition("_")
        for name in (entry.run, stem, f"{task}_{day}"):
            for row, line in self._by_name.get(_spelled(name), ()):
                # a file of this name in another folder is another run's
                if file not in map(_file_of, row.links):
                    return line
        return None


def _file_of(link: str) -> str:
    return link.rpartition("/")[2]


def _with_new(text: str, new: list[str]) -> str:
    """The text with these rows behind the last of the table that compares runs; without one, a
    table is begun.
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
    """The text with a table of these rows at its end."""
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
    of the document's.
    """
    known = [line for line in _table_lines(text) if "run" in line.header]
    if not known:
        return []
    best = max(known, key=lambda line: len(set(HEAD) & set(line.header)))
    return [line for line in known if line.table == best.table]


def _rows(text: str) -> Iterator[_Line]:
    for line in _table_lines(text):
        run = line.cell("run")
        if run is None and line.cells:
            run = line.cells[0]
        if run is not None and run.text and not set(run.text) <= set("-: "):
            yield line


def _header(text: str) -> list[str] | None:
    return next((line.header for line in _of_main_table(text)), None)


def _table_lines(text: str) -> Iterator[_Line]:
    """The lines below the header of each table that names runs in one of its columns, and any that
    links to a log.
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
    """The columns under the names that the machine knows: the one that names the run is `run`."""
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
    """The cells of a row, without the space around their text."""
    at = content.index("|") + 1
    cells = []
    while at < len(content):
        match = _CELL.match(content, at)
        if match is None or (not match[2] and not match[1].strip()):
            break
        cells.append(_cell(match[1], start + at))
        at = match.end()
        if not match[2]:
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
    """The run that a cell names, without marks and link."""
    bare = cell.strip("`*~ ")
    link = re.fullmatch(r"\[([^\]]*)\]\([^)]*\)", bare)
    if link:
        bare = link[1]
    return bare.strip("`* ")


def _escaped(value: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(value.split()))
