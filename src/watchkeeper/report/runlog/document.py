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
        """The outer bullets and bold lines, those under unknown subheadings included."""
        yield from (node for node in self.nodes if not isinstance(node, Verbatim))
        for section in self.sections:
            if not section.kind:
                yield from section.bullets()

    def fields(self) -> Iterator[Field]:
        """The outer fields."""
        return (node for node in self.bullets() if isinstance(node, Field))

    def field(self, *names: str) -> Field | None:
        """The first field of one of these names, the earlier name winning."""
        found = list(self.fields())
        return next((field for name in names for field in found if field.name == name), None)


class Document(msgspec.Struct, frozen=True):
    """A run log: what stands before the title, the title, what stands under it, and the sections."""

    text: str
    preamble: list[Node]
    title: Heading | None
    nodes: list[Node]
    sections: list[Section]

    def walk(self) -> Iterator[Section]:
        """Every section, in the order of the text."""
        return _walk(self.sections)

    def of(self, kind: str) -> list[Section]:
        """The sections of a kind, in the order of the text."""
        return [section for section in self.walk() if section.kind == kind]

    def all_nodes(self) -> Iterator[Node]:
        """Every node at every depth, in the order of the text."""
        for part in (self.preamble, self.nodes, *(section.nodes for section in self.walk())):
            yield from deep(part)

    def pieces(self) -> Iterator[Span]:
        """The spans that tile the text."""
        yield from (node.span for node in deep(self.preamble))
        if self.title:
            yield self.title.span
        yield from (node.span for node in deep(self.nodes))
        for section in self.walk():
            yield section.heading.span
            yield from (node.span for node in deep(section.nodes))

    def print_back(self) -> str:
        """The text, from its pieces."""
        return "".join(self.text[span.start : span.end] for span in self.pieces())

    def slice(self, section: Section) -> str:
        """The text of a section, with the headings below it."""
        spans = [section.heading.span]
        for part in (section, *_walk(section.sections)):
            spans += [part.heading.span, *(node.span for node in deep(part.nodes))]
        return self.text[spans[0].start : spans[-1].end]


def _walk(sections: list[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from _walk(section.sections)


def deep(nodes: Iterable[Node]) -> Iterator[Node]:
    """Nodes and all below them, in the order of the text."""
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
            first = self.start
        else:
            first = start
        return Span(first, self.end if end is None else end, self.number, first - self.start + 1)


def lines(text: str) -> Iterator[Line]:
    """The lines of a text; CRLF is a newline, a lone CR is not."""
    start = number = 0
    while start < len(text):
        number += 1
        at = text.find("\n", start)
        if at < 0:
            end = len(text)
        else:
            end = at + 1
        if at < 0:
            stop = end
        else:
            stop = at
        if stop > start and text[stop - 1] == "\r" and at >= 0:
            stop -= 1
        yield Line(start, stop, end, number)
        start = end


_HEADING = re.compile(r"\ufeff? {0,3}(#{1,6})(?=[ \t]|$)")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^\n]*)")
_BULLET = re.compile(r"([ \t]*)(?:[-*+]|\d{1,9}[.)])(?:[ \t]+(?:\[[ xX]\][ \t]+)?|$)")
_BOLD = re.compile(r"\*\*([^*:`]{1,60})(?::\*\*|\*\*[ \t]?:)(?=[ \t]|$)")
_PLAIN = re.compile(r"`?([^\s:`*|<>][^:`|]{0,59})`?:(?=[ \t]|$)")
_STATUS = re.compile(
    r"[`*]{0,3}(\d{4}-\d{2}-\d{2}(?:[T ]{1,3}~?\d{1,2}:\d{2}(?::\d{2})?(?:[ ]?[-–][ "
    r"]?\d{1,2}:\d{2}(?::\d{2})?)?)?"
    r"(?: ?(?:Z|[A-Z]{2,5}|[+-]\d{2}:?\d{2}))?)[`*]{0,3}(?:[ \t]*(?:[—–:]|-(?=[ \t]|$))[ \t]*|$)"
)
_KINDS = (
    ("mode", re.compile(r"(?:run )?(?:mode|type)")),
    ("config", re.compile(r"config(?:uration)?")),
    ("job", re.compile(r"jobs?(?: #?[\w.-]*\d[\w.-]*)?")),
    ("status", re.compile(r"status(?: (?:log|updates?))?")),
    ("results", re.compile(r"(?:final )?results?")),
    ("wandb", re.compile(r"w&b|wandb|weights (?:&|and) biases")),
    ("huggingface", re.compile(r"hugging ?face|hf")),
    ("next", re.compile(r"next(?: steps?)?")),
)


