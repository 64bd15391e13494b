"""The events: every fact that Watchkeeper writes down, one JSON line each.

Each event is frozen and typed, carries its kind, aware UTC time, writer and sequence number, and fields whose types say
how sensitive they are (`sensitivity`): publication is an allow-list over those types. Old lines are upgraded when they
are read (`decode`), never rewritten. A kind that this version does not know is kept as `Unknown`; a known kind with bad
fields is damage.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

SCHEMA = 1

# Sensitivity: what publication must know of a field. A plain `str` is free of them by construction.
FilePath = Annotated[str, Meta(extra={"sensitivity": "path"})]
Host = Annotated[str, Meta(extra={"sensitivity": "host"})]
BootId = Annotated[str, Meta(extra={"sensitivity": "host"})]
JobId = Annotated[str, Meta(extra={"sensitivity": "job id"})]
User = Annotated[str, Meta(extra={"sensitivity": "user"})]
Account = Annotated[str, Meta(extra={"sensitivity": "account"})]
# Words of a person, a job or a scheduler: they may hold any of the above.
FreeText = Annotated[str, Meta(extra={"sensitivity": "free text"})]

Number = int | float | Literal["NaN", "Infinity", "-Infinity"]
Phase = Literal["preparation", "evaluation"]
PHASES: tuple[Phase, ...] = ("preparation", "evaluation")


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", gc=False):
    """One immutable fact. `seq` counts a writer's events from 0; `time` is the writer's clock."""

    time: datetime
    writer: str
    seq: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One observation with its source. `size_bytes` and `modified` describe a file; None where there is none."""

    source: FilePath
    what: FreeText
    size_bytes: int | None = None
    modified: datetime | None = None


# ── by commands ────────────────────────────────────────────────────────────────────────────────────────────────────


class Opened(Event, frozen=True, kw_only=True, omit_defaults=True, tag="opened"):
    """The first event of each writer's file. `saw[w] = n`: this writer had read n events of writer w; `zone` is the
    IANA time zone of views; `schema` is the version of every line in this file.
    """

    schema: int
    software: str
    purpose: str
    zone: str
    host: Host = ""
    boot_id: BootId = ""
    pid: int = 0
    start_ticks: int = 0
    user: User = ""
    saw: dict[str, int] = {}


class Leased(Event, frozen=True, kw_only=True, omit_defaults=True, tag="leased"):
    """This writer now holds lease number `lease` on the live views; `saw` as in `opened`, at that moment."""

    lease: int
    saw: dict[str, int] = {}


class RunItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One piece of work of a plan. `script` is relative to the experiment's folder, "" for none."""

    key: str
    phase: Phase
    run: str
    script: FilePath = ""
    task: str = ""
    epoch: int | None = None
    control: bool = False


class Planned(Event, frozen=True, kw_only=True, omit_defaults=True, tag="planned"):
    """A phase of an execution began (None: the execution itself), having read this plan. `summary` is a file's name, ""
    for a folder read by its tree; `items` is the phase's work (None: all of it); `notes` are findings about the sources.
    """

    phase: Phase | None
    experiment: str
    folder: FilePath
    summary: str
    summary_sha256: str = ""
    items: tuple[RunItem, ...] = ()
    notes: tuple[FreeText, ...] = ()


Action = Literal["submit", "retry", "wait", "active", "skip", "blocked"]


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is to be done with one piece of work, why, and on what evidence. `attempt` is the attempt that would be
    made (submit, retry) or that is meant (active); 0 for none.
    """

    key: str
    phase: Phase
    action: Action
    reason: str
    detail: FreeText = ""
    attempt: int = 0
    stale: bool = False
    evidence: tuple[Evidence, ...] = ()


class Decided(Event, frozen=True, kw_only=True, omit_defaults=True, tag="decided"):
    """What this execution decided for a phase: all of it the first time (`first`), later only what changed."""

    phase: Phase
    decisions: tuple[Decision, ...]
    first: bool = False


class Intended(Event, frozen=True, kw_only=True, omit_defaults=True, tag="intended"):
    """This writer holds the attempt and is about to submit it. `inputs` maps a checkpoint's subject to its fingerprint."""

    key: str
    phase: Phase
    attempt: int
    token: str
    script: FilePath
    script_sha256: str
    inputs: dict[str, str] = {}


