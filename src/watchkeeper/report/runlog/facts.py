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
    """A heading's words in lower case, without number, sign and parenthesis: `job` of `3. Job
    (resumed) — on the big node`, `status` of `📈 **Status**: completed`.
    """
    words = re.split(r" [—–-] |:|\(", section.heading.text, maxsplit=1)[0]
    bare = re.sub(r"^[^\w]*(?:\d{1,2}[.)]\s+)?[^\w&]*", "", words)
    return bare.strip().strip("*_`").casefold()


def sections(document: Document, kind: str) -> list[Section]:
    """The sections of a kind, in the order of the text.

    Where none bears the kind's name, those with another word for it count: `## Progress` for
    `status`. Job blocks under a heading such as `## Resubmission` count beside those under `##
    Job`. `kind` is one of `Section.kind`; a kind that the page lacks gives an empty list.
    """
    own = document.of(kind)
    unknown = [section for section in document.walk() if not section.kind]
    if kind == "job":
        own = _job_blocks(document, own, unknown)
    if own:
        return own
    aliases = _ALIASES[kind]
    alike = []
    for section in unknown:
        if aliases.fullmatch(head_of(section)):
            alike.append(section)
    return alike


def _job_blocks(
    document: Document, own: Iterable[Section], unknown: Iterable[Section]
) -> list[Section]:
    """The job blocks in the order of the text: those under a heading `Job` that are more than a
    frame around others, and those of a resubmission that name a job.

        ## Jobs              a frame: it only holds the next two
        ### Job 70412        a block
        ### Job 70455        a block
        ## Resubmission      a block, if `- job_id: 70460` stands below it
    """
    blocks = [section for section in own if _is_job_block(document, section)]
    inside: set[int] = set()
    for block in blocks:
        # `### Requeued` below a block is part of that block
        inside.update(id(below) for below in block.sections)
    for section in unknown:
        if id(section) in inside:
            continue
        if _is_further_job(document, section):
            blocks.append(section)
    return sorted(blocks, key=lambda block: block.heading.span.start)


def _is_job_block(document: Document, section: Section) -> bool:
    """Whether a section under `## Job` is a block: it records something, or holds no other job.

    `## Jobs` above `### Job 70412` is only a frame, unless fields stand directly below it.
    """
    frames_others = any(below.kind == "job" for below in section.sections)
    if not frames_others:
        return True
    return bool(facts(document, section))


def _is_further_job(document: Document, section: Section) -> bool:
    """Whether a section is the block of another submission: `## Resumed from step 400`, with an
    id below it. Without an id it may be no more than a remark.
    """
    head = head_of(section)
    return _FURTHER_JOB.fullmatch(head) is not None and _has_id(document, section)


def _has_id(document: Document, section: Section) -> bool:
    """Whether a section records a job's id: `- job_id: 70412`, or a table with such a row or
    column.
    """
    return any(_ID.fullmatch(field.name) for field in facts(document, section))


def facts(document: Document, section: Section) -> list[Field]:
    """All that a section records under a name: its outer fields, then those nested below bullets,
    then its tables. What stands under subheadings of no kind of their own is included.

        ## Job
        - execution_id: 12         `execution_id`
        - settings:                `settings`, with an empty value
          - lr: 1e-3               `lr`, behind all outer ones
        | node | gpu-07 |          `node`, last
    """
    fields = list(section.fields())
    for bullet in section.bullets():
        fields += _fields_in(bullet.children)
    for part in parts(section):
        fields += _recorded(document.text, part.nodes)
    return fields


def _fields_in(nodes: Iterable[Node]) -> list[Field]:
    """The fields among some nodes, at every depth, in the order of the text.

    Bullets without a key, dated lines and tables are passed over, but not what stands below them.
    """
    return [node for node in deep(nodes) if isinstance(node, Field)]


def parts(section: Section) -> Iterator[Section]:
    """A section, and what stands under its own subheadings, at every depth.

    A subheading of a known kind, `### Job` below `## Jobs`, begins a section of its own, and is
    left out with all below it.
    """
    yield section
    for below in section.sections:
        if not below.kind:
            yield from parts(below)


def fact(document: Document, section: Section | None, *names: str) -> Field | None:
    """The first fact of one of these names, the earlier name winning.

    `names` are in the form of `document.name_of`: `run_type`. Works out the section's facts each
    time; `Log.fact` keeps them. None: there is no section, or it has none of them.
    """
    if section is None:
        return None
    return first(facts(document, section), *names)


def first(fields: Iterable[Field], *names: str) -> Field | None:
    """The first field of one of these names, the earlier name winning. None: there is none.

    Of `- job: 2` and `- execution_id: 12`, `first(fields, "execution_id", "job")` is the second.
    """
    known = list(fields)
    for name in names:
        for field in known:
            if field.name == name:
                return field
    return None


def header(document: Document) -> list[Field]:
    """The fields that stand under the title, before any section, `**Date**: 2026-03-11`, and above
    the title. Tables there count as well.
    """
    nodes = [*document.preamble, *document.nodes]
    return [*_fields_in(nodes), *_recorded(document.text, nodes)]


def every_field(document: Document) -> Iterator[Field]:
    """Each field of a log, whatever stands above it, then the rows of its tables.

    Not in the order of the text: first all bullets and bold lines, then the tables of the page's
    head, then those of each section.
    """
    for node in document.all_nodes():
        if isinstance(node, Field):
            yield node
    yield from _recorded(document.text, [*document.preamble, *document.nodes])
    for section in document.walk():
        yield from _recorded(document.text, section.nodes)


