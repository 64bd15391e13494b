"""A run log's content as the machine knows it, and how it is printed as a new file. Pure.

`report/compose/splice.py` puts a page into a file that exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from watchkeeper.core.events import Number
from watchkeeper.report.runlog.document import name_of

PENDING = "pending"
NONE = "n/a"
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
# The names under which older logs have a field.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "execution_id": ("execution_id", "job_id", "slurm_job_id", "id"),
    "submitted_start": ("submitted_start", "submitted", "start", "started", "submitted_at"),
    "submitted": ("submitted", "submitted_start", "submitted_at"),
    "end": ("end", "ended", "finished", "end_time"),
    "runtime": ("runtime", "elapsed", "duration"),
    "run_type": ("run_type", "mode", "type"),
}


class Value(msgspec.Struct, frozen=True):
    """One field: `key` as it is printed. `quoted`: in backticks; `note` follows in parentheses."""

    key: str
    value: str
    quoted: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """The key in its dialect-free form: `submitted_start` of `submitted/start`."""
        return name_of(self.key)

    def line(self) -> str:
        """Print `- key: value`, without a line end: `- end: `2026-03-12T03:00:10Z` (by its
        record)`.

        `pending` is never quoted: it is no value. A value with a backtick in it stays bare.
        """
        shown = self.value
        can_be_quoted = self.value not in ("", PENDING) and "`" not in self.value
        if self.quoted and can_be_quoted:
            shown = f"`{self.value}`"
        line = f"- {self.key}: {shown}".rstrip()
        if self.note:
            line += f" ({self.note})"
        return line


class JobBlock(msgspec.Struct, frozen=True):
    """One execution of a job. `name` never changes: `1` for the first attempt, `1.2` for its second
    execution.
    """

    name: str
    fields: list[Value]
    qualifier: str = ""

    @property
    def heading(self) -> str:
        """The block's heading, without its `##`: `Job`, `Job (resumed)`."""
        if self.qualifier:
            return f"{HEADINGS['job']} ({self.qualifier})"
        return HEADINGS["job"]


class Page(msgspec.Struct, frozen=True):
    """A run log's content as the machine knows it. `sections`: kind → fields; `status`: lines
    without their bullet. `adopted`: someone else began the log, and what was in it stays theirs,
    also where the machine says the same.
    """

    title: str
    sections: dict[str, list[Value]]
    jobs: list[JobBlock]
    status: list[str]
    adopted: bool = False

    def fields(self) -> Iterator[tuple[str, Value]]:
        """Yield every field with its id: `config.dataset`, `job.1.node`. The journal names fields
        by these ids (`documented`), so that they must not change.

        First those of the sections, in their order, then those of each job block.
        """
        for kind, values in self.sections.items():
            for value in values:
                yield f"{kind}.{value.name}", value
        for job in self.jobs:
            for value in job.fields:
                yield f"job.{job.name}.{value.name}", value


class Written(msgspec.Struct):
    """What the machine has written into a file so far. `fields`: a field's id → every value that it
    gave it.
    """

    fields: dict[str, set[str]] = {}
    lines: set[str] = set()
    kept: dict[str, str] = {}


class Change(msgspec.Struct, frozen=True):
    """A file's new text, and what is new in it: `fields` and `lines` were written now, `kept` is
    what a person changed.
    """

    text: str
    fields: dict[str, str]
    lines: list[str]
    kept: dict[str, str]


def print_page(page: Page) -> Change:
    """Print the page as a new file: the title, then its sections in the order of `HEADINGS`.

        # train_front_cam — front camera, default learning rate

        ## Mode
        - run_type: experiment
        …

    A page without a job has no Job section; Status is always there, as the place for what follows.
    The change says that every field and line was written, and that nothing was kept.
    """
    parts = [f"# {page.title}\n"]
    for kind, heading in HEADINGS.items():
        if kind == "job":
            for job in page.jobs:
                parts.append(_print_section(job.heading, _lines_of(job.fields)))
        elif kind == "status":
            status = [f"- {line}" for line in page.status]
            parts.append(_print_section(heading, status))
        elif kind in page.sections:
            parts.append(_print_section(heading, _lines_of(page.sections[kind])))
    fields = {field_id: value.value for field_id, value in page.fields()}
    return Change("\n".join(parts), fields, list(page.status), {})


def _lines_of(values: Iterable[Value]) -> list[str]:
    """Print fields, each on its line."""
    return [value.line() for value in values]


def _print_section(heading: str, lines: Iterable[str]) -> str:
    """Print a heading and its lines; the last one ends with a newline."""
    return "\n".join([f"## {heading}", *lines, ""])


def format_number(value: Number) -> str:
    """Print a figure to six digits: `0.0285`, `12`, `1e-06`; `NaN` and infinities as they are
    spelled.
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