class Submitted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="submitted"):
    """The scheduler has the job. `command` is as typed by a person, `exact` what was really run; `adopted` when the
    job was found, having been submitted by somebody who could not say so; `stagger_s` is the wait before it.
    """

    key: str
    phase: Phase
    attempt: int
    job_id: JobId
    scheduler: str
    command: FreeText
    exact: FreeText = ""
    adopted: bool = False
    by: str = ""
    stagger_s: float = 0.0


class Rejected(Event, frozen=True, kw_only=True, omit_defaults=True, tag="rejected"):
    """The scheduler refused the job, or it could not be handed over: no job of this attempt exists."""

    key: str
    phase: Phase
    attempt: int
    command: FreeText
    message: FreeText


class Doubted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="doubted"):
    """Whether the scheduler took the job could not be told."""

    key: str
    phase: Phase
    attempt: int
    command: FreeText
    message: FreeText


class SchedulerFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the scheduler says of a job: times, memory and node are the scheduler's own. None = it did not say."""

    state: str
    reason: FreeText = ""
    exit_code: int | None = None
    signal: int | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    max_rss_bytes: int | None = None
    node: Host = ""
    output: FilePath = ""
    error_output: FilePath = ""


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How an execution ended, written by the wrapper as its last act. `exit_code` as the shell says it: 128 + n for a
    signal. `interrupted`: the scheduler had sent TERM, and may start the same job again.
    """

    job_id: JobId
    exit_code: int
    execution: int = 1
    ended: datetime | None = None
    nonce: str = ""
    interrupted: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a poll found changed in one attempt. The scheduler's word and the wrapper's exit record are kept apart; `after`
    is what they say together. `before` is the state this writer last knew; `last_line` is the last line on the job's
    standard error.
    """

    key: str
    phase: Phase
    attempt: int
    job_id: JobId
    before: str
    after: str
    facts: SchedulerFacts
    exit_record: ExitRecord | None = None
    last_line: FreeText = ""


class Polled(Event, frozen=True, kw_only=True, omit_defaults=True, tag="polled"):
    """One look at the scheduler: written when something changed, and at least hourly. `counts` is state → jobs for
    every job of the phase this execution knows; `error` is why it could not be asked, "" if it could.
    """

    phase: Phase
    query: FreeText
    interval_s: float
    counts: dict[str, int] = {}
    changes: tuple[Change, ...] = ()
    error: FreeText = ""


class Observed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="observed"):
    """What a watcher met beside the states of jobs: a log that somebody had written into, a scheduler that takes no more
    jobs at present, or that answers again.
    """

    what: Literal["view displaced", "scheduler busy", "scheduler answers"]
    detail: FreeText = ""


class Verified(Event, frozen=True, kw_only=True, omit_defaults=True, tag="verified"):
    """What was looked at before evaluations may start, or at the end, and what was found. `missing` names the rest."""

    what: Literal["finetuning", "checkpoints", "results"]
    looked_at: FreeText
    expected: int
    found: int
    epochs: tuple[int, ...] = ()
    runs: int = 0
    missing: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    evidence: tuple[Evidence, ...] = ()


Outcome = Literal["done", "invalid", "failed", "failed but good", "cancelled", "lost", "unknown", "not run"]


class Judged(Event, frozen=True, kw_only=True, omit_defaults=True, tag="judged"):
    """The verdict on an ended attempt, from its evidence: `invalid` is COMPLETED but what was promised is missing,
    `failed but good` the reverse. `state` is Slurm's name for the end. `fingerprints`: subject → what was found there.
    """

    key: str
    phase: Phase
    attempt: int
    outcome: Outcome
    state: str
    why: FreeText = ""
    fingerprints: dict[str, str] = {}
    metrics: dict[str, Number] = {}
    elapsed_s: float | None = None
    evidence: tuple[Evidence, ...] = ()


