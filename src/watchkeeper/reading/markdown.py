"""Markdown as sections of tables and text, each with its line: the blocks are markdown-it's, the
words are plain.

CommonMark with GitHub's tables. What stands in a fenced or indented block is an example, and is
left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.core.text import lazy

if TYPE_CHECKING:
    from markdown_it.token import Token

_PIPE = lazy.pattern(r"(?<!\\)\|")
_SHOWN = ("text", "code_inline", "html_inline", "text_special", "image")
_NUMBER = lazy.pattern(r"^\d+(?:\.\d+)*[.)]?\s+")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a table: its cells as plain text, as many as the header has. `beyond` is how many
    more were written.
    """

    line: int
    cells: tuple[str, ...]
    beyond: int = 0


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table; `line` is its header's. Rows that repeat the header, or the rule below it, are left
    out.
    """

    line: int
    header: tuple[str, ...]
    rows: tuple[Row, ...]


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A paragraph, or one in a list's item: plain text, its lines joined by newlines, the first at
    `line`.
    """

    line: int
    text: str


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """What stands below one heading and before the next of any level. `titles` are its own and
    those above it, outermost first, each without its number, in lower case; `title` is as written.
    The first section may have none.
    """

    line: int
    level: int
    title: str
    titles: tuple[str, ...]
    blocks: tuple[Table | Text, ...]


def read(path: Path, data: bytes) -> list[Section]:
    """The sections of a file, in their order; the first is what stands before any heading.

        # Plan
        Four runs.
        ## 2. Runs
        | run | lr |
        |-----|----|
        | r8  | 1e-3 |

    gives three: one without a heading or blocks, `Plan` with a text, and `2. Runs` with a table and
    the titles `("plan", "runs")`.

    Raises:
        ExperimentError: it is not UTF-8; the message has the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        newlines = data.count(b"\n", 0, error.start)
        where = f"{path}:{newlines + 1}"
        problem = Problem(
            where=where,
            message="this is not text: it is not UTF-8",
            hint="save the file as UTF-8",
            code="bad-file",
        )
        raise ExperimentError(f"{where}: {problem.message}", problems=(problem,)) from error
    return _Reader(text).sections()


class _Reader:
    """Reads the tokens of one text."""

    def __init__(self, text: str) -> None:
        from markdown_it import MarkdownIt  # 70 ms, only for those who keep a Markdown summary

        self._parser = MarkdownIt("commonmark").enable("table")
        self._lines = re.sub(r"\r\n?", "\n", text).split("\n")
        self._tokens = iter(self._parser.parse(text))

    def sections(self) -> list[Section]:
        """The text's sections, the first without a heading."""
        sections = [Section(line=1, level=0, title="", titles=(), blocks=())]
        blocks: list[Table | Text] = []
        level = 0  # of the heading that is open, 0: none is
        for token in self._tokens:
            if token.type == "table_open":
                blocks.append(self._table())
            elif token.type == "heading_open":
                level = int(token.tag[1:])
            elif token.type == "inline" and not level:
                text = self._plain_lines(token)
                blocks.append(Text(line=_line_of(token), text=text))
            elif token.type == "inline":
                sections[-1] = msgspec.structs.replace(sections[-1], blocks=tuple(blocks))
                blocks = []
                title = " ".join(self._plain_lines(token).split())
                sections.append(_section(sections, level, title, _line_of(token)))
                level = 0
        sections[-1] = msgspec.structs.replace(sections[-1], blocks=tuple(blocks))
        return sections

    def _table(self) -> Table:
        """The table that has just been opened; takes its tokens from those that are left.

        A rule or a header in the middle, as where two tables were pasted together, is no row.
        """
        rows: list[Row] = []
        for token in self._tokens:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append(self._row(token))
        header, *others = rows
        body = tuple(row for row in others if _is_row(row, header))
        return Table(line=header.line, header=header.cells, rows=body)

    def _row(self, opened: Token) -> Row:
        """The row that has just been opened."""
        cells: list[str] = []
        for token in self._tokens:
            if token.type == "tr_close":
                break
            if token.type == "inline":
                cells.append(self._plain(token.content))
        line = _line_of(opened)
        source = ""
        if line <= len(self._lines):
            source = self._lines[line - 1].strip()
        written = len(_PIPE.findall(source.removeprefix("|").removesuffix("|"))) + 1
        return Row(line=line, cells=tuple(cells), beyond=max(0, written - len(cells)))

    def _plain_lines(self, token: Token) -> str:
        """Lines without their marks of emphasis, code and links, each by itself."""
        return "\n".join(map(self._plain, token.content.split("\n")))

    def _plain(self, text: str) -> str:
        """One line without its marks of emphasis, code and links: `the **best** `r8`` is `the best
        r8`.

        Spaces in a row become one.
        """
        pieces: list[str] = []
        for token in self._parser.parseInline(text):
            for child in token.children or ():
                if child.type in _SHOWN:
                    pieces.append(child.content)
        return " ".join("".join(pieces).split())


def _line_of(token: Token) -> int:
    """The line that a token begins on, counted from 1. 1: the token has no place."""
    return (token.map or [0])[0] + 1


def _section(sections: Sequence[Section], level: int, title: str, line: int) -> Section:
    """The section of a heading, below those of the `sections` before it that are still open."""
    titles = [_title(title)]
    lowest = level
    for above in reversed(sections):
        if 0 < above.level < lowest:
            titles.insert(0, _title(above.title))
            lowest = above.level
    return Section(line=line, level=level, title=title, titles=tuple(titles), blocks=())


def _is_row(row: Row, header: Row) -> bool:
    """Whether a row is neither the header again nor another rule, as pasted tables have them."""
    if row.cells == header.cells:
        return False
    is_rule = all(re.fullmatch(r":?-{2,}:?", cell) for cell in row.cells)
    return not is_rule


def _title(words: str) -> str:
    """A heading's words to compare: `runs` of `2.1 Runs:`."""
    return _NUMBER.sub("", words).strip(" :").lower()


def below(sections: list[Section], *titles: str) -> Iterator[Section]:
    """The sections with one of these titles, and those below them, in their order. `titles` are in
    lower case and without a number: `runs` for `## 2. Runs`.
    """
    for section in sections:
        if not set(titles).isdisjoint(section.titles):
            yield section
