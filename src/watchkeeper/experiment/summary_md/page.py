"""The page: its sections, tables and `key: value` lines, and the faults met in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from watchkeeper.core.errors import Problem, Severity
from watchkeeper.core.text import lazy
from watchkeeper.experiment.faults import Faults
from watchkeeper.reading import markdown
from watchkeeper.reading.markdown import Row, Section, Table, Text

RUN = ("run name", "run", "runs", "name")
TYPE = ("type", "run type")
EPOCHS = ("epochs", "epoch")
NOTHING = frozenset({"", "-", "–", "—", "n/a", "na", "none"})
MOST_EPOCHS = 10_000

_PAIR = lazy.pattern(r"\s*(?P<key>[^:=\n]{1,60}?)\s*[:=]\s*(?P<value>[^\n]*?)\s*")


class Page:
    """A summary's page while it is read."""

    def __init__(self, path: Path, sections: list[Section]) -> None:
        self.path = path
        self.sections = sections
        self.faults = Faults()

    def where(self, line: int) -> str:
        """`path:line`; lines count from 1."""
        return f"{self.path}:{line}"

    def blame(
        self,
        line: int,
        message: str,
        hint: str = "",
        *,
        severity: Severity = "error",
        is_fatal: bool = False,
    ) -> None:
        """Keep a fault; `is_fatal`: nothing can be planned because of it."""
        problem = Problem(
            where=self.where(line),
            message=message,
            hint=hint,
            severity=severity,
            code="bad-summary",
        )
        self.faults.keep(problem, is_fatal=is_fatal)

    def below(self, *titles: str) -> list[Section]:
        """The sections with one of these titles, and those below them."""
        return list(markdown.below(self.sections, *titles))

    def column(self, table: Table, names: Sequence[str], what: str) -> int | None:
        """The column of the first of these names that the header has, from 0; None: it has none.
        Two columns of that name are ambiguous: nothing is planned. `what` names the table in the
        message.
        """
        header = keys_of(table)
        for name in names:
            if header.count(name) > 1:
                message = f"{what}: two columns are named {name!r}"
                self.blame(table.line, message, "rename one of them", is_fatal=True)
            if name in header:
                return header.index(name)
        return None

    def rows(self, table: Table, what: str) -> Iterator[Row]:
        """The rows of a table that are not empty. A row with cells beyond its last column is a
        fault, and is left out; `what` names the table.
        """
        for row in table.rows:
            width = len(row.cells)
            if row.beyond:
                message = f"{what}: the row has {width + row.beyond} cells, and the header {width}"
                self.blame(row.line, message, "write a | inside a cell as \\|")
            elif any(row.cells):
                yield row

    def values(self, sections: Iterable[Section], *keys: str) -> Iterator[tuple[int, str]]:
        """(line, value) of each `key: value` in these sections whose key is one of these, as
        `key_of` writes it.
        """
        for line, key, value in _pairs(sections):
            if key_of(key) in keys:
                yield line, value

    def settings(self, titles: Sequence[str], without: Sequence[str] = ()) -> str:
        """`Epochs 2, Batch size 4`: all settings below these titles, as they are written."""
        settings: list[str] = []
        for _, key, value in _pairs(self.below(*titles)):
            name = " ".join(key.split()).strip(" :*_`")
            is_given = bool(name) and key_of(value) not in NOTHING
            if is_given and key_of(name) not in without:
                settings.append(f"{name} {value}")
        return ", ".join(settings)

    def text(self, section: str, *keys: str) -> str:
        """The value of the first of these keys in a section, "": there is none, or it is a dash or
        `n/a`.
        """
        _, value = next(self.values(self.below(section), *keys), (0, ""))
        if key_of(value) in NOTHING:
            return ""
        return value


def _pairs(sections: Iterable[Section]) -> Iterator[tuple[int, str, str]]:
    """(line, key, value) of each `key: value` in these sections, in their text and in tables of two
    columns. `Batch size = 4` is one, too.
    """
    for section in sections:
        for block in section.blocks:
            for line, text in _lines_of(block):
                match = _PAIR.fullmatch(text)
                if match is not None:
                    yield line, match["key"], match["value"]


def _lines_of(block: Table | Text) -> Iterator[tuple[int, str]]:
    """The lines of a paragraph, or of a table as `first cell: second cell`, with their numbers."""
    if isinstance(block, Text):
        yield from enumerate(block.text.split("\n"), block.line)
        return
    for row in block.rows:
        yield row.line, ": ".join(row.cells[:2])


def tables_of(sections: Iterable[Section]) -> Iterator[Table]:
    """The tables of these sections, without those of states that other tools append."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Table) and not _is_of_states(block):
                yield block


def texts_of(sections: Iterable[Section]) -> Iterator[Text]:
    """The paragraphs of these sections."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Text):
                yield block


def _is_of_states(table: Table) -> bool:
    """Whether it shows the states of jobs: it has a column `Job ID`, or a `Status` and no column
    that plans.
    """
    header = set(keys_of(table))
    if "job id" in header:
        return True
    return "status" in header and not header & {*TYPE, "script"}


def keys_of(table: Table) -> list[str]:
    """The names of a table's columns, as `key_of` writes them."""
    return [key_of(cell) for cell in table.header]


def key_of(text: str) -> str:
    """The name of a column or field: lower case, without marks at its ends.

    `**Run Name:**` is `run name`.
    """
    return " ".join(text.lower().split()).strip(" :*_`")


def count_of(text: str) -> int | None:
    """A number of epochs, which words in brackets may follow; None: it is not a count, as 0 is not.

    `2 epochs (0 and 1)` is 2.
    """
    match = re.fullmatch(r"(\d{1,5})(?:\s*epochs?)?(?:\s*\(.*\))?", text.strip())
    if match and 1 <= int(match[1]) <= MOST_EPOCHS:
        return int(match[1])
    return None
