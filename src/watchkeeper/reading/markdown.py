"""Markdown as sections of tables and text, each with its line: the blocks are markdown-it's, the
words are plain.

CommonMark with GitHub's tables. What stands in a fenced or indented block is an example, and is
left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from watchkeeper.core.errors import ExperimentError, Problem

_PIPE = re.compile(r"(?<!\\)\|")
_NUMBER = re.compile(r"^\d+(?:\.\d+)*[.)]?\s+")


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
    """The sections of a file.

    Raises:
        ExperimentError: it is not UTF-8; the message has the line.
    """
    from markdown_it import MarkdownIt  # 70 ms, which only those who keep a Markdown summary pay
    from markdown_it.token import Token

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        newlines = data.count(b"\n", 0, error.start)
        where = f"{path}:{newlines + 1}"
        problem = Problem(
            where=where, message="this is no text: it is not UTF-8", hint="save the file as UTF-8"
        )
        raise ExperimentError(f"{where}: {problem.message}", problems=(problem,)) from error
    parser = MarkdownIt("commonmark").enable("table")
    lines = re.sub(r"\r\n?", "\n", text).split("\n")

    def plain(words: str) -> str:
        """One line without its marks of emphasis, code and links."""
        children = [child for token in parser.parseInline(words) for child in token.children or ()]
        shown = ("text", "code_inline", "html_inline", "text_special", "image")
        return " ".join("".join(child.content for child in children if child.type in shown).split())

    tokens = iter(parser.parse(text))

    def row(opened: Token) -> Row:
        cells: list[str] = []
        for token in tokens:
            if token.type == "tr_close":
                break
            if token.type == "inline":
                cells.append(plain(token.content))
        line = (opened.map or [0])[0]
        if line < len(lines):
            source = lines[line].strip()
        else:
            source = ""
        written = len(_PIPE.findall(source.removeprefix("|").removesuffix("|"))) + 1
        return Row(line=line + 1, cells=tuple(cells), beyond=max(0, written - len(cells)))

    def table() -> Table:
        rows: list[Row] = []
        for token in tokens:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append(row(token))
        header = rows[0]
        return Table(
            line=header.line,
            header=header.cells,
            rows=tuple(one for one in rows[1:] if _is_row(one, header)),
        )

    sections = [Section(line=1, level=0, title="", titles=(), blocks=())]
    blocks: list[Table | Text] = []
    above: list[tuple[int, str]] = []
    heading = 0
    for token in tokens:
        if token.type == "table_open":
            blocks.append(table())
        elif token.type == "heading_open":
            heading = int(token.tag[1:])
        elif token.type == "inline":
            words = "\n".join(map(plain, token.content.split("\n")))
            line = (token.map or [0])[0] + 1
            if not heading:
                blocks.append(Text(line=line, text=words))
                continue
            sections[-1] = msgspec.structs.replace(sections[-1], blocks=tuple(blocks))
            blocks = []
            title = " ".join(words.split())
            above = [
                *((level, name) for level, name in above if level < heading),
                (heading, _title(title)),
            ]
            names = tuple(name for _, name in above)
            sections.append(Section(line=line, level=heading, title=title, titles=names, blocks=()))
            heading = 0
    sections[-1] = msgspec.structs.replace(sections[-1], blocks=tuple(blocks))
    return sections


def _is_row(row: Row, header: Row) -> bool:
    return row.cells != header.cells and not all(
        re.fullmatch(r":?-{2,}:?", cell) for cell in row.cells
    )


def _title(words: str) -> str:
    return _NUMBER.sub("", words).strip(" :").lower()


def below(sections: list[Section], *titles: str) -> Iterator[Section]:
    """The sections with one of these titles, and those below them."""
    return (section for section in sections if any(title in titles for title in section.titles))
