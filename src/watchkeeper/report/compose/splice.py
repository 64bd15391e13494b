"""Put a page into a run log that exists, whoever wrote it: the machine's own fields by position,
every other byte as it is. Pure.

A field is the machine's while it is empty or holds something that the machine wrote before. A field
that a person changed or removed stays so, and is reported in `Change.kept`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.report.compose.page import (
    ALIASES,
    HEADINGS,
    PENDING,
    Change,
    JobBlock,
    Page,
    Value,
    Written,
)
from watchkeeper.report.runlog.document import (
    Document,
    Edit,
    Field,
    Node,
    Section,
    StatusLine,
    Verbatim,
    apply,
    deep,
    parse,
    value_edit,
)

_ORDER = list(HEADINGS)
# A field without an answer: empty, pending, or the template's own text.
_OPEN = lazy.pattern(r"(?:pending|tbd|<[^<>]{1,300}>)?", re.IGNORECASE)
_DIGIT = lazy.pattern(r"\d")
_BULLET = lazy.pattern(r"^[ \t]*[-*+][ \t]+")
_BLANK_LINES_AT_END = lazy.pattern(r"(?:(?<=\n)[ \t]*\r?\n)*\Z")


def splice(text: str, page: Page, written: Written) -> Change:
    """Put the page into the file's text. The text is the same object where nothing changes.

    `page` is what the machine knows, `written` what it wrote into this file before. Into

        ## Job
        - execution_id: 70412
        - end: pending           ← we are waiting for this one
        - node: gpu-07 (slow)

    the end alone is written: the machine wrote `pending`, and the node is a person's now. Applied
    again to the result, with what it has written, it changes nothing.
    """
    splicer = _Splicer(text, page, written)
    for kind in HEADINGS:
        if kind == "job":
            splicer.splice_jobs()
        elif kind == "status":
            splicer.splice_status()
        elif kind in page.sections:
            splicer.splice_section(kind, page.sections[kind])
    return splicer.change()


class _Splicer:
    """Collects the edits of one file, and what they write.

    `fields` are those whose value is the machine's after this, by id (`job.1.end`), `lines` the new
    lines of Status, and `kept` what a person changed or removed ("": removed).
    """

    def __init__(self, text: str, page: Page, written: Written) -> None:
        self.text = text
        self.page = page
        self.written = written
        self.document: Document = parse(text)
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.edits: list[Edit] = []
        self.inserts: dict[int, list[str]] = {}  # offset → lines, in order
        self.fields: dict[str, str] = {}
        self.lines: list[str] = []
        self.kept: dict[str, str] = {}

    def change(self) -> Change:
        """Apply the edits. What was kept, and is known to be, is not reported again."""
        edits = list(self.edits)
        for at, lines in self.inserts.items():
            inserted = self.join(at, lines)
            # An empty field at the end of the file gets its value there: before the new lines.
            for edit in self.edits:
                if edit.start == edit.end == at:
                    edits.remove(edit)
                    inserted = edit.text + inserted
            edits.append(Edit(at, at, inserted))
        changing = []
        for edit in edits:
            if self.text[edit.start : edit.end] != edit.text:
                changing.append(edit)
        text = self.text
        if changing:
            text = apply(text, changing)
        kept = {}
        for field, value in self.kept.items():
            if self.written.kept.get(field) != value:
                kept[field] = value
        return Change(text, self.fields, self.lines, kept)

    def join(self, at: int, lines: list[str]) -> str:
        """Join the lines that are inserted at an offset. A file without a last newline gets none.

        There the new lines begin with a line end, so that they do not continue the last line.
        """
        body = self.newline.join(lines)
        if at and self.text[at - 1] != "\n":
            return self.newline + body
        return body + self.newline

    # ── fields

    def splice_section(self, kind: str, values: list[Value]) -> None:
        """Update one section, or add it. `kind` is a key of `HEADINGS`.

        A section that the machine once wrote and that is gone stays gone, whatever is new in it.
        """
        sections = self.document.of(kind)
        prefix = f"{kind}."
        if sections:
            self.update_fields(prefix, sections[0], values)
        elif not self.was_removed(prefix, values):
            self.add_fields(kind, HEADINGS[kind], prefix, values)

    def was_removed(self, prefix: str, values: list[Value]) -> bool:
        """Whether a person has removed everything that the machine had written there.

        Notes each field that it had written as kept, with no value. `prefix` is `results.`, or
        `job.1.` for the block of an execution.
        """
        ids = [prefix + value.name for value in values]
        removed = [field_id for field_id in ids if field_id in self.written.fields]
        self.kept |= dict.fromkeys(removed, "")
        return bool(removed)

    def add_fields(self, kind: str, heading: str, prefix: str, values: list[Value]) -> None:
        """Add a section with these fields, and note each as written: from now on it is the
        machine's, until a person changes it.
        """
        self.add_section(kind, heading, [value.line() for value in values])
        for value in values:
            self.fields[prefix + value.name] = value.value

    def update_fields(self, prefix: str, section: Section, values: list[Value]) -> None:
        """Update the fields of one section. A new one follows the machine's last before it, else
        comes last.

        A field is found under any of the names that people use for it (`ALIASES`). One that the
        machine had written, and that is not found, was removed.
        """
        at: int | None = None
        for value in values:
            field_id = prefix + value.name
            field = section.field(*ALIASES.get(value.name, (value.name,)))
            if field is not None:
                at = _end_of(field)
                self.update_field(field_id, field, value)
            elif field_id in self.written.fields:
                self.kept[field_id] = ""
            else:
                place = at
                if place is None:
                    place = _end_of_fields(section)
                self.insert(place, [value.line()])
                self.fields[field_id] = value.value

    def update_field(self, field_id: str, field: Field, value: Value) -> None:
        """Give a field its value, unless a person has answered it.

            - end: pending                     open: it gets the value
            - node: gpu-07                     the machine's, if it wrote `gpu-07` before
            - node: gpu-07, the slow one       a person's: it stays, and is reported as kept
            - runtime: `00:00:03` (too short!) the value is the machine's, the note a person's

        A field that a person answered with the same words becomes the machine's, unless the whole
        log was begun by someone else.
        """
        written = self.written.fields.get(field_id, set())
        current = field.value
        if value.note:
            # After a value without backticks, a note reads as part of it.
            current = current.removesuffix(f" ({value.note})")
        if value.value == PENDING and current != PENDING:
            return  # an empty field says the same, and an answer must not be lost
        if current == value.value:
            if value.value in written:
                self.update_note(field, value)
            elif not self.page.adopted:
                self.fields[field_id] = value.value
            return
        is_ours = _is_open(current) or current in written
        # What stands below a field is a person's, and belongs to the value above it.
        if _has_nested_content(field) or not is_ours:
            self.kept[field_id] = current
            return
        quoted = field.quoted or (value.quoted and value.value != PENDING)
        as_shown = msgspec.structs.replace(field, quoted=quoted)
        self.edits.append(value_edit(self.text, as_shown, value.value))
        self.update_note(field, value)
        self.fields[field_id] = value.value

    def update_note(self, field: Field, value: Value) -> None:
        """Update the machine's note after a value: one that differs from the new note in digits
        alone, as times do.

        `00:00:03` (start `…:07Z`, end `…:10Z`) is the machine's; `00:00:03` (too short!) a
        person's.
        """
        if not value.note:
            return
        start, end = field.value_span.end, field.raw_span.end
        current = self.text[start:end]
        note = f" ({value.note})"
        if current == note:
            return
        if _DIGIT.sub("0", current) == _DIGIT.sub("0", note):
            self.edits.append(Edit(start, end, note))

    # ── job blocks

    def splice_jobs(self) -> None:
        """Update the block of each execution, or add it.

        A block that was given to one execution is not looked at for the next. Where a person has
        removed the block of an execution, it stays away, and the others are updated.
        """
        blocks = self.document.of("job")
        taken = _ids_of(self.page.jobs) - {PENDING}
        for job in self.page.jobs:
            prefix = f"job.{job.name}."
            block = self.block_of(job, blocks, taken)
            if block is not None:
                blocks = [other for other in blocks if other is not block]
                self.update_fields(prefix, block, job.fields)
            elif not self.was_removed(prefix, job.fields):
                self.add_fields("job", job.heading, prefix, job.fields)

    def block_of(self, job: JobBlock, blocks: Sequence[Section], taken: Set[str]) -> Section | None:
        """Find the block of this execution: by an id that it has or had, else the first block
        without an id, `- execution_id: pending`. None: there is no such block.

        A requeue changes the id of an execution (`70412 (restart 1)`), so that older ids count as
        well. `taken` are the ids of all executions.
        """
        own = _ids_of([job]) | self.written.fields.get(f"job.{job.name}.execution_id", set())
        own.discard(PENDING)
        vacant: Section | None = None
        for block in blocks:
            field = block.field(*ALIASES["execution_id"])
            if field is None:
                continue  # without such a field, whose block it is cannot be said
            if field.value in own:
                return block
            is_vacant = _is_open(field.value) and field.value not in taken
            if vacant is None and is_vacant:
                vacant = block
        return vacant

    # ── status

    def splice_status(self) -> None:
        """Append the lines that the machine has not written yet.

            ## Status
            - 2026-03-11 15:00 UTC — submitted as job 70412
            - looks slow                                          a person's: new lines go below it
            - 2026-03-11 15:20 UTC — running, step 2400           new

        A line that is there already, after a death before it was noted, counts as written. Lines
        that a person removed do not come back, and neither does a section that is gone.
        """
        sections = self.document.of("status")
        new = [line for line in self.page.status if line not in self.written.lines]
        self.lines = new
        present = self.status_lines(sections)
        missing = [f"- {line}" for line in new if line not in present]
        if not missing:
            return
        if sections:
            self.insert(_end_of_status(sections[0]), missing)
        elif self.written.lines:
            # A person has removed the whole section.
            self.lines = []
            self.kept["status"] = ""
        else:
            self.add_section("status", HEADINGS["status"], missing)

    def status_lines(self, sections: Iterable[Section]) -> set[str]:
        """Read the entries of Status, without their bullets: `2026-03-11 15:00 UTC — submitted as
        …`.

        Lines without a date are none: the machine writes none.
        """
        lines = set()
        for section in sections:
            for node in deep(section.nodes):
                if not isinstance(node, StatusLine):
                    continue
                line = self.text[node.span.start : node.span.end]
                lines.add(_BULLET.sub("", line).rstrip())
        return lines

    # ── places

    def insert(self, at: int, lines: list[str]) -> None:
        """Insert lines at an offset, after what was inserted there before."""
        self.inserts.setdefault(at, []).extend(lines)

    def add_section(self, kind: str, heading: str, lines: list[str]) -> None:
        """Add a section: after the last of its kind or of those before it, else before the first of
        those after it, else at the end.

        The order is that of `HEADINGS`: a second job block goes below the first, and Results go
        between Status and W&B. Sections of no kind, a person's own, stay where they are.
        """
        sections = self.document.sections
        if not any(section.kind for section in sections):
            sections = list(self.document.walk())  # everything may stand below one heading
        kinds_before = set(_ORDER[: _ORDER.index(kind) + 1])
        earlier = [section for section in sections if section.kind in kinds_before]
        later = [section for section in sections if section.kind not in {"", *kinds_before}]
        new = [f"## {heading}", *lines]
        if earlier:
            last = earlier[-1]
            at = last.heading.span.start + len(self.document.slice(last))
            self.insert(at - self.blank_before(at), ["", *new])
        elif later:
            self.insert(later[0].heading.span.start, [*new, ""])
        elif self.text:
            self.insert(len(self.text), ["", *new])
        else:
            self.insert(0, new)

    def blank_before(self, at: int) -> int:
        """Count the characters of the blank lines before an offset: they stay after what is
        inserted.

        0: there is none.
        """
        blank = _BLANK_LINES_AT_END.search(self.text[:at])
        return len(blank[0]) if blank else 0


def _is_open(value: str) -> bool:
    """Whether a field has no answer yet: it is empty, `pending`, `tbd`, or the template's own
    text.
    """
    return _OPEN.fullmatch(value) is not None


def _ids_of(jobs: Iterable[JobBlock]) -> set[str]:
    """Collect the jobs' ids: `{"70412", "70455"}`, and `pending` of one without an id."""
    ids = set()
    for job in jobs:
        for value in job.fields:
            if value.name == "execution_id":
                ids.add(value.value)
    return ids


