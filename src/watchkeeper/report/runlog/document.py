"""Run logs in Markdown, read without loss: `run_logs/[group/]<date>_<task>.md`, and every dialect
of it.

    # <task> — <short description>
    ## Mode | Config | Job | Job (resumed) | Status | Results | W&B | HuggingFace | Next
    - key: value        - key: `value` (a note)       - **Key:** value       **Key**: value
    - 2026-03-11 15:00 — running, step 2400, train_loss 0.085

A document is a tree whose pieces tile the text: printing them back is the identity for any text.
Each piece knows its place, so that a writer can splice one field and leave every other byte to its
owner. Lines end at a newline, as `grep -n` counts them. What is not understood (prose, tables,
code, comments) is kept as it stands. Format source: the run-log document; setext headings
(underlined) are read as prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec

from watchkeeper.core.text import lazy


class Span(msgspec.Struct, frozen=True, gc=False):
    """A part of the text: offsets in characters, and where it begins (line and column, from 1)."""

    start: int
    end: int
    line: int
    column: int


class Edit(msgspec.Struct, frozen=True, order=True):
    """Put `text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


class Verbatim(msgspec.Struct, frozen=True, gc=False):
    """Lines that are kept as they stand: `blank`, `text`, `table`, `code` or `comment`."""

    span: Span
    kind: str
    closed: bool = True
    """False for a code block or comment that runs to the end of the text."""


class Field(msgspec.Struct, frozen=True):
    """`- key: value`. `name` is the key in a dialect-free form: `submitted_start` for
    `**Submitted/start**`.

    `value` is without the backticks around it and without the note in parentheses behind them;
    `value_span` is what a new value takes the place of, backticks included.
    """

    span: Span
    indent: int
    key: str
    name: str
    value: str
    value_span: Span
    raw_span: Span
    quoted: bool
    children: list[Node]


class StatusLine(msgspec.Struct, frozen=True):
    """`- 2026-03-11 15:00 — text`: `time` is the part before the separator. Undated bullets below
    it are its children.
    """

    span: Span
    indent: int
    time: str
    text: str
    text_span: Span
    children: list[Node]


class Item(msgspec.Struct, frozen=True):
    """A bullet that is neither a field nor dated."""

    span: Span
    indent: int
    text: str
    text_span: Span
    children: list[Node]


Node = Verbatim | Field | StatusLine | Item
Bullet = Field | StatusLine | Item


class Heading(msgspec.Struct, frozen=True, gc=False):
    """`## Job (resumed)`."""

    span: Span
    level: int
    text: str
    text_span: Span


class Section(msgspec.Struct, frozen=True):
    """A heading and what stands under it.

    `kind` is one of mode, config, job, status, results, wandb, huggingface, next; "" for any other
    heading. `qualifier` is what a heading says in parentheses: `resumed`.
    """

    heading: Heading
    kind: str
    qualifier: str
    nodes: list[Node]
    sections: list[Section]

    def bullets(self) -> Iterator[Bullet]:
        """The outer bullets and bold lines, those under unknown subheadings included, in the order
        of the text. What is nested below a bullet is among its children.
        """
        for node in self.nodes:
            if not isinstance(node, Verbatim):
                yield node
        for section in self.sections:
            if not section.kind:
                yield from section.bullets()

    def fields(self) -> Iterator[Field]:
        """The outer fields, in the order of the text: bullets and bold lines with a key."""
        return (node for node in self.bullets() if isinstance(node, Field))

    def field(self, *names: str) -> Field | None:
        """The first field of one of these names, the earlier name winning. None: there is none.

        `names` are in the form of `name_of`: `execution_id`.
        """
        fields = list(self.fields())
        for name in names:
            for field in fields:
                if field.name == name:
                    return field
        return None


