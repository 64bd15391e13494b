"""A run log as the rules see it: what its name and its mode say, and whether a field answers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeGuard

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.dates import stamp
from watchkeeper.report.runlog.document import Document, Field, Section, Span, Verbatim, parse
from watchkeeper.report.runlog.experiments_table import (
    Row,
    file_of,
    names_of,
    same_log,
    spelled,
)
from watchkeeper.report.runlog.file import File

ID = (
    "execution_id", "job_id", "slurm_job_id", "jobid", "slurm_jobid", "slurm_job", "slurm_id",
    "job_ids", "execution_ids", "slurm_job_ids", "id", "job", "jobs", "instance", "instance_id",
    "instance_name", "instance_zone", "vm", "pod", "array_job_id", "task_id", "pid",
)  # fmt: skip
START = (
    "submitted_start", "start", "started", "submitted", "submitted_at", "start_time", "started_at",
    "submit_time", "submit", "launched", "launched_at", "queued", "queued_at", "submission",
    "begin", "begun", "submitted_started", "date", "when",
)  # fmt: skip
END = (
    "end",
    "ended",
    "finished",
    "completed",
    "end_time",
    "ended_at",
    "finished_at",
    "completed_at",
    "finish",
    "stopped",
    "stop",
)
RUNTIME = (
    "runtime", "elapsed", "duration", "run_time", "elapsed_time", "total_runtime", "total_time",
    "took", "wall_clock", "wallclock", "wall_clock_time", "time_taken", "training_time",
    "time_elapsed",
)  # fmt: skip
WALLTIME = ("wall_time", "walltime", "time")
"""What some call the runtime, and others the limit that they asked for."""
LOCAL = (
    "local",
    "local_dir",
    "offline",
    "local_run",
    "offline_dir",
    "offline_run",
    "run_dir",
    "dir",
)
SYNCED = ("synced", "url", "run", "link", "sync", "online", "dashboard", "run_url", "wandb_url")
CONFIG = {
    "script": (
        "script", "slurm_script", "train_script", "training_script", "sbatch_script", "job_script",
        "eval_script", "run_script", "launch_script", "entry_script", "batch_script", "command",
        "cmd", "submit_command", "launch_command", "train_command", "run_command", "launch",
        "launcher", "sbatch", "entrypoint", "entry_point", "program", "scripts", "commands",
        "docker", "run",
    ),
    "config": (
        "config", "base_config", "configs", "config_file", "config_files", "config_name",
        "config_path", "configuration", "train_config", "training_config", "model_config",
        "experiment_config", "yaml", "recipe", "recipes", "hydra_config", "overrides",
        "base_configs",
    ),
    "dataset": (
        "dataset", "datasets", "data", "dataset_path", "data_path", "train_dataset",
        "training_data", "train_data", "data_dir", "dataset_dir", "dataset_name", "input", "inputs",
        "input_data", "source", "sources", "corpus", "data_source", "eval_dataset", "eval_data",
        "benchmark",
    ),
}  # fmt: skip
OBJECTIVE = (
    "objective", "goal", "purpose", "objectives", "aim", "hypothesis", "question",
    "research_question", "motivation", "why", "intent",
)  # fmt: skip

DATED = lazy.pattern(r"(\d{4}-\d{2}-\d{2})_(.+)\.md", re.DOTALL)
_REVERSED = lazy.pattern(r"(.+)_(\d{4}-\d{2}-\d{2})\.md", re.DOTALL)
JOB_ID = lazy.pattern(r"[_-]job[_-]?\d+(?=\.md$|_)")
_DRAFT = lazy.pattern(
    r"[._].*|(?:.*[_\-. ])?(?:training[_\- ]?log|model[_\- "
    r"]?card|draft|sanitized|publication|read_?me)(?:[_\-. ].*)?"
    r"|(?:hub|hf|hugging_?face|public)[_\- ].*",
    re.DOTALL,
)
_FRONT_MATTER = lazy.pattern(
    r"\ufeff?---\r?\n(?:.*\n){0,40}?(?:license|library_name|base_model|pipeline_tag"
    r"|model-index)\s*:"
)
_OTHER_WORK = lazy.pattern(
    r"evals?|evaluat\w*|bench\w*|inference|infer|tests?|testing|smoke|data|dataset|prep|preprocess\w*|embed\w*"
    r"|tokeniz\w*|conver[ts]\w*"
    r"|export\w*|download\w*|extract\w*|filter\w*|generate|rollouts?|deploy\w*|upload|profil\w*|dedup\w*|score|scoring"
)
_TRAINING_WORK = lazy.pattern(
    r"train|training|finetun\w*|tune|tuning|pretrain|pretraining|sft|dpo|rl|ppo|grpo|distill\w*"
)
_RUN_TYPE = lazy.pattern(
    r"\W{0,4}(replicat\w*|experiments?|pipeline)\b.*", re.IGNORECASE | re.DOTALL
)
_EVALUATES = lazy.pattern(r"\b(?:eval\w*|benchmark\w*|inference)\b")
_INDEXES = ("timeline.md", "experiments.md", "readme.md")
_DATED_DRAFT = lazy.pattern(
    r"(?:.*[_\-])?(?:training[_\-]?log|model[_\-]?card)(?:[_\-](?:draft|public))?"
)
PLACEHOLDER = lazy.pattern(r"<(?!https?://)[^<>]{1,300}>")
_OPEN = lazy.pattern(
    (
        r"(?:(?:pending|tbd|todo|unknown|not yet)(?:\W.*)?|(?:still )?running|in "
        r"progress|ongoing|queued|\?+|-+|—|\.\.\.|…)?"
    ),
    re.DOTALL | re.IGNORECASE,
)
_NONE = lazy.pattern(
    (
        r"(?:n/?a|none|not applicable|no|disabled|not used|unused|off|not logged|nothing|not "
        r"needed)(?:\W.*)?"
    ),
    re.DOTALL | re.IGNORECASE,
)
_SANITIZED = lazy.pattern(
    r"<(?:redacted|removed|hidden|masked|unk|pad|bos|eos|mask|s|/s|user|none|null|\S+@\S+)>",
    re.IGNORECASE,
)


class Log(msgspec.Struct, frozen=True, dict=True):
    """A run log with what the rules ask of it.

    `day` is the date in its name as it is written, `2026-03-11` ("": it has none), `task` the rest
    of the name, and `run_type` the field that says what kind of run it is (None: none does).
    """

    file: File
    document: Document
    day: str
    task: str
    run_type: Field | None

    @property
    def kind(self) -> str:
        """`replication`, `experiment`, `pipeline`, or "" where the run type is missing or another.

        `run_type: replicates the paper` is a replication.
        """
        match = re.search(r"replicat|experiment|pipeline", self._type_words)
        if match is None:
            return ""
        if match[0] == "replicat":
            return "replication"
        return match[0]

    @property
    def _type_words(self) -> str:
        """What the log says of its type; "": nothing."""
        if self.run_type is None:
            return ""
        return self.run_type.value.casefold()

    @cached_property
    def trains(self) -> bool:
        """Whether the run makes a checkpoint, as far as its type, task, title and script say.

        `2026-03-11_eval_lift.md` does not, and neither does a pipeline. A log that does not mention
        it is taken for a training: most are.
        """
        if self.kind == "pipeline":
            return False
        if _EVALUATES.search(self._type_words):
            return False
        for text in self._names():
            trains = _work(text)
            if trains is not None:
                return trains
        return True

    def _names(self) -> Iterator[str]:
        """What the work is called, the best name first: by its task, its title, its script.

        Of the title `# eval_lift — all scenes` that is `eval_lift`, of the script `sbatch
        slurm/train.sh` it is `train`.
        """
        yield self.task
        title = self.document.title
        if title:
            yield re.split(r" [—–-] |:", title.text)[0]
        script = self.config("script")
        words = script.value.split() if script is not None else []
        if words:
            yield PurePosixPath(words[-1]).stem

    @cached_property
    def jobs(self) -> tuple[Section, ...]:
        """The job blocks, in the order of the page: see `facts.sections`."""
        return self.sections("job")

    def sections(self, kind: str) -> tuple[Section, ...]:
        """The sections of a kind, under its name or another word for it; looked for once. Empty:
        the log has none.
        """
        if kind not in self._sections:
            self._sections[kind] = tuple(facts.sections(self.document, kind))
        return self._sections[kind]

    @cached_property
    def _sections(self) -> dict[str, tuple[Section, ...]]:
        return {}

    def section(self, kind: str) -> Section | None:
        """The first section of a kind; None: there is none. Further ones are often of a
        resumption.
        """
        return next(iter(self.sections(kind)), None)

    def fields_of(self, *kinds: str) -> list[Field]:
        """All that the sections of these kinds record, kind by kind, in the order of `kinds`.

        Nested fields and the rows of tables are included: see `facts.facts`.
        """
        fields: list[Field] = []
        for kind in kinds:
            for section in self.sections(kind):
                fields += self.facts(section)
        return fields

    def prose_of(self, *kinds: str) -> Iterator[str]:
        """The text of each section of these kinds: all but headings, code and comments.

        One text for each section, in the order of `kinds`, then of the page.
        """
        for kind in kinds:
            for section in self.sections(kind):
                yield facts.prose(self.document, section)

    def fact(self, section: Section | None, *names: str) -> Field | None:
        """The first fact of a section under one of these names, the earlier name winning.

        None: there is no section, or it has none of them.
        """
        if section is None:
            return None
        return facts.first(self.facts(section), *names)

    def facts(self, section: Section) -> list[Field]:
        """All that a section records, nested fields and tables included; worked out once for
        each.
        """
        at = section.heading.span.start
        if at not in self._facts:
            self._facts[at] = facts.facts(self.document, section)
        return self._facts[at]

    @cached_property
    def _facts(self) -> dict[int, list[Field]]:
        """What has been worked out: the facts of a section by the offset of its heading."""
        return {}

    def config(self, what: str) -> Field | None:
        """The script, config or dataset: from Config, else from the job blocks, Mode, or the head
        of the page.

        `what` is a key of `CONFIG`. None: no such field says anything; `dataset: pending` does not.
        """
        for field in self.configs(what):
            if filled(field):
                return field
        return None

    def configs(self, what: str) -> tuple[Field, ...]:
        """The fields that may hold the script, config or dataset, the best place first; empty ones
        too. Looked for once.

        `what` is a key of `CONFIG`, which lists the names of such fields: `slurm_script`, `sbatch`.
        """
        if what not in self._configs:
            self._configs[what] = tuple(self._found_configs(what))
        return self._configs[what]

    @cached_property
    def _configs(self) -> dict[str, tuple[Field, ...]]:
        return {}

    def _found_configs(self, what: str) -> Iterator[Field]:
        places = []
        for kind in ("config", "job", "mode"):
            places += [self.facts(section) for section in self.sections(kind)]
        best = places[:1]
        for fields in (*places, facts.header(self.document)):
            names = CONFIG[what]
            if fields not in best:
                # elsewhere a `run` may be anything
                names = tuple(name for name in names if name != "run")
            field = facts.first(fields, *names)
            if field is not None:
                yield field


def _work(text: str) -> bool | None:
    """Whether a name is of a training: its first word decides, else a word for training, else one
    for other work.

        eval_train_split     False: the first word is of other work
        arm_train_eval       True
        arm_smoke_test       False
        arm_front_cam        None: it does not say
    """
    words = [word for word in re.split(r"[_\-.\s/]+", text.casefold()) if word]
    if words and _OTHER_WORK.fullmatch(words[0]):
        return False
    if any(map(_TRAINING_WORK.fullmatch, words)):
        return True
    if any(map(_OTHER_WORK.fullmatch, words)):
        return False
    return None


def read(file: File) -> Log | None:
    """The file as a run log; None if it neither has the name of one nor any of its telling
    sections, or is a draft of what is to be published.

        2026-03-11_train.md               a log of that day, task `train`
        train_2026-03-11.md               the same; lint asks for the other order
        2026-03-11_train_job70412.md      the same: a job's id is no part of the task
        train.md                          a log without a day, if it has a Job section
        timeline.md, README.md            none
        2026-03-11_model_card.md          none: a draft

    A file that could not be read is none either.
    """
    if file.text is None or file.name.casefold() in _INDEXES:
        return None
    name = DATED.fullmatch(file.name)
    stem = file.name[:-3]
    shown = name[2] if name else stem
    if _is_draft(shown, file.text, dated=name is not None):
        return None
    document = parse(file.text)
    reverse = _REVERSED.fullmatch(file.name)
    if name is not None:
        day, task = name[1], name[2]
    elif reverse is not None:
        day, task = reverse[2], reverse[1]
    elif _has_telling_sections(document):
        day, task = "", stem
    else:
        return None
    task = JOB_ID.sub("", f"{task}.md").removesuffix(".md")
    return Log(file, document, day, task, _run_type(document))


def _has_telling_sections(document: Document) -> bool:
    """Whether a page is a run log whatever its name: it has a Job section, or both Config and
    Status.

    A note on some run may have one of the latter two.
    """
    if document.of("job"):
        return True
    return bool(document.of("config") and document.of("status"))


def _is_draft(name: str, text: str, *, dated: bool) -> bool:
    """Whether a page is what is to be published: a training log without the cluster's details, a
    model card.

    `name` is without date and suffix: `_hub_training_log`, `model_card`, `README`. A page without a
    date may also begin as a card of the Hub does, with `---` and a `license:`.
    """
    name = name.casefold()
    if dated:
        return _DATED_DRAFT.fullmatch(name) is not None
    if _DRAFT.fullmatch(name):
        return True
    return _FRONT_MATTER.match(text) is not None


def _run_type(document: Document) -> Field | None:
    """The run type: in Mode, else in a field that is called so anywhere, else in Mode's words.

        ## Mode                     ## Mode: replication      ## Mode
        - run_type: experiment                                experiment: a higher rate

    None: nothing says it. A type that is only in words comes as a field without a place of its own:
    its span is that of the heading or line.
    """
    modes = facts.sections(document, "mode")
    for section in modes:
        field = facts.fact(document, section, "run_type", "mode", "type", "kind", "runtype")
        if field is not None:
            return field
    for field in facts.every_field(document):
        if _names_run_type(field):
            return field
    for section in modes:
        field = _in_words(document, section)
        if field is not None:
            return field
    return None


def _names_run_type(field: Field) -> bool:
    """Whether a field outside of Mode is of the run type: `run_type` anywhere, `mode` near the top
    of the page only. Further down, `mode: offline` is of W&B, say.
    """
    if field.name == "mode":
        return field.span.line < 40
    return field.name in ("run_type", "runtype")


def _in_words(document: Document, section: Section) -> Field | None:
    """The run type as a section says it without a key: in its heading, `## Mode: replication`, or
    in a line of its own, `- experiment with a higher rate`.

    None: neither begins with a word for one.
    """
    behind = section.heading.text.partition(":")[2].strip()
    if _RUN_TYPE.fullmatch(behind):
        return _as_field(behind, section.heading.span)
    for node in section.nodes:
        if isinstance(node, Field):
            continue
        text = document.text[node.span.start : node.span.end].strip().lstrip("-*+ ")
        if _RUN_TYPE.fullmatch(text):
            return _as_field(text, node.span)
    return None


def _as_field(text: str, span: Span) -> Field:
    """A `run_type` with these words, for a run type that stands in no field."""
    return Field(span, 0, "run_type", "run_type", text.strip("*_` "), span, span, False, [])


def filled(field: Field | None) -> bool:
    """Whether a field says something: `n/a` does, `pending`, nothing and the template's text do
    not.

        - node: gpu-07                 yes
        - dataset: n/a                 yes: the answer is that there is none
        - end: pending                 no, nor `tbd`, `unknown`, `still running`, `-`, `?`
        - config: <path to config>     no
        - overrides:                   yes, if anything stands below it
    """
    if field is None:
        return False
    if nested(field):
        return True
    if _OPEN.fullmatch(field.value):
        return False
    return not is_placeholder(field.value)


def is_placeholder(text: str) -> bool:
    """Whether a value is the template's own text, in angle brackets: `<path to config>`.

    An address (`<https://example.org>`) is none, nor what was taken out: `<redacted>`.
    """
    if not PLACEHOLDER.fullmatch(text):
        return False
    return _SANITIZED.fullmatch(text) is None


def nested(field: Field) -> bool:
    """Whether bullets or text stand below a field. Empty lines and comments do not count."""
    for child in field.children:
        if not isinstance(child, Verbatim):
            return True
        if child.kind not in ("blank", "comment"):
            return True
    return False


def is_none(text: str) -> bool:
    """Whether a text says that there is nothing: `n/a`, `none`, `not used (offline)`."""
    return _NONE.fullmatch(text) is not None


def says_none(field: Field | None) -> bool:
    """Whether a field says that there is nothing. False too: there is no field."""
    if field is None:
        return False
    return is_none(field.value)


def answers(field: Field | None) -> TypeGuard[Field]:
    """Whether a field says something, and not that there is nothing: neither `pending` nor `n/a`.

    False too: there is no field.
    """
    if field is None or not filled(field):
        return False
    return not is_none(field.value)


def place(section: Section | None, field: Field | None = None) -> int:
    """The line that a finding names, from 1: the field's, else the section's, else the first."""
    if field:
        return field.span.line
    if section:
        return section.heading.span.line
    return 1


def day_of(log: Log) -> date | None:
    """The day in the log's name; None if there is none, or no such day (`2026-02-30`)."""
    at = stamp(log.day)
    if at is None:
        return None
    return at.day


class RowIndex:
    """The rows of tables that compare runs, by the files that they link to and by their names.

    A row with links, `[train](arm/2026-03-11_train.md)`, is that of the logs it links to, whatever
    its words.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)
        self._by_file: dict[str, list[int]] = defaultdict(list)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for place, row in enumerate(self._rows):
            if row.links:
                keys, index = set(map(file_of, row.links)), self._by_file
            else:
                keys, index = set(row.spellings), self._by_name
            for key in keys:
                index[key].append(place)

    def of(self, log: Log) -> list[Row]:
        """The rows of a log, in the order of the tables."""
        name = log.file.name
        path = "/".join(log.file.parts)
        places: set[int] = set()
        for place in self._by_file.get(name, ()):
            links = self._rows[place].links
            if any(same_log(link, path) or same_log(link, name) for link in links):
                places.add(place)
        for called in names_of(log.day, log.task, name.removesuffix(".md")):
            places.update(self._by_name.get(spelled(called), ()))
        return [self._rows[place] for place in sorted(places)]