def prose(document: Document, section: Section) -> str:
    """A section's text without what it shows as code, and without comments.

    The heading is not part of it, fields and tables are. Subheadings of no kind of their own are
    left out, and the text below them counts.
    """
    texts = []
    for part in parts(section):
        for node in deep(part.nodes):
            if not _is_code(node):
                texts.append(document.text[node.span.start : node.span.end])
    return "".join(texts)


def _is_code(node: Node) -> bool:
    """Whether a node is a block of code or a comment, whose words are not the log's own."""
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
        """The head's words as names: `train_loss` of `| **Train loss** |`. Empty: it has no
        head.
        """
        return [name_of(cell.text.strip("`* ")) for cell in self.head]


def tables(text: str, nodes: Iterable[Node]) -> Iterator[Table]:
    """The tables among some nodes, at every depth. Rows that follow one another are one table.

    | epoch | loss |      the head
    | ----- | ---- |      the rule
    | 0     | 1.99 |      a row
    """
    rows: list[list[Cell]] = []
    for node in deep(nodes):
        if isinstance(node, Verbatim) and node.kind == "table":
            rows.append(cells_of(text, node.span))
            continue
        yield from _table(rows)
        rows = []
    yield from _table(rows)


def _table(rows: list[list[Cell]]) -> Iterator[Table]:
    """Yield the table that these lines are; no rows are none.

    With a rule as its second line, the first is the head, and the rule is no row. Without one it
    has no head, as people who paste figures forget it.
    """
    if not rows:
        return
    has_rule = len(rows) > 1 and rows[1] and all(_RULE.fullmatch(cell.text) for cell in rows[1])
    if has_rule:
        yield Table(rows[0], rows[2:])
    else:
        yield Table([], rows)


def cells_of(text: str, span: Span) -> list[Cell]:
    r"""The cells of one line of a table: of `| a | b \| c | |` these are `a`, `b \| c` and an empty
    one.

    `span` is the line in `text`. The bars at both ends may be missing, and `\|` is no bar.
    """
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
    """A cell from the text between two bars, which begins at the offset `at` of its line.

    Its span is that of the words alone; of an empty cell a place of no length behind the bar.
    """
    words = raw.strip()
    start = line.start + at
    if words:
        start += len(raw) - len(raw.lstrip())
    return Cell(words, Span(start, start + len(words), line.line, start - line.start + 1))


def _recorded(text: str, nodes: Iterable[Node]) -> Iterator[Field]:
    """What tables record: `| key | value |` row by row, or one row below a head of keys.

        | key     | value  |        | job_id | node   | state  |
        | ------- | ------ |        | ------ | ------ | ------ |
        | node    | gpu-07 |        | 70412  | gpu-07 | FAILED |
        | runtime | 3 h    |        | 70455  | gpu-09 | DONE   |

    The left one records `node` and `runtime`, the right one what its last row says. A table with
    many rows and columns that lists no jobs, such as losses by epoch, records nothing.
    """
    for table in tables(text, nodes):
        if _is_of_pairs(table):
            for row in _pairs_of(table):
                yield _field(row[0], row[1])
        elif len(table.rows) == 1 or _lists_jobs(table):
            # of several jobs the last row is the newest
            yield from _fields_of_row(table, table.rows[-1])


def _is_of_pairs(table: Table) -> bool:
    """Whether a table has a key and a value in each row, and is not one row below two keys.

        | node | gpu-07 |        pairs, with or without a rule below the first
        | end  | 15:00  |

    `| state | end |` above a single row is such a head of two keys: its second word is the name of
    a field.
    """
    if not table.head:
        return bool(table.rows) and len(table.rows[0]) == 2
    is_one_row = len(table.rows) == 1 and len(table.head) > 1
    if is_one_row and _NAMES.fullmatch(table.columns[1]):
        return False
    return len(table.head) == 2


def _pairs_of(table: Table) -> Iterator[list[Cell]]:
    """The rows of a key and a value.

    A head such as `| key | value |` is none of them; `| node | gpu-07 |` above the rule is one.
    Rows of more or fewer cells are left out.
    """
    rows = table.rows
    if table.head and table.columns[0] not in _GENERIC:
        rows = [table.head, *rows]
    for row in rows:
        if len(row) == 2:
            yield row


def _fields_of_row(table: Table, row: list[Cell]) -> list[Field]:
    """One row, as fields under the names of the head. A row that is too short gives fewer."""
    return [_field(key, value) for key, value in zip(table.head, row, strict=False)]


def _lists_jobs(table: Table) -> bool:
    """Whether a table has a row for each job: one of its columns is of ids.

    `| job_id | node | state |` has one; `| epoch | loss |` has none.
    """
    return bool(table.rows) and any(_ID.fullmatch(name) for name in table.columns)


def jobs_in(document: Document, section: Section) -> list[list[Field]]:
    """The jobs that a section lists in a table, one a row: what is recorded of each.

    `| 70412 | gpu-07 | FAILED |` below `| job_id | node | state |` is the three fields of one job.
    Empty: the section has no table with a column of ids. Then it is itself the block of one job.
    """
    jobs = []
    for part in parts(section):
        for table in tables(document.text, part.nodes):
            if not _lists_jobs(table):
                continue
            for row in table.rows:
                jobs.append(_fields_of_row(table, row))
    return jobs


def _field(key: Cell, value: Cell) -> Field:
    """A field from two cells of a table: `| **Node** | `gpu-07` |` gives `node`: `gpu-07`."""
    bare = value.text.strip("`")
    quoted = bare != value.text
    words = key.text.strip("`* :")
    return Field(value.span, 0, words, name_of(words), bare, value.span, value.span, quoted, [])