class Concluded(Event, frozen=True, kw_only=True, omit_defaults=True, tag="concluded"):
    """Every job of the phase (None: of the experiment) that this execution watched has ended. `counts`: state → jobs."""

    phase: Phase | None
    counts: dict[str, int]
    duration_s: float
    unresolved: tuple[str, ...] = ()


class Detached(Event, frozen=True, kw_only=True, omit_defaults=True, tag="detached"):
    """The watcher left; the jobs go on. `active` is how many there were."""

    why: str
    active: int


class CancelAsked(Event, frozen=True, kw_only=True, omit_defaults=True, tag="cancel_asked"):
    """A person asked the scheduler to end a job."""

    key: str
    phase: Phase
    attempt: int
    job_id: JobId


# ── in the job ─────────────────────────────────────────────────────────────────────────────────────────────────────


class RunStarted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run_started"):
    """A recorded run began. `config` is the user's own, as given; `seed` is the config's. `git_sha` is the commit of the
    script's repository ("" for none), `git_dirty` whether tracked files differed from it (None: it could not be told).
    """

    run_id: str
    pipeline: str
    folder: FilePath
    attempt: FilePath = ""
    job_id: JobId = ""
    config: Annotated[dict[str, Any], Meta(extra={"sensitivity": "free text"})] = {}
    seed: int | None = None
    git_sha: str = ""
    git_branch: FreeText = ""
    git_dirty: bool | None = None


class StepStarted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="step_started"):
    """A named stage of the run began. `label` is its path of numbered names, `01_train/00_warmup`: its folder in the
    run's, and its name in the log. `fingerprint` is its inputs' ("" where none were named).
    """

    step: str
    label: FilePath = ""
    index: int | None = None
    fingerprint: str = ""


class OutputFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that a run made; `path` is relative to the run's folder where it lies in it. `step` is the label of the step
    that made it, "" outside one. `what` is the maker's word for it.
    """

    path: FilePath
    size_bytes: int
    sha256: str
    step: FilePath = ""
    what: FreeText = ""


class StepFinished(Event, frozen=True, kw_only=True, omit_defaults=True, tag="step_finished"):
    """A named stage ended; `error` is "" when it ended well. `row_count_in` and `_out` are None where nobody said.
    `writing_s` is the part of `duration_s` that went into artifacts; `reused_from` is the run folder whose finished step
    stood for this one, "" for none.
    """

    step: str
    duration_s: float
    label: FilePath = ""
    index: int | None = None
    started: datetime | None = None
    writing_s: float = 0.0
    outputs: tuple[OutputFile, ...] = ()
    fingerprint: str = ""
    reused_from: FilePath = ""
    row_count_in: int | None = None
    row_count_out: int | None = None
    metrics: dict[str, Number] = {}
    error: FreeText = ""


class CheckpointFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a checkpoint; `path` is relative to the checkpoint."""

    path: FilePath
    size_bytes: int


class Checkpoint(Event, frozen=True, kw_only=True, omit_defaults=True, tag="checkpoint"):
    """A checkpoint is complete on disk: these files, of these sizes. `training_step` is None where nobody said."""

    path: FilePath
    files: tuple[CheckpointFile, ...]
    training_step: int | None = None


class TableSealed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="table_sealed"):
    """A result table has its final name: `path` holds these rows and bytes. `complete` is False when the work was cut
    short. `rows_before` is how many of the rows an earlier execution had measured, `lost_rows` how many could not be
    written.
    """

    path: FilePath
    rows: int
    bytes: int
    sha256: str
    complete: bool = True
    columns: tuple[FreeText, ...] = ()
    rows_before: int = 0
    lost_rows: int = 0