class Document(msgspec.Struct, frozen=True):
    """A run log: what stands before the title, the title, what is under it, the sections."""

    text: str
    preamble: list[Node]
    title: Heading | None
    nodes: list[Node]
    sections: list[Section]

    def walk(self) -> Iterator[Section]:
        """Every section, in the order of the text."""
        return _walk(self.sections)

    def of(self, kind: str) -> list[Section]:
        """The sections of a kind, in the order of the text, at every level. Empty: there is none;
        "" for `kind`: those of no kind.
        """
        return [section for section in self.walk() if section.kind == kind]

    def all_nodes(self) -> Iterator[Node]:
        """Every node at every depth, in the order of the text."""
        yield from deep(self.preamble)
        yield from deep(self.nodes)
        for section in self.walk():
            yield from deep(section.nodes)

    def pieces(self) -> Iterator[Span]:
        """The spans that tile the text: one after the other they are all of it, none overlapping
        another.
        """
        for node in deep(self.preamble):
            yield node.span
        if self.title:
            yield self.title.span
        for node in deep(self.nodes):
            yield node.span
        for section in self.walk():
            yield section.heading.span
            for node in deep(section.nodes):
                yield node.span

    def print_back(self) -> str:
        """The text, from its pieces: equal to `text`, for any text. Tests hold it."""
        return "".join(self.text[span.start : span.end] for span in self.pieces())

    def slice(self, section: Section) -> str:
        """The text of a section: its heading, what stands below it, and the headings below it with
        theirs.
        """
        end = section.heading.span.end
        for part in (section, *_walk(section.sections)):
            end = part.heading.span.end
            for node in deep(part.nodes):
                end = node.span.end
        return self.text[section.heading.span.start : end]


def _walk(sections: list[Section]) -> Iterator[Section]:
    """Sections and all below them, in the order of the text. A heading has at most six levels."""
    for section in sections:
        yield section
        yield from _walk(section.sections)


def deep(nodes: Iterable[Node]) -> Iterator[Node]:
    """Nodes and all below them, in the order of the text: a bullet, then its children, then the
    next.
    """
    # Not recursive: a hostile file can nest its bullets deeper than Python's stack.
    waiting = list(nodes)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Verbatim):
            waiting.extend(reversed(node.children))


