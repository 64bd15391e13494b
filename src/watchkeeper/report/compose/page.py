"""What the machine has to say in a run log, and how it is put there: its own fields by position,
every other byte as it is.

A page is what the journal tells of one run: sections, job blocks and status lines. `new` prints it
as a whole file; `bring_up` puts it into a file that exists, whoever wrote it. A field counts as the
machine's while it holds nothing, or something that the machine has written before. One that a
person has changed or taken out is left, and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

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
    name_of,
    parse,
    value_edit,
)

PENDING = "pending"
# The order of a run log's sections, by kind, with their headings.
HEADINGS = {
    "mode": "Mode",
    "config": "Config",
    "job": "Job",
    "status": "Status",
    "results": "Results",
    "wandb": "W&B",
    "huggingface": "HuggingFace",
    "next": "Next",
}
_ORDER = list(HEADINGS)
# The names under which older logs have a field.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "execution_id": ("execution_id", "job_id", "slurm_job_id", "id"),
    "submitted_start": ("submitted_start", "submitted", "start", "started", "submitted_at"),
    "submitted": ("submitted", "submitted_start", "submitted_at"),
    "end": ("end", "ended", "finished", "end_time"),
    "runtime": ("runtime", "elapsed", "duration"),
    "run_type": ("run_type", "mode", "type"),
}
# Nobody has answered yet: empty, pending, or the template's own words.
_OPEN = re.compile(r"(?:pending|tbd|<[^<>]{1,300}>)?", re.IGNORECASE)


_DIGIT = re.compile(r"\d")


class Value(msgspec.Struct, frozen=True):
    """One field: `key` as it is printed. `quoted`: in backticks; `note` stands behind it in
    parentheses.
    """

    key: str
    value: str
    quoted: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """The key in its dialect-free form."""
        return name_of(self.key)

    def line(self) -> str:
        """`- key: value`, without an end."""
        if self.quoted and self.value not in ("", PENDING) and "`" not in self.value:
            shown = f"`{self.value}`"
        else:
            shown = self.value
        return f"- {self.key}: {shown}".rstrip() + (f" ({self.note})" if self.note else "")


class JobBlock(msgspec.Struct, frozen=True):
    """One execution of a job. `name` never changes: `1` for the first attempt, `1.2` for its second
    execution.
    """

    name: str
    fields: list[Value]
    qualifier: str = ""


class Page(msgspec.Struct, frozen=True):
    """A run log's content as the machine knows it. `sections`: kind → fields; `status`: lines
    without their bullet. `adopted`: somebody else had begun the log, and what stood there stays
    theirs, also where the machine says the same.
    """

    title: str
    sections: dict[str, list[Value]]
    jobs: list[JobBlock]
    status: list[str]
    adopted: bool = False


class Written(msgspec.Struct):
    """What the machine has written into a file so far. `fields`: a field's id → every value that it
    gave it.
    """

    fields: dict[str, set[str]] = {}
    lines: set[str] = set()
    kept: dict[str, str] = {}


class Change(msgspec.Struct, frozen=True):
    """A file's new text, and what of it is news: `fields` and `lines` were written now, `kept` is
    what a person changed.
    """

    text: str
    fields: dict[str, str]
    lines: list[str]
    kept: dict[str, str]


def new(page: Page) -> Change:
    """The page as a new file."""
    parts = [f"# {page.title}\n"]
    for kind, heading in HEADINGS.items():
        if kind == "job":
            parts += [
                f"## {_job_heading(job)}\n" + "".join(f"{value.line()}\n" for value in job.fields)
                for job in page.jobs
            ]
        elif kind == "status":
            parts.append(f"## {heading}\n" + "".join(f"- {line}\n" for line in page.status))
        elif kind in page.sections:
            parts.append(
                f"## {heading}\n" + "".join(f"{value.line()}\n" for value in page.sections[kind])
            )
    fields = {field: value.value for field, _, value in _all(page)}
    return Change("\n".join(parts), fields, list(page.status), {})


def bring_up(text: str, page: Page, written: Written) -> Change:
    """The file's text with what the machine has to say now; it is the same object where nothing is
    to be changed.
    """
    return _Editor(text, page, written).run()


def _all(page: Page) -> Iterator[tuple[str, str, Value]]:
    """Every field of a page: its id, its place (a kind, or the name of a job block), itself."""
    for kind, values in page.sections.items():
        for value in values:
            yield f"{kind}.{value.name}", kind, value
    for job in page.jobs:
        for value in job.fields:
            yield f"job.{job.name}.{value.name}", job.name, value


def _job_heading(job: JobBlock) -> str:
    return HEADINGS["job"] + (f" ({job.qualifier})" if job.qualifier else "")


class _Editor:
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

    def run(self) -> Change:
        for kind in HEADINGS:
            if kind == "job":
                self.jobs()
            elif kind == "status":
                self.status()
            elif kind in self.page.sections:
                self.section(kind, self.page.sections[kind])
        edits = [
            *self.edits,
            *(Edit(at, at, self._joined(at, lines)) for at, lines in self.inserts.items()),
        ]
        real = [edit for edit in edits if self.text[edit.start : edit.end] != edit.text]
        if real:
            text = apply(self.text, real)
        else:
            text = self.text
        news = {
            field: found
            for field, found in self.kept.items()
            if self.written.kept.get(field) != found
        }
        return Change(text, self.fields, self.lines, news)

    def _joined(self, at: int, lines: list[str]) -> str:
        """The lines as they are put in at this place; a file's missing last newline stays missing."""
        body = self.newline.join(lines)
        if at and self.text[at - 1] != "\n":
            return self.newline + body
        return body + self.newline

    # ── fields
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def section(self, kind: str, values: list[Value]) -> None:
        found = self.document.of(kind)
        if found:
            self.put(f"{kind}.", found[0], values)
            return
        if self.removed(f"{kind}.", values):
            return
        self.add_section(kind, HEADINGS[kind], [value.line() for value in values])
        self.fields |= {f"{kind}.{value.name}": value.value for value in values}

    def removed(self, prefix: str, values: list[Value]) -> bool:
        """Whether a person has taken out the whole of what the machine had put there."""
        gone = [
            prefix + value.name for value in values if prefix + value.name in self.written.fields
        ]
        self.kept |= dict.fromkeys(gone, "")
        return bool(gone)

    def put(self, prefix: str, section: Section, values: list[Value]) -> None:
        """Bring up the fields of one section. A new one comes behind the machine's last before it,
        else last.
        """
        at: int | None = None
        for value in values:
            field_id = prefix + value.name
            field = section.field(*ALIASES.get(value.name, (value.name,)))
            if field is None:
                if field_id in self.written.fields:
                    self.kept[field_id] = ""
                else:
                    self.insert(self.end_of_fields(section) if at is None else at, [value.line()])
                    self.fields[field_id] = value.value
                continue
            at = _end(field)
            self.give(field_id, field, value)

    def give(self, field_id: str, field: Field, value: Value) -> None:
        before = self.written.fields.get(field_id, set())
        # Behind a value without backticks a note reads as part of it.
        if value.note:
            found = field.value.removesuffix(f" ({value.note})")
        else:
            found = field.value
        if value.value == PENDING and found != PENDING:
            return  # an empty field says the same, and an answer must not be lost
        if found == value.value:
            if value.value in before:
                self.renew_note(field, value)
            elif not self.page.adopted:
                self.fields[field_id] = value.value
            return
        if _nested(field) or (not _OPEN.fullmatch(found) and found not in before):
            self.kept[field_id] = found
            return
        shown = msgspec.structs.replace(
            field, quoted=field.quoted or (value.quoted and value.value != PENDING)
        )
        self.edits.append(value_edit(self.text, shown, value.value))
        self.renew_note(field, value)
        self.fields[field_id] = value.value

    def renew_note(self, field: Field, value: Value) -> None:
        """Bring up the machine's note behind a value: one that differs from the new one in digits
        alone, as times do.
        """
        start, end = field.value_span.end, field.raw_span.end
        there, wanted = self.text[start:end], f" ({value.note})"
        if value.note and there != wanted and _DIGIT.sub("0", there) == _DIGIT.sub("0", wanted):
            self.edits.append(Edit(start, end, wanted))

    # ── job blocks
    # ─────────────────────────────────────────────────────────────────────────────────────────────────

    def jobs(self) -> None:
        blocks = self.document.of("job")
        taken: list[Section] = []
        ids = {
            f"{one.value}"
            for job in self.page.jobs
            for one in job.fields
            if one.name == "execution_id"
        }
        for job in self.page.jobs:
            block = self.block_of(job, [one for one in blocks if one not in taken], ids)
            if block is not None:
                taken.append(block)
                self.put(f"job.{job.name}.", block, job.fields)
            elif not self.removed(f"job.{job.name}.", job.fields):
                self.add_section("job", _job_heading(job), [one.line() for one in job.fields])
                self.fields |= {f"job.{job.name}.{one.name}": one.value for one in job.fields}

    def block_of(self, job: JobBlock, blocks: list[Section], ids: set[str]) -> Section | None:
        """The block of this execution: by an id that it has or had, else the first that has none
        yet.
        """
        mine = {one.value for one in job.fields if one.name == "execution_id"} - {PENDING}
        mine |= self.written.fields.get(f"job.{job.name}.execution_id", set()) - {PENDING}
        open_: Section | None = None
        for block in blocks:
            field = block.field(*ALIASES["execution_id"])
            if field is not None:
                found = field.value
            else:
                found = ""
            if found in mine:
                return block
            if (
                open_ is None
                and field is not None
                and _OPEN.fullmatch(found)
                and found not in ids - {PENDING}
            ):
                open_ = block
        return open_

    # ── status
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> None:
        found = self.document.of("status")
        there = {
            self.words(node)
            for section in found
            for node in deep(section.nodes)
            if isinstance(node, StatusLine)
        }
        new = [line for line in self.page.status if line not in self.written.lines]
        self.lines = new
        missing = [line for line in new if line not in there]
        if not missing:
            return
        if found:
            self.insert(self.end_of_status(found[0]), [f"- {line}" for line in missing])
        elif self.written.lines:
            self.lines = []
            self.kept["status"] = ""
        else:
            self.add_section("status", HEADINGS["status"], [f"- {line}" for line in missing])

    def words(self, line: StatusLine) -> str:
        return re.sub(
            r"^[ \t]*[-*+][ \t]+", "", self.text[line.span.start : line.span.end]
        ).rstrip()

    def end_of_status(self, section: Section) -> int:
        last = [
            node
            for node in section.nodes
            if not (isinstance(node, Verbatim) and node.kind == "blank")
        ]
        if last:
            return _end(last[-1])
        return section.heading.span.end

    # ── places
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def insert(self, at: int, lines: list[str]) -> None:
        self.inserts.setdefault(at, []).extend(lines)

    def end_of_fields(self, section: Section) -> int:
        fields = [node for node in section.nodes if isinstance(node, Field)]
        if fields:
            return _end(fields[-1])
        return section.heading.span.end

    def add_section(self, kind: str, heading: str, lines: list[str]) -> None:
        """Put a section in: behind the last of its kind or of those before it, else before the
        first of those after it, else at the end.
        """
        sections = self.document.sections
        if not any(one.kind for one in sections):
            sections = list(self.document.walk())  # all of it may stand below one heading
        before = set(_ORDER[: _ORDER.index(kind) + 1])
        earlier = [one for one in sections if one.kind in before]
        later = [one for one in sections if one.kind and one.kind not in before]
        if earlier:
            at = earlier[-1].heading.span.start + len(self.document.slice(earlier[-1]))
            self.insert(at - len(self.blank_before(at)), ["", f"## {heading}", *lines])
        elif later:
            self.insert(later[0].heading.span.start, [f"## {heading}", *lines, ""])
        else:
            self.insert(
                len(self.text),
                ["", f"## {heading}", *lines] if self.text else [f"## {heading}", *lines],
            )

    def blank_before(self, at: int) -> str:
        """The blank lines in front of a place: they stay behind what is put in."""
        return re.search(r"(?:(?<=\n)[ \t]*\r?\n)*\Z", self.text[:at])[0]  # type: ignore[index]


def _end(node: Node) -> int:
    """Where a node ends, with what stands below it; blank lines at its end are left out."""
    return max(
        one.span.end
        for one in deep([node])
        if not (isinstance(one, Verbatim) and one.kind == "blank")
    )


def _nested(field: Field) -> bool:
    return any(
        not isinstance(child, Verbatim) or child.kind not in ("blank", "comment")
        for child in field.children
    )
