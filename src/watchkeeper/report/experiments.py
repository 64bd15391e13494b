"""`experiments.md`: the table that compares the runs, whose verdicts and notes are people's.

| run | description | val_loss | status | notes |
|-----|-------------|----------|--------|-------|
| [train_baseline_2026-03-11](arm/2026-03-11_train_baseline.md) | front cam, default LR | 0.028 | keep | baseline |

The machine adds a row for each run, and brings up the cells that hold nothing, or what it wrote before. Format source: the
run-log document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from watchkeeper.report.runlog import Edit, apply, lines

HEAD = ("run", "description", "val_loss", "status", "notes")
_RUN = ("run", "run log", "log", "name")
_OPEN = re.compile(r"(?:pending|tbd|-|—|\?)?", re.IGNORECASE)
_CELL = re.compile(r"((?:\\.|[^|\\]|\\$)*)(\||$)", re.DOTALL)  # as GitHub reads it: in code a bar counts too
_TITLE = "# Experiments\n"


class Row(msgspec.Struct, frozen=True):
    """One row that is there: its line, the run it names, and its cells by column."""

    line: int
    run: str
    cells: Mapping[str, str] = {}


class Entry(msgspec.Struct, frozen=True):
    """What the machine knows of a run: its name `<task>_<date>`, its log's path from the table, its cells by column."""

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

    def cell(self, column: str) -> _Cell | None:
        at = self.header.index(column) if column in self.header else -1
        return self.cells[at] if 0 <= at < len(self.cells) else None


def parse_experiments(text: str) -> list[Row]:
    """The rows of the tables whose first column is headed `run`."""
    return [
        Row(
            line.number, _name(line.cells[0].text), dict(zip(line.header, (cell.text for cell in line.cells), strict=False))
        )
        for line in _rows(text)
    ]


def with_rows(
    text: str, entries: Sequence[Entry], written: Mapping[str, Mapping[str, set[str]]]
) -> tuple[str, dict[str, dict[str, str]]]:
    """The table with these runs in it, and what was written: run → column → value.

    `written`: run → column → every value that the machine gave it before. A cell that a person has filled stays, and so
    does the absence of a row that a person took out.
    """
    there = {line_name: line for line in _rows(text) if (line_name := _name(line.cells[0].text))}
    edits: list[Edit] = []
    new: list[str] = []
    made: dict[str, dict[str, str]] = {}
    header = _header(text)
    for entry in entries:
        before = written.get(entry.run, {})
        line = there.get(entry.run)
        if line is None:
            if "run" not in before:
                cells = {"run": f"[{entry.run}]({entry.link})", **entry.cells}
                new.append("| " + " | ".join(_escaped(cells.get(column, "")) for column in header or HEAD) + " |")
                made[entry.run] = {"run": entry.run, **entry.cells}
            continue
        told = {} if "run" in before else {"run": entry.run}
        for column, value in entry.cells.items():
            cell = line.cell(column)
            if cell is None or value in ("", cell.text):
                continue
            if _OPEN.fullmatch(cell.text) or cell.text in before.get(column, set()):
                edits.append(Edit(cell.start, cell.end, cell.around[0] + _escaped(value) + cell.around[1]))
                told[column] = value
        if told:
            made[entry.run] = told
    return _with_new(apply(text, edits), new), made


def _with_new(text: str, new: list[str]) -> str:
    if not new:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    rows = list(_rows(text))
    at = rows[-1].end if rows else _header_end(text)
    if at is None:
        head = ["| " + " | ".join(HEAD) + " |", "|" + "|".join("-" * (len(column) + 2) for column in HEAD) + "|"]
        if not text.strip():
            return "\n".join([_TITLE, *head, *new]) + "\n"
        gap = "" if text.endswith("\n") else newline
        return text + gap + newline + newline.join([*head, *new]) + newline
    body = newline.join(new)
    return text[:at] + (body + newline if text[:at].endswith("\n") else newline + body) + text[at:]


def _rows(text: str) -> Iterator[_Line]:
    for line in _table_lines(text):
        if line.cells and line.cells[0].text and not set(line.cells[0].text) <= set("-: "):
            yield line


def _header(text: str) -> list[str] | None:
    return next((line.header for line in _table_lines(text)), None)


def _header_end(text: str) -> int | None:
    """Where the first rows of a table without any go: behind its ruled line."""
    return next((line.end for line in _table_lines(text)), None)


def _table_lines(text: str) -> Iterator[_Line]:
    """The lines below the header of each table whose first column is headed `run`."""
    header: list[str] | None = None
    for line in lines(text):
        content = text[line.start : line.stop]
        if not content.lstrip().startswith("|"):
            header = None
            continue
        cells = _cells(content, line.start)
        if header is None:
            header = [cell.text.strip("`*").casefold() for cell in cells]
        elif header and header[0] in _RUN:
            yield _Line(line.number, line.end, ["run", *header[1:]], cells)


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
    cell = cell.strip("`*")
    link = re.fullmatch(r"\[([^\]]*)\]\([^)]*\)", cell)
    return (link[1] if link else cell).strip("`")


def _escaped(value: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(value.split()))