def decode(data: bytes) -> str:
    """Bytes as text, any bytes: `encode` gives them back."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that `decode` read."""
    return text.encode("utf-8", "surrogateescape")


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line: its content ends at `stop`, its newline at `end`."""

    start: int
    stop: int
    end: int
    number: int

    def span(self, start: int | None = None, end: int | None = None) -> Span:
        """A part of the line, by offsets in the text; the whole line, newline included, if none are
        given.
        """
        if start is None:
            start = self.start
        if end is None:
            end = self.end
        return Span(start, end, self.number, start - self.start + 1)


def lines(text: str) -> Iterator[Line]:
    """The lines of a text; CRLF is a newline, a lone CR is not. Of an empty text there are none,
    and a last line without a newline is one.
    """
    start = number = 0
    while start < len(text):
        number += 1
        stop = text.find("\n", start)
        if stop < 0:
            yield Line(start, len(text), len(text), number)
            return
        end = stop + 1
        if stop > start and text[stop - 1] == "\r":
            stop -= 1
        yield Line(start, stop, end, number)
        start = end


_HEADING = lazy.pattern(r"\ufeff? {0,3}(#{1,6})(?=[ \t]|$)")
_FENCE = lazy.pattern(r"[ \t]*(`{3,}|~{3,})([^\n]*)")
_BULLET = lazy.pattern(r"([ \t]*)(?:[-*+]|\d{1,9}[.)])(?:[ \t]+(?:\[[ xX]\][ \t]+)?|$)")
_BOLD = lazy.pattern(r"\*\*([^*:`]{1,60})(?::\*\*|\*\*[ \t]?:)(?=[ \t]|$)")
_PLAIN = lazy.pattern(r"`?([^\s:`*|<>][^:`|]{0,59})`?:(?=[ \t]|$)")
_STATUS = lazy.pattern(
    r"[`*]{0,3}(\d{4}-\d{2}-\d{2}(?:[T ]{1,3}~?\d{1,2}:\d{2}(?::\d{2})?(?:[ ]?[-–][ "
    r"]?\d{1,2}:\d{2}(?::\d{2})?)?)?"
    r"(?: ?(?:Z|[A-Z]{2,5}|[+-]\d{2}:?\d{2}))?)[`*]{0,3}(?:[ \t]*(?:[—–:]|-(?=[ \t]|$))[ \t]*|$)"
)
_KINDS = (
    ("mode", lazy.pattern(r"(?:run )?(?:mode|type)")),
    ("config", lazy.pattern(r"config(?:uration)?")),
    ("job", lazy.pattern(r"jobs?(?: #?[\w.-]*\d[\w.-]*)?")),
    ("status", lazy.pattern(r"status(?: (?:log|updates?))?")),
    ("results", lazy.pattern(r"(?:final )?results?")),
    ("wandb", lazy.pattern(r"w&b|wandb|weights (?:&|and) biases")),
    ("huggingface", lazy.pattern(r"hugging ?face|hf")),
    ("next", lazy.pattern(r"next(?: steps?)?")),
)


def kind_of(heading: str) -> tuple[str, str]:
    """The kind of a heading and its qualifier.

        Job (resumed)              `("job", "resumed")`
        3. Final results — clean   `("results", "")`
        📈 **Status**: completed   `("status", "")`
        Notes                      `("", "")`: of no kind

    A heading in other words (`Progress`) is of no kind here: `facts.sections` knows them.
    """
    head, _, rest = heading.partition("(")
    qualifier = rest.rpartition(")")[0] or rest
    # a number or a sign before the word is no part of it
    head = re.sub(r"^[^\w&(]*(?:\d{1,2}[.)][ \t]+)?[^\w&(]*", "", head)
    head = re.split(r" [—–-] |:", head, maxsplit=1)[0].strip().strip("*_`").casefold()
    kinds = (kind for kind, pattern in _KINDS if pattern.fullmatch(head))
    return next(kinds, ""), qualifier.strip()


def name_of(key: str) -> str:
    """A key in its dialect-free form: lower case, anything but letters, digits and `@` becomes one
    underscore: `submitted_start` of `Submitted/start`, `loss@5k` of `loss@5k`.
    """
    return re.sub(r"[^\w@]+", "_", key.strip().casefold()).strip("_")


def _read_value(raw: str) -> tuple[str, int, bool]:
    """The value in `raw` (no space around it), where its own part of `raw` ends, and whether it is
    in backticks.

        `out/a` (a note)     `out/a`, 7, True
        out/a (a note)       all of it, False: without backticks the note is part of the value
        `a` and `b`          all of it, False
    """
    ticks = len(raw) - len(raw.lstrip("`"))
    closing = _closing_ticks(raw, ticks)
    if closing is None:
        return raw, len(raw), False
    start, end = closing
    rest = raw[end:].strip()
    is_note = rest.startswith("(") and rest.endswith(")")
    if rest and not is_note:
        return raw, len(raw), False
    return raw[ticks:start].strip(), end, True


def _closing_ticks(raw: str, ticks: int) -> tuple[int, int] | None:
    """Where the backticks that close a value begin and end, as offsets in `raw`; None: it opens
    with none, or nothing closes it.

    As in Markdown, two of them are closed by two. `ticks` is how many it opens with.
    """
    if not ticks:
        return None
    for run in re.finditer("`+", raw[ticks:]):
        if len(run[0]) == ticks:
            return ticks + run.start(), ticks + run.end()
    return None


def _quote(value: str) -> str:
    """The value as a code span that reads back as it is: with more backticks around it than it
    holds.

    `a` becomes `` `a` ``, and a value with a backtick at an end gets a space there, as in Markdown.
    """
    runs = {len(run) for run in re.findall("`+", value)}
    ticks = 1
    while ticks in runs:
        ticks += 1
    fence = "`" * ticks
    pad = " " if value[0] == "`" or value[-1] == "`" else ""
    return f"{fence}{pad}{value}{pad}{fence}"


def value_edit(text: str, field: Field, value: str) -> Edit:
    """The splice that gives the field this value; backticks and a note behind them stay.

        - node: `gpu-07` (slow)       with the value `gpu-09`
        - node: `gpu-09` (slow)

    `text` is that of the field's page. "" empties the field, its note included. A value that would
    be read otherwise without backticks gets them.

    Raises:
        ValueError: a value is one line, without space around it.
    """
    if value != value.strip() or "\n" in value or "\r" in value:
        raise ValueError(f"a field's value is one line, without space around it: {value!r}")
    span = field.value_span
    if value == field.value:
        return Edit(span.end, span.end, "")
    if not value:
        return Edit(field.raw_span.start, field.raw_span.end, "")
    shown = value
    # A value that would be read otherwise without backticks gets them.
    if field.quoted or _read_value(value)[0] != value:
        shown = _quote(value)
    is_behind_colon = span.start == span.end and text[span.start - 1] not in " \t"
    if is_behind_colon:
        shown = f" {shown}"
    return Edit(span.start, span.end, shown)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text after the edits; of two that overlap the first in the text is made, and of two equal
    ones one. The order in which they are given does not matter.
    """
    parts, at = [], 0
    for edit in sorted(set(edits)):
        if edit.start >= at:
            parts += [text[at : edit.start], edit.text]
            at = edit.end
    return "".join(parts) + text[at:]