def kind_of(heading: str) -> tuple[str, str]:
    """The kind of a heading and its qualifier: `("job", "resumed")` for `Job (resumed)`; `("", …)`
    for one of no kind.
    """
    head, _, rest = heading.partition("(")
    qualifier = rest.rpartition(")")[0] or rest
    head = re.sub(
        r"^[^\w&(]*(?:\d{1,2}[.)][ \t]+)?[^\w&(]*", "", head
    )  # a number or a sign before the word is no part of it
    head = re.split(r" [—–-] |:", head, maxsplit=1)[0].strip().strip("*_`").casefold()
    return next(
        (kind for kind, pattern in _KINDS if pattern.fullmatch(head)), ""
    ), qualifier.strip()


def name_of(key: str) -> str:
    """A key in its dialect-free form: lower case, anything but letters, digits and `@` becomes one
    underscore.
    """
    return re.sub(r"[^\w@]+", "_", key.strip().casefold()).strip("_")


def _read_value(raw: str) -> tuple[str, int, bool]:
    """The value in `raw` (no space around it), where its own part of `raw` ends, and whether it is
    in backticks.
    """
    ticks = len(raw) - len(raw.lstrip("`"))
    if ticks and ticks < len(raw):
        for run in re.finditer("`+", raw[ticks:]):
            if len(run[0]) == ticks:
                end = ticks + run.end()
                rest = raw[end:].strip()
                if not rest or (rest[0] == "(" and rest[-1] == ")"):
                    return raw[ticks : ticks + run.start()].strip(), end, True
                break
    return raw, len(raw), False


def _quote(value: str) -> str:
    """The value as a code span that reads back as it is."""
    runs = {len(run) for run in re.findall("`+", value)}
    fence = "`" * next(n for n in range(1, len(runs) + 2) if n not in runs)
    if value[0] == "`" or value[-1] == "`":
        pad = " "
    else:
        pad = ""
    return f"{fence}{pad}{value}{pad}{fence}"