class Progressed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="progressed"):
    """How far a tracked loop is, written at most once a minute and at its end. `total`, `rate_per_s` and `eta_s` are None
    where nobody can tell; `depth` is 0 for an outermost loop.
    """

    what: FreeText
    done: int
    unit: FreeText
    elapsed_s: float
    total: int | None = None
    rate_per_s: float | None = None
    eta_s: float | None = None
    depth: int = 0
    ended: bool = False


class CadenceSet(Event, frozen=True, kw_only=True, omit_defaults=True, tag="cadence_set"):
    """How often the two tiers are due: in training steps, in seconds, or either; 0 is never. `total` training steps are
    planned, None where nobody said. `validation_sha256` is the fingerprint of the validation set, "" for none.
    """

    log_every: int = 0
    eval_every: int = 0
    log_every_s: float = 0.0
    eval_every_s: float = 0.0
    total: int | None = None
    validation_sha256: str = ""
    validation_items: int = 0


class Interrupted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="interrupted"):
    """Somebody asked the run to stop. `forced`: at once, without finishing the row. `listening`: the program looks at such
    requests. `why` is who asked where it was no signal.
    """

    signal: str = ""
    why: FreeText = ""
    forced: bool = False
    listening: bool = False


class RunEnded(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run_ended"):
    """The run's end. `metric_rows` is how many were acknowledged, `lost_rows` how many could not be written; `lost_lines`
    of the log likewise. `outputs` and `totals` are the whole run's, steps included. `recorder_s` is the time that
    recording took.
    """

    status: Literal["finished", "failed", "interrupted"]
    duration_s: float
    error: FreeText = ""
    metric_rows: int = 0
    lost_rows: int = 0
    lost_lines: int = 0
    outputs: tuple[OutputFile, ...] = ()
    totals: dict[str, Number] = {}
    recorder_s: float = 0.0


# ── both ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Sealed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="sealed"):
    """The first `bytes` bytes of `file` (a name in the same folder) have this sha256; `previous` is the sha256 of the
    seal this writer knew before, "" for none.
    """

    file: str
    bytes: int
    sha256: str
    previous: str = ""


class Unknown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line whose kind this version does not know: kept, and shown as unknown."""

    kind: str
    time: datetime
    writer: str
    seq: int
    line: bytes


AnyEvent = (
    Opened | Leased | Planned | Decided | Intended | Submitted | Rejected | Doubted | Polled | Observed | Verified | Judged
    | Concluded | Detached | CancelAsked | RunStarted | StepStarted | StepFinished | Checkpoint | TableSealed
    | Progressed | CadenceSet | Interrupted | RunEnded | Sealed
)  # fmt: skip
# What the death of the node may not take: these are fsynced before `Writer.write` returns.
DURABLE = frozenset(
    {
        "opened",
        "leased",
        "intended",
        "submitted",
        "run_started",
        "checkpoint",
        "table_sealed",
        "interrupted",
        "run_ended",
        "sealed",
    }
)
KINDS: dict[str, type[Event]] = {kind.__struct_config__.tag: kind for kind in get_args(AnyEvent)}

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class _Head(msgspec.Struct, frozen=True):
    kind: str
    time: datetime
    writer: str
    seq: int
    line: UnsetType = UNSET


_head_decoder = msgspec.json.Decoder(_Head)


class DamagedLineError(ValueError):
    """The line is no event: not JSON, without the common fields, or a known kind with bad fields."""


def encode(event: AnyEvent) -> bytes:
    """The event as one JSON line, newline included."""
    return _encoder.encode(event) + b"\n"


def decode(line: bytes) -> AnyEvent | Unknown:
    """The event on a journal's line.

    Raises:
        DamagedLineError: it is none.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            head = _head_decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise DamagedLineError(f"not an event: {error}") from error
        if head.kind in KINDS:
            raise DamagedLineError(f"{head.kind}: {error}") from error
        return Unknown(kind=head.kind, time=head.time, writer=head.writer, seq=head.seq, line=line)
