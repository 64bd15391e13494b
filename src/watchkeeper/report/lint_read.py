"""A run log as the rules see it: what its name and its mode say, and whether a field answers."""

from __future__ import annotations

import re
from datetime import date

import msgspec

from watchkeeper.report.dates import stamp
from watchkeeper.report.lint import File
from watchkeeper.report.runlog import Document, Field, Section, Verbatim, parse

ID = ("execution_id", "job_id", "slurm_job_id", "job_ids", "id", "job", "instance")
START = ("submitted_start", "start", "started", "submitted", "submitted_at", "start_time")
END = ("end", "ended", "finished", "completed", "end_time")
RUNTIME = ("runtime", "elapsed", "duration")
LOCAL = ("local", "local_dir", "offline")
SYNCED = ("synced", "url", "run", "link")
CONFIG = {
    "script": ("script", "command", "submit_command", "launch", "launcher", "sbatch"),
    "config": ("config", "configs", "config_file", "config_name", "config_path", "recipe"),
    "dataset": ("dataset", "datasets", "data", "dataset_path", "data_path", "input", "inputs"),
}

DATED = re.compile(r"(\d{4}-\d{2}-\d{2})_(.+)\.md", re.DOTALL)
_REVERSED = re.compile(r"(.+)_(\d{4}-\d{2}-\d{2})\.md", re.DOTALL)
JOB_ID = re.compile(r"[_-]job[_-]?\d+(?=\.md$|_)")
_OTHER = r"(?:evals?|evaluation|bench|benchmark|inference|infer|tests?|smoke|data)"
_NOT_TRAINING = re.compile(rf"{_OTHER}(?:_.*)?|(?!.*(?:train|tune)).*_{_OTHER}(?:_.*)?", re.DOTALL)
PLACEHOLDER = re.compile(r"<(?!https?://)[^<>]{1,300}>")
_OPEN = re.compile(
    r"(?:(?:pending|tbd|todo|unknown|not yet)(?:\W.*)?|(?:still )?running|in progress|ongoing|queued|\?+|-+|—|\.\.\.|…)?",
    re.DOTALL | re.IGNORECASE,
)
_NONE = re.compile(r"(?:n/?a|none|not applicable|no|disabled|not used|off)(?:\W.*)?", re.DOTALL | re.IGNORECASE)


class Log(msgspec.Struct, frozen=True):
    """A run log with what the rules ask of it."""

    file: File
    document: Document
    day: str
    task: str
    run_type: Field | None

    @property
    def kind(self) -> str:
        """`replication`, `experiment`, `pipeline`, or ""."""
        match = re.match(r"replication|experiment|pipeline", self.run_type.value.casefold()) if self.run_type else None
        return match[0] if match else ""

    @property
    def trains(self) -> bool:
        """Whether the run makes a checkpoint, as far as its type and task say."""
        return self.kind != "pipeline" and not _NOT_TRAINING.fullmatch(self.task.casefold())


def read(file: File) -> Log | None:
    """The file as a run log; None if it neither has the name of one nor any of its telling sections."""
    if file.name.casefold() in ("timeline.md", "experiments.md", "readme.md") or file.text is None:
        return None
    document = parse(file.text)
    name = DATED.fullmatch(file.name)
    reverse = None if name else _REVERSED.fullmatch(file.name)
    if not name and not reverse and not (document.of("job") or (document.of("config") and document.of("status"))):
        return None
    day, task = (name[1], name[2]) if name else (reverse[2], reverse[1]) if reverse else ("", file.name[:-3])
    return Log(file, document, day, JOB_ID.sub("", task + ".md")[:-3], _run_type(document))


def _run_type(document: Document) -> Field | None:
    for section in document.of("mode"):
        if found := section.field("run_type", "mode", "type"):
            return found
    fields = (node for node in document.all_nodes() if isinstance(node, Field))
    return next((f for f in fields if f.name == "run_type" or (f.name == "mode" and f.span.line < 40)), None)


def filled(field: Field | None) -> bool:
    """Whether a field says something: `n/a` does, `pending`, nothing and the template's text do not."""
    if field is None:
        return False
    if nested(field):
        return True
    return not _OPEN.fullmatch(field.value) and not PLACEHOLDER.fullmatch(field.value)


def nested(field: Field) -> bool:
    """Whether bullets or text stand below a field."""
    return any(not isinstance(child, Verbatim) or child.kind not in ("blank", "comment") for child in field.children)


def is_none(text: str) -> bool:
    """Whether a text says that there is nothing: `n/a`, `none`, `not used`."""
    return _NONE.fullmatch(text) is not None


def says_none(field: Field | None) -> bool:
    """Whether a field says so."""
    return field is not None and is_none(field.value)


def place(section: Section | None, field: Field | None = None) -> int:
    """The line to name: the field's, else the section's, else the first."""
    return field.span.line if field else section.heading.span.line if section else 1


def day_of(log: Log) -> date | None:
    """The day in the name; None if there is none, or no such day."""
    found = stamp(log.day)
    return found.day if found else None