def _is_blank(node: Node) -> bool:
    """Whether a node is an empty line."""
    return isinstance(node, Verbatim) and node.kind == "blank"


def _end_of(node: Node) -> int:
    """Return where a node ends, with what is nested in it, without blank lines at its end."""
    end = node.span.end
    for part in deep([node]):
        if not _is_blank(part):
            end = max(end, part.span.end)
    return end


def _end_of_fields(section: Section) -> int:
    """Return where a further field of a section goes: below its last one, with what is nested
    there, else below the heading. Text and tables behind the fields stay behind them.
    """
    fields = [node for node in section.nodes if isinstance(node, Field)]
    if fields:
        return _end_of(fields[-1])
    return section.heading.span.end


def _end_of_status(section: Section) -> int:
    """Return where a further line of Status goes: below the last of anything that is no empty line,
    else below the heading.
    """
    entries = [node for node in section.nodes if not _is_blank(node)]
    if entries:
        return _end_of(entries[-1])
    return section.heading.span.end


def _has_nested_content(field: Field) -> bool:
    """Whether bullets or text stand below a field, as a person's remark on it.

        - node: gpu-07
          - slow since this morning

    Empty lines and comments do not count.
    """
    for child in field.children:
        if not isinstance(child, Verbatim) or child.kind not in ("blank", "comment"):
            return True
    return False