def set_field(text: str, field: Field, value: str) -> str:
    """The text with this field of it set; every other byte is as it was.

    Raises:
        ValueError: a value is one line, without space around it.
    """
    return apply(text, [value_edit(text, field, value)])


def parse(text: str) -> Document:
    """Read a run log. Any text is one: what is not understood is kept as it stands.

        # train_front_cam — front camera, default learning rate
        ## Job (resumed)
        - execution_id: `12346` (on the new node)
        ## Status
        - 2026-03-11 15:20 — running, step 2400

    has the title `train_front_cam — …`, a section of the kind `job` with the qualifier `resumed`
    and the field `execution_id`, and one of the kind `status` with a line of that time.
    """
    return _Parser(text).run()


class _Parser:
    """Reads a page line by line; what is open is the title or a section, and the bullets within
    it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.document = Document(text, [], None, [], [])
        self.nodes = self.document.preamble
        self.sections: list[Section] = []  # the open ones, outermost first
        self.bullets: list[
            tuple[int, Bullet]
        ] = []  # the open ones, each with the depth it counts as
        self.in_status = False
        self.title: Heading | None = None
        self.any_heading = False

    def run(self) -> Document:
        """Read all lines. A block of code or a comment takes its own lines from those that are
        left.
        """
        todo = lines(self.text)
        for line in todo:
            self.read_line(line, todo)
        return Document(
            self.text,
            self.document.preamble,
            self.title,
            self.document.nodes,
            self.document.sections,
        )

    def read_line(self, line: Line, todo: Iterator[Line]) -> None:
        """Read one line, and those of `todo` that belong to the block it opens.

        The first of these that it is counts: the fence of a code block, the begin of a comment, a
        heading, an empty line, a bullet or a bold line, the row of a table, text.
        """
        content = self.text[line.start : line.stop]
        bare = content.lstrip("\ufeff \t")
        mark = _opening_fence(content, bare)
        heading = None
        if not mark and not bare.startswith("<!--"):
            heading = self.heading(line, content)
        if mark:
            self.block(line, todo, "code", partial(_closes, mark=mark))
        elif bare.startswith("<!--"):
            self.comment(line, todo, content)
        elif heading is not None:
            self.place_heading(heading)
        elif not bare.strip():
            self.innermost().append(Verbatim(line.span(), "blank"))
        elif not self.bullet(line, content):
            kind = "table" if bare[0] == "|" else "text"
            self.keep(Verbatim(line.span(), kind), content)

    def comment(self, line: Line, todo: Iterator[Line], content: str) -> None:
        """Keep a comment: this line, or all up to the one with `-->`."""
        if "-->" in content:
            self.keep(Verbatim(line.span(), "comment"), content)
        else:
            self.block(line, todo, "comment", lambda rest: "-->" in rest)

    def place_heading(self, heading: Heading) -> None:
        """Take a heading as the title, or open a section. The first heading is the title, if it is
        of the first level and of no kind: `# Results` begins a section.
        """
        self.bullets.clear()
        is_title = heading.level == 1 and not kind_of(heading.text)[0]
        if is_title and not self.any_heading:
            self.title, self.nodes = heading, self.document.nodes
        else:
            self.open(heading)
        self.any_heading = True

    def innermost(self) -> list[Node]:
        """What the next node is put into: the open bullet's children, else the section's nodes."""
        if self.bullets:
            return self.bullets[-1][1].children
        return self.nodes

    def close_bullets(self, depth: int) -> None:
        """Close the open bullets that do not hold what stands at this depth: those as deep, or
        deeper.
        """
        while self.bullets and self.bullets[-1][0] >= depth:
            self.bullets.pop()

    def heading(self, line: Line, content: str) -> Heading | None:
        """The heading that a line is: `## Job (resumed) ##` of level 2 with the text `Job
        (resumed)`. None: it is none.
        """
        match = _HEADING.match(content)
        if not match:
            return None
        body = content[match.end() :].strip()
        shorn = body.rstrip("#")
        if not shorn or shorn[-1] in " \t":
            body = shorn.rstrip()
        start = line.stop
        if body:
            start = line.start + content.find(body, match.end())
        return Heading(line.span(), len(match[1]), body, line.span(start, start + len(body)))

    def open(self, heading: Heading) -> None:
        """Open a section: below the last open one of a higher level, `### Job` below `## Jobs`. It
        is in Status where any section around it is.
        """
        kind, qualifier = kind_of(heading.text)
        while self.sections and self.sections[-1].heading.level >= heading.level:
            self.sections.pop()
        section = Section(heading, kind, qualifier, [], [])
        siblings = self.document.sections
        if self.sections:
            siblings = self.sections[-1].sections
        siblings.append(section)
        self.sections.append(section)
        self.nodes = section.nodes
        self.in_status = any(part.kind == "status" for part in self.sections)

    def block(
        self, line: Line, todo: Iterator[Line], kind: str, closes: Callable[[str], bool]
    ) -> None:
        """Keep the lines from this one to the one that `closes`, or to the end of the page, as
        one piece.
        """
        last, closed = line, False
        for rest in todo:
            last = rest
            if closes(self.text[rest.start : rest.stop]):
                closed = True
                break
        span = Span(line.start, last.end, line.number, 1)
        self.keep(Verbatim(span, kind, closed), self.text[line.start : line.stop])

    def keep(self, node: Verbatim, content: str) -> None:
        """Keep lines as they stand, below the bullet that they are indented under."""
        self.close_bullets(_depth(content))
        self.innermost().append(node)

    def bullet(self, line: Line, content: str) -> bool:
        """Read a bullet or a bold line; False: the line is neither.

        It goes below the last bullet that is indented less. Undated bullets of Status belong to the
        dated one above them, however they are indented.
        """
        node = self.bullet_in(line, content)
        if node is None:
            return False
        depth = _depth(content)
        if self.in_status and not isinstance(node, StatusLine):
            for above, opened in self.bullets:
                if isinstance(opened, StatusLine):
                    depth = max(depth, above + 1)
                    break
        self.close_bullets(depth)
        self.innermost().append(node)
        self.bullets.append((depth, node))
        return True

    def bullet_in(self, line: Line, content: str) -> Bullet | None:
        """The bullet or bold line that a line is; None: it is neither.

        - 2026-03-11 15:20 — running    a line of Status, in any section
        - node: gpu-07, **Node**: gpu-07    a field
        - looks good                    an item
        """
        depth = _depth(content)
        match = _BULLET.match(content)
        if match is None:
            at = len(content) - len(content.lstrip(" \t\ufeff"))
            return self.field(line, content, at, depth, plain=False)
        at = match.end()
        rest = content[at:]
        status = _STATUS.match(rest)
        if status is not None:
            start = line.start + at + status.end()
            words = rest[status.end() :].rstrip()
            words_span = line.span(start, start + len(words))
            return StatusLine(line.span(), depth, status[1], words, words_span, [])
        field = self.field(line, content, at, depth, plain=True)
        if field is not None:
            return field
        words = rest.rstrip()
        words_span = line.span(line.start + at, line.start + at + len(words))
        return Item(line.span(), depth, words, words_span, [])

    def field(self, line: Line, content: str, at: int, depth: int, *, plain: bool) -> Field | None:
        """The field that begins at the offset `at` of a line; None: there is no key, or it has no
        letter.

        With `plain` a key need not be bold: a line of text, `Note: …`, is no field, and a bullet
        is.
        """
        match = _BOLD.match(content, at)
        if match is None and plain:
            match = _PLAIN.match(content, at)
        if match is None:
            return None
        name = name_of(match[1])
        if not name:
            return None
        raw = content[match.end() :].strip()
        start = min(match.end() + 1, len(content))
        if raw:
            start = content.index(raw, match.end())
        value, size, quoted = _read_value(raw)
        first = line.start + start
        spans = line.span(first, first + size), line.span(first, first + len(raw))
        return Field(line.span(), depth, match[1].strip(), name, value, *spans, quoted, [])


def _opening_fence(content: str, bare: str) -> str:
    """The marks that open a block of code, three backticks or tildes and more; "": the line opens
    none, as text in backticks within a line does not. `bare` is without the space before it.
    """
    if bare[:3] not in ("```", "~~~"):
        return ""
    fence = _FENCE.match(content)
    if fence is None or (fence[1][0] == "`" and "`" in fence[2]):
        return ""
    return fence[1]


def _closes(content: str, mark: str) -> bool:
    """Whether a line ends a block of code that these marks began: nothing but as many of them, or
    more.
    """
    bare = content.strip()
    return len(bare) >= len(mark) and set(bare) == {mark[0]}


def _depth(content: str) -> int:
    """How far a line is indented, in columns; a tab reaches to the next multiple of four."""
    content = content.lstrip("\ufeff")
    return len(content[: len(content) - len(content.lstrip(" \t"))].expandtabs(4))
