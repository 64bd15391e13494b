"""What a run log records, wherever it stands: fields, nested bullets, bold lines, tables, sections
of other names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.report.runlog.document import (
    Document,
    Field,
    Node,
    Section,
    Span,
    Verbatim,
    deep,
    name_of,
)

_ALIASES: dict[str, re.Pattern[str]] = {
    kind: lazy.pattern(words)
    for kind, words in {
        "mode": r"run (?:info|information|metadata)|meta(?:data)?|overview|about(?: this run)?",
        "config": r"set-?up|(?:key |training )?settings|hyper-?parameters"
        r"|(?:training )?config(?:uration)?s?|parameters|inputs?",
        "job": r"slurm(?: jobs?)?|submissions?|executions?|launch(?:es)?"
        r"|(?:slurm )?job (?:info|information|details)|attempts?",
        "status": r"progress|timeline|log|updates?|(?:status )?history|monitoring|events"
        r"|check-?ins?|run status|job status|state",
        "results": r"outcomes?|final (?:metrics|state|numbers)|results summary"
        r"|(?:training|evaluation|eval) results?|metrics|conclusions?|summary|findings|outputs?"
        r"|artifacts?",
        "wandb": r"(?:experiment )?tracking|logging|tensorboard|mlflow|(?:w&b|wandb) runs?",
        "huggingface": r"(?:model )?hub|upload(?:s|ed)?|publication|published",
        "next": (
            r"to-?dos?|follow-?ups?|what(?:'s| is)? next|plan|next (?:actions?|runs?)|action items"
            r"|future work"
        ),
    }.items()
}
_FURTHER_JOB = lazy.pattern(
    r"re-?submi(?:ssion|tted)\b.*|resum(?:e|ed|ption)\b.*|re-?(?:run|start|queue)(?:ed)?\b.*"
    r"|(?:second|third|fourth|fifth) (?:job|attempt|run)|attempt #?\d+.*|run #?\d+|continuation.*"
)
_ID = lazy.pattern(r"(?:execution|job|slurm(?:_job)?|instance)_?ids?|slurm_job|job|instance")
_RULE = lazy.pattern(r"[\s|:+-]+")
_NAMES = lazy.pattern(
    r"end\w*|state|status|runtime|elapsed|nodes?|start\w*|\w+_id|steps?|\w*loss|config|dataset|date"
    r"|submitted"
)
_GENERIC = frozenset(
    {
        "key",
        "field",
        "name",
        "property",
        "parameter",
        "setting",
        "item",
        "metric",
        "what",
        "attribute",
        "",
    }
)
_CELL = lazy.pattern(r"((?:\\.|[^|\\])*)(?:\||$)")


def head_of(section: Section) -> str:
    """A heading's words, without number, sign and parenthesis."""
    words = re.split(r" [—–-] |:|\(", section.heading.text, maxsplit=1)[0]
    bare = re.sub(r"^[^\w]*(?:\d{1,2}[.)]\s+)?[^\w&]*", "", words)
    return bare.strip().strip("*_`").casefold()


def sections(document: Document, kind: str) -> list[Section]:
    """The sections of a kind; where none bears its name, those with another word for it. Job blocks
    under a heading such as `Resubmission` count as well.
    """
    own = document.of(kind)
    unknown = [section for section in document.walk() if not section.kind]
    if kind == "job":
        own = _job_blocks(document, own, unknown)
    if own:
        return own
    return [section for section in unknown if _ALIASES[kind].fullmatch(head_of(section))]


def _job_blocks(
    document: Document, own: Iterable[Section], unknown: Iterable[Section]
) -> list[Section]:
    """The job blocks in the order of the text: those under a heading `Job` that are more than a
    frame around others, and those of a resubmission that name a job.
    """
    blocks = [section for section in own if _is_job_block(document, section)]
    inside = {id(below) for block in blocks for below in block.sections}
    for section in unknown:
        if id(section) not in inside and _is_further_job(document, section):
            blocks.append(section)
    return sorted(blocks, key=lambda block: block.heading.span.start)


def _is_job_block(document: Document, section: Section) -> bool:
    frames_others = any(below.kind == "job" for below in section.sections)
    return not frames_others or bool(facts(document, section))


def _is_further_job(document: Document, section: Section) -> bool:
    if not _FURTHER_JOB.fullmatch(head_of(section)):
        return False
    return _has_id(document, section)


def _has_id(document: Document, section: Section) -> bool:
    return any(_ID.fullmatch(field.name) for field in facts(document, section))


def facts(document: Document, section: Section) -> list[Field]:
    """All that a section records under a name: its outer fields, then those nested below bullets,
    then its tables.
    """
    fields = list(section.fields())
    for bullet in section.bullets():
        fields += _fields_in(bullet.children)
    for part in parts(section):
        fields += _recorded(document.text, part.nodes)
    return fields


def _fields_in(nodes: Iterable[Node]) -> list[Field]:
    """The fields among some nodes, at every depth."""
    return [node for node in deep(nodes) if isinstance(node, Field)]


def parts(section: Section) -> Iterator[Section]:
    """A section, and what stands under its own subheadings."""
    yield section
    for below in section.sections:
        if not below.kind:
            yield from parts(below)


def fact(document: Document, section: Section | None, *names: str) -> Field | None:
    """The first fact of one of these names, the earlier name winning."""
    if section is not None:
        return first(facts(document, section), *names)
    return None


