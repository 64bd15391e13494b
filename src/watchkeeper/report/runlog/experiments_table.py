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
from pathlib import PurePosixPath

import msgspec

from watchkeeper.report.runlog.document import Edit, apply, lines

HEAD = ("run", "description", "val_loss", "status", "notes")
_RUN = (
    "run", "run log", "log", "run_log", "runlog", "experiment", "run name", "run_name", "name", "run id",
    "experiment name", "id", "logs", "training", "variant", "variation",
)  # fmt: skip
_LINK = re.compile(r"\[([^\]\[]*)\]\(([^)(\s]+)\)")
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
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}_[^\s`|\])]+|(?<![\w.+-])[\w.+-]+_\d{4}-\d{2}-\d{2}(?!\d)")
_OPEN = re.compile(r"(?:pending|tbd|-|—|\?)?", re.IGNORECASE)
_CELL = re.compile(
    r"((?:\\.|[^|\\]|\\$)*)(\||$)", re.DOTALL
)  # as GitHub reads it: in code a bar counts too
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
        if column in self.header:
            at = self.header.index(column)
        else:
            at = -1
        if 0 <= at < len(self.cells):
            return self.cells[at]
        return None


def parse_experiments(text: str) -> list[Row]:
    """The rows of the tables that compare runs: one column names a run, or a cell links to its log."""
    return [_row(line) for line in _rows(text)]


def _row(line: _Line) -> Row:
    """A row, and which log it means: what its run's cell says, else a link or a dated name in any
    other that is no note.
    """
    cells = dict(zip(line.header, (cell.text for cell in line.cells), strict=False))
    run = cells.get("run", "")
    shown = _name(run)
    links, names = _meant([run])
    if not names:
        links, names = _meant(
            text for at, (name, text) in enumerate(cells.items()) if at == 0 or name not in _WORDS
        )
    days = [
        text.strip("`*")
        for text in cells.values()
        if re.fullmatch(r"[`*]*\d{4}-\d{2}-\d{2}[`*]*", text)
    ]
    names |= {f"{_spelled(shown)}_{day}" for day in days if shown}
    return Row(line.number, shown or next(iter(links), ""), cells, frozenset(names), tuple(links))


def _meant(texts: Iterable[str]) -> tuple[list[str], set[str]]:
    """The links to logs in some cells, and every name of a log that stands there."""
    known = [text[:_MOST_LETTERS] for text in texts]
    links = [
        _path(target)
        for text in known
        for _, target in _LINK.findall(text)
        if _path(target).endswith(".md")
    ]
    return links, {_spelled(link) for link in links} | {
        _spelled(match[0]) for text in known for match in _DATED.finditer(text)
    }


def _path(target: str) -> str:
    return target.split("#", maxsplit=1)[0].replace("%20", " ").removeprefix("./")


def same_log(one: str, other: str) -> bool:
    """Whether two paths may be one log's: a table names it from its folder, from the repository, or
    by its file alone.
    """
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


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
    there = [(_row(line), line) for line in _rows(text)]
    edits: list[Edit] = []
    new: list[str] = []
    made: dict[str, dict[str, str]] = {}
    header = _header(text)
    for entry in entries:
        before = written.get(entry.run, {})
        line = _line_of(entry, there)
        if line is None:
            if "run" not in before:
                cells = {"run": f"[{entry.run}]({entry.link})", **entry.cells}
                shown = header or list(HEAD)
                new.append(
                    "| " + " | ".join(_escaped(cells.get(column, "")) for column in shown) + " |"
                )
                kept = {column: value for column, value in entry.cells.items() if column in shown}
                made[entry.run] = {"run": entry.run, **kept}
            continue
        if "run" in before:
            told = {}
        else:
            told = {"run": entry.run}
        for column, value in entry.cells.items():
            cell = line.cell(column)
            if cell is None or value in ("", cell.text):
                continue
            if _OPEN.fullmatch(cell.text) or cell.text in before.get(column, set()):
                edits.append(
                    Edit(cell.start, cell.end, cell.around[0] + _escaped(value) + cell.around[1])
                )
                told[column] = value
        if told:
            made[entry.run] = told
    return _with_new(apply(text, edits), new), made


def _line_of(entry: Entry, there: list[tuple[Row, _Line]]) -> _Line | None:
    """The row of a run: by a link to its log, else by one of its names, the document's before a
    person's.
    """
    link = _path(entry.link)
    for row, line in there:
        if any(same_log(target, link) for target in row.links):
            return line
    stem = PurePosixPath(link).name.removesuffix(".md")
    day, _, task = stem.partition("_")
    for name in (entry.run, stem, f"{task}_{day}"):
        for row, line in there:
            elsewhere = any(
                PurePosixPath(target).name == PurePosixPath(link).name for target in row.links
            )
            if (
                row.means([name]) and not elsewhere
            ):  # a file of this name in another folder is another run's
                return line
    return None


def _with_new(text: str, new: list[str]) -> str:
    """The text with these rows behind the last of the table that compares runs; without one, a
    table is begun.
    """
    if not new:
        return text
    if "\r\n" in text:
        newline = "\r\n"
    else:
        newline = "\n"
    at = next((line.end for line in reversed(_of_main_table(text))), None)
    if at is None:
        head = [
            "| " + " | ".join(HEAD) + " |",
            "|" + "|".join("-" * (len(column) + 2) for column in HEAD) + "|",
        ]
        if not text.strip():
            return "\n".join([_TITLE, *head, *new]) + "\n"
        if text.endswith("\n"):
            gap = ""
        else:
            gap = newline
        return text + gap + newline + newline.join([*head, *new]) + newline
    body = newline.join(new)
    return text[:at] + (body + newline if text[:at].endswith("\n") else newline + body) + text[at:]


def _of_main_table(text: str) -> list[_Line]:
    """The lines of the table that new rows go into: of those with a run's column the one with most
    of the document's.
    """
    known = [line for line in _table_lines(text) if "run" in line.header]
    best = max(known, key=lambda line: len(set(HEAD) & set(line.header)), default=None)
    return [line for line in known if best is not None and line.table == best.table]


def _rows(text: str) -> Iterator[_Line]:
    for line in _table_lines(text):
        run = line.cell("run") or (line.cells[0] if line.cells else None)
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
    known = [name.replace(" ", "_") if name.replace(" ", "_") in HEAD else name for name in header]
    which = next((name for name in _RUN if name in known), None)
    return [
        "run" if name == which and index == known.index(name) else name
        for index, name in enumerate(known)
    ]


def _cells(content: str, start: int) -> list[_Cell]:
    """The cells of a row, without the space around their text."""
    at = content.index("|") + 1
    found = []
    while at < len(content):
        match = _CELL.match(content, at)
        if match is None or (not match[2] and not match[1].strip()):
            break
        inner, stripped = match[1], match[1].strip()
        if stripped:
            first = start + at + len(inner) - len(inner.lstrip())
            found.append(_Cell(first, first + len(stripped), stripped.replace("\\|", "|")))
        else:
            before, behind = min(1, len(inner)), min(1, max(0, len(inner) - 1))
            space = (" "[before:], " "[behind:])
            found.append(_Cell(start + at + before, start + at + len(inner) - behind, "", space))
        at = match.end()
        if not match[2]:
            break
    return found


def _name(cell: str) -> str:
    cell = cell.strip("`*~ ")
    link = re.fullmatch(r"\[([^\]]*)\]\([^)]*\)", cell)
    return (link[1] if link else cell).strip("`* ")


def _escaped(value: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(value.split()))