def value_edit(text: str, field: Field, value: str) -> Edit:
    """The splice that gives the field this value; backticks and a note behind them stay.

    Raises:
        ValueError: a value is one line, without space around it.
    """
    if value != value.strip() or "\n" in value or "\r" in value:
        raise ValueError(f"a field's value is one line, without space around it: {value!r}")
    if value == field.value:
        return Edit(field.value_span.end, field.value_span.end, "")
    if not value:
        return Edit(field.raw_span.start, field.raw_span.end, "")
    if field.quoted or _read_value(value)[0] != value:
        quoted = _quote(value)
    else:
        quoted = value
    span = field.value_span
    if span.start == span.end and text[span.start - 1] not in " \t":
        space = " "
    else:
        space = ""
    return Edit(span.start, span.end, space + quoted)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text after the edits; of two that overlap the first in the text is made."""
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
    """Read a run log. Any text is one."""
    return _Parser(text).run()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.document = Document(text, [], None, [], [])
        self.nodes = self.document.preamble
        self.sections: list[Section] = []  # the open ones, outermost first
        self.bullets: list[
            tuple[int, Bullet]
        ] = []  # the open ones, each with the depth it counts as
        self.in_status = False

    def run(self) -> Document:
        todo = lines(self.text)
        title: Heading | None = None
        seen = False
        for line in todo:
            content = self.text[line.start : line.stop]
            bare = content.lstrip("\ufeff \t")
            if bare[:3] in ("```", "~~~"):
                fence = _FENCE.match(content)
            else:
                fence = None
            if fence and not (fence[1][0] == "`" and "`" in fence[2]):
                self.block(line, todo, "code", partial(_closes, mark=fence[1]))
            elif bare.startswith("<!--"):
                if "-->" in content:
                    self.keep(Verbatim(line.span(), "comment"), content)
                else:
                    self.block(line, todo, "comment", lambda rest: "-->" in rest)
            elif heading := self.heading(line, content):
                self.bullets.clear()
                if not seen and heading.level == 1 and not kind_of(heading.text)[0]:
                    title, self.nodes = heading, self.document.nodes
                else:
                    self.open(heading)
                seen = True
            elif not bare.strip():
                (self.bullets[-1][1].children if self.bullets else self.nodes).append(
                    Verbatim(line.span(), "blank")
                )
            elif not self.bullet(line, content):
                self.keep(Verbatim(line.span(), "table" if bare[0] == "|" else "text"), content)
        return Document(
            self.text, self.document.preamble, title, self.document.nodes, self.document.sections
        )

    def heading(self, line: Line, content: str) -> Heading | None:
        match = _HEADING.match(content)
        if not match:
            return None
        body = content[match.end() :].strip()
        shorn = body.rstrip("#")
        if not shorn or shorn[-1] in " \t":
            body = shorn.rstrip()
        start = line.start + (content.find(body, match.end()) if body else len(content))
        return Heading(line.span(), len(match[1]), body, line.span(start, start + len(body)))

    def open(self, heading: Heading) -> None:
        kind, qualifier = kind_of(heading.text)
        while self.sections and self.sections[-1].heading.level >= heading.level:
            self.sections.pop()
        section = Section(heading, kind, qualifier, [], [])
        (self.sections[-1].sections if self.sections else self.document.sections).append(section)
        self.sections.append(section)
        self.nodes = section.nodes
        self.in_status = any(part.kind == "status" for part in self.sections)

    def block(
        self, line: Line, todo: Iterator[Line], kind: str, closes: Callable[[str], bool]
    ) -> None:
        last, closed = line, False
        for rest in todo:
            last = rest
            if closes(self.text[rest.start : rest.stop]):
                closed = True
                break
        span = Span(line.start, last.end, line.number, 1)
        self.keep(Verbatim(span, kind, closed), self.text[line.start : line.stop])

    def keep(self, node: Verbatim, content: str) -> None:
        depth = _depth(content)
        while self.bullets and self.bullets[-1][0] >= depth:
            self.bullets.pop()
        (self.bullets[-1][1].children if self.bullets else self.nodes).append(node)

    def bullet(self, line: Line, content: str) -> bool:
        match = _BULLET.match(content)
        if match:
            at = match.end()
        else:
            at = len(content) - len(content.lstrip(" \t\ufeff"))
        rest, depth = content[at:], _depth(content)
        if match:
            status = _STATUS.match(rest)
        else:
            status = None
        node: Bullet | None
        if status:
            words = rest[status.end() :].rstrip()
            start = line.start + at + status.end()
            node = StatusLine(
                line.span(), depth, status[1], words, line.span(start, start + len(words)), []
            )
        else:
            node = self.field(line, content, at, depth, plain=match is not None)
            if node is None and match:
                words = rest.rstrip()
                node = Item(
                    line.span(),
                    depth,
                    words,
                    line.span(line.start + at, line.start + at + len(words)),
                    [],
                )
        if node is None:
            return False
        if self.in_status and not status:
            above = next((d for d, open_ in self.bullets if isinstance(open_, StatusLine)), None)
            if above is not None:
                depth = max(depth, above + 1)
        while self.bullets and self.bullets[-1][0] >= depth:
            self.bullets.pop()
        (self.bullets[-1][1].children if self.bullets else self.nodes).append(node)
        self.bullets.append((depth, node))
        return True

    def field(self, line: Line, content: str, at: int, depth: int, *, plain: bool) -> Field | None:
        match = _BOLD.match(content, at) or (_PLAIN.match(content, at) if plain else None)
        if not match or not (name := name_of(match[1])):
            return None
        raw = content[match.end() :].strip()
        if raw:
            start = content.index(raw, match.end())
        else:
            start = min(match.end() + 1, len(content))
        value, size, quoted = _read_value(raw)
        first = line.start + start
        spans = line.span(first, first + size), line.span(first, first + len(raw))
        return Field(line.span(), depth, match[1].strip(), name, value, *spans, quoted, [])


def _closes(content: str, mark: str) -> bool:
    bare = content.strip()
    return len(bare) >= len(mark) and set(bare) == {mark[0]}


def _depth(content: str) -> int:
    content = content.lstrip("\ufeff")
    return len(content[: len(content) - len(content.lstrip(" \t"))].expandtabs(4))