def first(fields: Iterable[Field], *names: str) -> Field | None:
    """The first field of one of these names, the earlier name winning."""
    known = list(fields)
    for name in names:
        for field in known:
            if field.name == name:
                return field
    return None


def header(document: Document) -> list[Field]:
    """The fields that stand under the title, before any section: `**Date**: …`."""
    nodes = [*document.preamble, *document.nodes]
    return [*_fields_in(nodes), *_recorded(document.text, nodes)]


def every_field(document: Document) -> Iterator[Field]:
    """Each field of a log, whatever stands above it, and the rows of its tables."""
    yield from (node for node in document.all_nodes() if isinstance(node, Field))
    yield from _recorded(document.text, [*document.preamble, *document.nodes])
    for section in document.walk():
        yield from _recorded(document.text, section.nodes)


def prose(document: Document, section: Section) -> str:
    """A section's text without what it shows as code."""
    texts = []
    for part in parts(section):
        for node in deep(part.nodes):
            if not _is_code(node):
                texts.append(document.text[node.span.start : node.span.end])
    return "".join(texts)


def _is_code(node: Node) -> bool:
    return isinstance(node, Verbatim) and node.kind in ("code", "comment")


# ── tables


class Cell(msgspec.Struct, frozen=True):
    """One cell: its text without the space around it, and its place."""

    text: str
    span: Span


class Table(msgspec.Struct, frozen=True):
    """A table: the words above its rule ([] where it has none), and its rows."""

    head: list[Cell]
    rows: list[list[Cell]]

    @property
    def columns(self) -> list[str]:
        """The head's words as names."""
        return [name_of(cell.text.strip("`* ")) for cell in self.head]


def tables(text: str, nodes: Iterable[Node]) -> Iterator[Table]:
    """The tables among some nodes."""
    rows: list[list[Cell]] = []
    for node in deep(nodes):
        if isinstance(node, Verbatim) and node.kind == "table":
            rows.append(cells_of(text, node.span))
            continue
        yield from _table(rows)
        rows = []
    yield from _table(rows)


def _table(rows: list[list[Cell]]) -> Iterator[Table]:
    ruled = len(rows) > 1 and rows[1] and all(_RULE.fullmatch(cell.text) for cell in rows[1])
    if ruled:
        yield Table(rows[0], rows[2:])
    elif rows:
        yield Table([], rows)


def cells_of(text: str, span: Span) -> list[Cell]:
    """The cells of one line of a table."""
    line = text[span.start : span.end].rstrip("\r\n")
    at = len(line) - len(line.lstrip(" \t"))
    if line[at : at + 1] == "|":
        at += 1
    cells: list[Cell] = []
    while at < len(line):
        match = _CELL.match(line, at)
        if match is None or match.end() == at:
            break
        is_inner = match.end() < len(line) or line.endswith("|")
        if match[1].strip() or is_inner:
            cells.append(_cell(match[1], span, at))
        at = match.end()
    return cells


def _cell(raw: str, line: Span, at: int) -> Cell:
    """A cell from the text between two bars, which begins at the offset `at` of its line."""
    words = raw.strip()
    start = line.start + at
    if words:
        start += len(raw) - len(raw.lstrip())
    return Cell(words, Span(start, start + len(words), line.line, start - line.start + 1))


def _recorded(text: str, nodes: Iterable[Node]) -> Iterator[Field]:
    """What tables record: `| key | value |` row by row, or one row below a head of keys."""
    for table in tables(text, nodes):
        if _is_of_pairs(table):
            for row in _pairs_of(table):
                yield _field(row[0], row[1])
        elif len(table.rows) == 1 or _lists_jobs(table):
            # of several jobs the last row is the newest
            yield from _fields_of_row(table, table.rows[-1])


def _is_of_pairs(table: Table) -> bool:
    """Whether a table has a key and a value in each row, and is not one row below two keys."""
    if table.head:
        is_one_row = len(table.rows) == 1 and len(table.head) > 1
        if is_one_row and _NAMES.fullmatch(table.columns[1]):
            return False
        return len(table.head) == 2
    return bool(table.rows) and len(table.rows[0]) == 2


def _pairs_of(table: Table) -> Iterator[list[Cell]]:
    """The rows of a key and a value. A head such as `key` is none of them."""
    rows = table.rows
    if table.head and table.columns[0] not in _GENERIC:
        rows = [table.head, *rows]
    return (row for row in rows if len(row) == 2)


def _fields_of_row(table: Table, row: list[Cell]) -> list[Field]:
    """One row, as fields under the names of the head."""
    return [_field(key, value) for key, value in zip(table.head, row, strict=False)]


def _lists_jobs(table: Table) -> bool:
    return bool(table.rows) and any(_ID.fullmatch(name) for name in table.columns)


def jobs_in(document: Document, section: Section) -> list[list[Field]]:
    """The jobs that a section lists in a table, one a row: what is recorded of each."""
    jobs = []
    for part in parts(section):
        for table in tables(document.text, part.nodes):
            if _lists_jobs(table):
                jobs += [_fields_of_row(table, row) for row in table.rows]
    return jobs


def _field(key: Cell, value: Cell) -> Field:
    bare = value.text.strip("`")
    quoted = bare != value.text
    words = key.text.strip("`* :")
    return Field(value.span, 0, words, name_of(words), bare, value.span, value.span, quoted, [])
