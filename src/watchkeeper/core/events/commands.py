"""The events that commands write: what was planned, decided, submitted, seen and judged."""

from __future__ import annotations

from typing import Literal

import msgspec

from watchkeeper.core.events.base import (
    Event,
    Evidence,
    FilePath,
    FreeText,
    Host,
    JobId,
    Number,
    Phase,
    Time,
)


class Leased(Event, frozen=True, kw_only=True, omit_defaults=True, tag="leased"):
    """This writer now holds lease number `lease` on the live views; `saw` as in `opened`, at that
    moment.
    """

    lease: int
    saw: dict[str, int] = {}


class RunItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One piece of work of a plan. `script` is relative to the experiment's folder, "" for none.
    `args` are its arguments, secrets left out; `workdir` is the folder that it runs in, relative
    to the experiment or absolute, "": the script's own. `needs` are the keys of what must be done
    before it starts.
    """

    key: str
    phase: Phase
    run: str
    script: FilePath = ""
    task: str = ""
    epoch: int | None = None
    control: bool = False
    args: tuple[FreeText, ...] = ()
    workdir: FilePath = ""
    needs: tuple[str, ...] = ()


class Planned(Event, frozen=True, kw_only=True, omit_defaults=True, tag="planned"):
    """A phase of an execution began (None: the execution itself), having read this plan. `summary`
    is a file's name, "" for a folder read by its tree; `items` is the phase's work (None: all of
    it); `notes` are findings about the sources. `gate` is what evaluations wait for in this
    execution (`all`, `each`; "" in events from before it was kept), and `queue_ahead` whether they
    wait in the scheduler's queue; `allows_unsigned`: checkpoints from elsewhere are used though
    nobody has signed them. An execution ends the halts before it, unless `keeps_halts`.
    `logs`: a phase → the name of its action log, for the phases that have work (none: an event from
    before names were chosen, whose logs are torchtune's and inspect-ai's). The first name counts.
    """

    phase: Phase | None
    experiment: str
    folder: FilePath
    summary: str
    summary_sha256: str = ""
    items: tuple[RunItem, ...] = ()
    notes: tuple[FreeText, ...] = ()
    gate: Literal["", "all", "each"] = ""
    queue_ahead: bool = False
    allows_unsigned: bool = False
    keeps_halts: bool = False
    logs: dict[str, str] = {}


Action = Literal["submit", "retry", "wait", "active", "skip", "blocked"]


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is to be done with one piece of work, why, and on what evidence. `attempt` is the
    attempt that would be made (submit, retry) or that is meant (active); 0 for none. `after`: the
    runs whose jobs must have ended before it starts. `automatic`, `change` and `resume_from` of a
    retry are as in `intended`; `advice`, of what failed and is not tried again by itself: why not,
    and what to do.
    """

    key: str
    phase: Phase
    action: Action
    reason: str
    detail: FreeText = ""
    attempt: int = 0
    stale: bool = False
    after: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    automatic: bool = False
    change: dict[str, str] = {}
    resume_from: FilePath = ""
    advice: FreeText = ""


class Decided(Event, frozen=True, kw_only=True, omit_defaults=True, tag="decided"):
    """What this execution decided for a phase: all of it the first time (`first`), later only what
    changed.
    """

    phase: Phase
    decisions: tuple[Decision, ...]
    first: bool = False


class Intended(Event, frozen=True, kw_only=True, omit_defaults=True, tag="intended"):
    """This writer holds the attempt and is about to submit it. `inputs` maps a checkpoint's subject
    to its fingerprint, and `passports` to the SHA-256 of the MODEL_PASSPORT.json that it had.

    `git_sha` is the commit of the script's repository ("" for none), `git_dirty` whether tracked
    files differed from it (None: not known), `diff_sha256` names the difference and
    `script_sha256` the script among the kept objects; `array` is the tasks of an array as submitted
    ("": it is none), `after` holds the runs behind which it is queued. `configs` maps each
    configuration file that the script names, relative to the experiment's folder, to its kept
    object. `environment_sha256` names what was installed where it was submitted
    (core/code/environment.py; "": nobody looked).

    `code` maps the `.py` and `.sh` files that the script names in turn (core/code/code_files.py) to
    their kept objects, and `uncommitted` names what the commit does not hold of script,
    configurations and code; `git_fault` is why git could not read a repository that is there.
    `work_sha256` is equal for attempts at the same work (launch/same_work.py; "": an older event).
    `args` and `workdir` are as in a plan's item.

    Of a further attempt, `reason` is why it is made, `automatic` whether nobody asked for it.
    `change` holds what it is given otherwise than the script says (`batch_size`,
    `gradient_accumulation_steps`), `resume_from` the checkpoint that it is offered to continue from
    ("": none). `source_sha256` is the script as its owner wrote it, where the attempt has a changed
    copy of it ("": it has not). `found`: subject → fingerprint of the complete checkpoints that lay
    there before. `asked`: the long name of each sbatch option, of the script or the site, that asks
    for time, memory, nodes, tasks or GPUs → its value as written ({}: none, or an older event).
    """

    key: str
    phase: Phase
    attempt: int
    token: str
    script: FilePath
    script_sha256: str
    inputs: dict[str, str] = {}
    passports: dict[str, str] = {}
    array: str = ""
    after: tuple[str, ...] = ()
    git_sha: str = ""
    git_branch: FreeText = ""
    git_dirty: bool | None = None
    diff_sha256: str = ""
    configs: dict[FilePath, str] = {}
    source_sha256: str = ""
    reason: FreeText = ""
    automatic: bool = False
    change: dict[str, str] = {}
    resume_from: FilePath = ""
    found: dict[str, str] = {}
    environment_sha256: str = ""
    code: dict[FilePath, str] = {}
    uncommitted: tuple[FilePath, ...] = ()
    git_fault: FreeText = ""
    work_sha256: str = ""
    args: tuple[FreeText, ...] = ()
    workdir: FilePath = ""
    asked: dict[str, FreeText] = {}


class Submitted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="submitted"):
    """The scheduler has the job. `command` is as typed by a person, `exact` what was really run;
    `adopted` when the job was found, having been submitted by somebody who could not say so;
    `stagger_s` is the wait before it. `note` is what a further attempt is given otherwise than the
    first, in words. `cluster` is its profile's name (`local`: this machine), and `host` where it
    was submitted from; "" in older events.
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
    note: FreeText = ""
    cluster: FreeText = ""
    host: Host = ""


class Rejected(Event, frozen=True, kw_only=True, omit_defaults=True, tag="rejected"):
    """The scheduler refused the job, or could not be given it: no job of this attempt exists."""

    key: str
    phase: Phase
    attempt: int
    command: FreeText
    message: FreeText


class Doubted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="doubted"):
    """Whether the scheduler took the job is not known. `unreached`: the submitting command
    says it reached nobody.
    """

    key: str
    phase: Phase
    attempt: int
    command: FreeText
    message: FreeText
    unreached: bool = False


class Postponed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="postponed"):
    """The scheduler said later, or could not be asked: this submission made no job, and the attempt
    stays to be made.
    """

    key: str
    phase: Phase
    attempt: int
    message: FreeText


class SchedulerFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the scheduler says of a job: times, memory and node are the scheduler's own. None = it
    did not say.

    `tasks`, of an array: state → the numbers of its tasks in that state, as `--array` writes them.
    The rest is then the whole's: the first start, the last end, the state and code of what keeps it
    from being COMPLETED. `ends_by`, of a job that runs: when its time limit will be over.
    `expected`, of a job that waits: when the scheduler guesses it will start. `limit_s` is the time
    limit that the job had in the end, and `asked_bytes` the memory that it was granted on all its
    nodes together: a partition's defaults included.
    """

    state: str
    reason: FreeText = ""
    exit_code: int | None = None
    signal: int | None = None
    submitted: Time | None = None
    started: Time | None = None
    ended: Time | None = None
    max_rss_bytes: int | None = None
    node: Host = ""
    output: FilePath = ""
    error_output: FilePath = ""
    tasks: dict[str, str] = {}
    ends_by: Time | None = None
    expected: Time | None = None
    limit_s: int | None = None
    asked_bytes: int | None = None


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How an execution ended, written by the wrapper as its last act. `exit_code` as the shell says
    it: 128 + n for a signal. `interrupted`: the scheduler had sent TERM, and may start the same job
    again.
    """

    job_id: JobId
    exit_code: int
    execution: int = 1
    ended: Time | None = None
    nonce: str = ""
    interrupted: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a poll found changed in one attempt. The scheduler's word and the wrapper's exit record
    are kept apart; `after` is what they say together. `before` is the state this writer last knew;
    `last_line` is the last line on the job's standard error, and `cause` why it ended badly ("":
    nobody knows). `inferred`: no poll saw this state; what came after shows that the job was in it.
    `stuck`, of a job that waits: why it does not start by itself, and what to do ("": it may).
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
    cause: FreeText = ""
    inferred: bool = False
    stuck: FreeText = ""


class Polled(Event, frozen=True, kw_only=True, omit_defaults=True, tag="polled"):
    """One look at the scheduler: written when something changed, and at least hourly. `counts` is
    state → jobs for every job of the phase this execution knows; `error` is why it could not be
    asked, "" if it could.
    """

    phase: Phase
    query: FreeText
    interval_s: float
    counts: dict[str, int] = {}
    changes: tuple[Change, ...] = ()
    error: FreeText = ""


class Observed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="observed"):
    """What a watcher met beside the states of jobs: a log that somebody had written into, a run log
    that cannot be read or written and was left as it is, one of the same task that is of other
    work, a scheduler that takes no more jobs at present, or that answers again; a notification that
    could not be sent.
    """

    what: Literal[
        "view displaced",
        "run log left",
        "run log not continued",
        "scheduler busy",
        "scheduler answers",
        "scheduler answers in part",
        "notification failed",
    ]
    detail: FreeText = ""


class Verified(Event, frozen=True, kw_only=True, omit_defaults=True, tag="verified"):
    """What was looked at before evaluations may start, or at the end, and what was found. `missing`
    names the rest, `cautions` what is odd about what is good. What the selection left out is
    counted in `unselected` alone.
    """

    what: Literal["finetuning", "checkpoints", "results"]
    looked_at: FreeText
    expected: int
    found: int
    missing: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    evidence: tuple[Evidence, ...] = ()
    cautions: tuple[FreeText, ...] = ()
    unselected: int = 0


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """The training loss on the way: as it was logged at this step."""

    step: int
    loss: Number


class Artifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that a job made; `sha256` is "" where it was too large to be read for that."""

    path: FilePath
    size_bytes: int
    sha256: str = ""


class Repeated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Steps that a later execution did again, from `first` to `last`. `difference` is the largest
    of the training loss, at step `at`, between `before` and `after` (None: no step was logged by
    both). `anew`: it had not resumed, but begun again; `faithful`: what was done again came out the
    same, within the tolerance.
    """

    first: int
    last: int
    difference: Number | None = None
    at: int | None = None
    before: Number | None = None
    after: Number | None = None
    anew: bool = False
    faithful: bool = True


class Learned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a training left to say of itself, from what it recorded or printed; None and "": nothing
    says.

    `reading` is one sentence on the loss's curve. `checkpoint` is the newest one that is whole,
    `config` the resolved configuration of the run's own output, `wandb` the folder of its W&B run;
    `wandb_earlier` are the earlier segments of that run, the oldest first, and `wandb_among` a
    folder of W&B runs of which nothing says which is this one's. `total_steps` is what was planned.
    `kept` are all checkpoints that are whole, the oldest first, and `best` the one that the
    training itself holds for its best, for the reason in `best_why`.

    Of several executions only rows that no later one superseded count; `first_step` is the first of
    them with a training loss, `repeated` the steps that were done again. `losses_from` is "W&B"
    where the losses are from the file that W&B kept, which no row of ours has. `wandb_version` is
    the version of `wandb` that logged the run, as `0.31.0`; "" where its file does not say.
    """

    final_step: int | None = None
    first_train_loss: Number | None = None
    last_train_loss: Number | None = None
    first_val_loss: Number | None = None
    last_val_loss: Number | None = None
    reading: FreeText = ""
    checkpoint: FilePath = ""
    config: FilePath = ""
    wandb: FilePath = ""
    total_steps: int | None = None
    milestones: tuple[Milestone, ...] = ()
    kept: tuple[FilePath, ...] = ()
    best: FilePath = ""
    best_why: FreeText = ""
    wandb_among: FilePath = ""
    artifacts: tuple[Artifact, ...] = ()
    first_step: int | None = None
    repeated: tuple[Repeated, ...] = ()
    wandb_earlier: tuple[FilePath, ...] = ()
    losses_from: FreeText = ""
    wandb_version: FreeText = ""


# Why a job ended badly, as far as evidence names it; "" is a job that ended well, or an event from
# before causes were kept.
Cause = Literal[
    "",
    "walltime",
    "deadline",
    "memory host",
    "memory gpu",
    "node",
    "preempted",
    "nccl",
    "disk",
    "quota",
    "driver",
    "checkpoint",
    "install",
    "config",
    "user error",
    "cancelled",
    "unknown",
]
Outcome = Literal[
    "done", "invalid", "failed", "failed but good", "cancelled", "lost", "unknown", "not run"
]


class Judged(Event, frozen=True, kw_only=True, omit_defaults=True, tag="judged"):
    """The verdict on an ended attempt, from its evidence: `invalid` is COMPLETED but what was
    promised is missing, `failed but good` the reverse; of `done`, `why` says what is odd all the
    same. `state` is Slurm's name for the end. `fingerprints`: subject → what was found there;
    `inputs` likewise, of the checkpoints that were not there yet when it was submitted; `passports`
    maps those to the SHA-256 of their MODEL_PASSPORT.json that had none yet then. `learned`
    is a training's; `cause` is the kind of what ended it badly, which `why` has in words, and
    `error` the line of its output that says so, as the program wrote it ("": none does, or an event
    from before it was kept). `used` is what it used of memory, GPUs and the like, each with who
    says so.
    """

    key: str
    phase: Phase
    attempt: int
    outcome: Outcome
    state: str
    why: FreeText = ""
    fingerprints: dict[str, str] = {}
    inputs: dict[str, str] = {}
    passports: dict[str, str] = {}
    metrics: dict[str, Number] = {}
    elapsed_s: float | None = None
    evidence: tuple[Evidence, ...] = ()
    learned: Learned | None = None
    cause: Cause = ""
    error: FreeText = ""
    used: tuple[FreeText, ...] = ()


Health = Literal["advancing", "slow", "stalled", "silent", "failing", "unknown"]


class Assessed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="assessed"):
    """How a job under way is, and the evidence that decided: written when the verdict changes, or
    when what there is to say has moved on by much. `step` of `total` training steps are done;
    `rate_per_s` is steps per second and `eta_s` the seconds to the last; None where nobody says.
    `why` holds the thresholds used; `errors` what is new in the error output. `alarm`: one is
    raised with this event, once in an episode, or is over. `fits`: whether the last step comes
    before the time limit (None: not known); `note` is a further remark, made once. `report`
    is the black box's file ("": none). `used` is what was seen of GPUs, memory and the disk, in
    words.
    """

    key: str
    phase: Phase
    attempt: int
    health: Health
    why: FreeText = ""
    step: int | None = None
    total: int | None = None
    loss: Number | None = None
    rate_per_s: float | None = None
    eta_s: float | None = None
    evidence: tuple[Evidence, ...] = ()
    errors: tuple[FreeText, ...] = ()
    alarm: Literal["", "raised", "over"] = ""
    fits: bool | None = None
    note: FreeText = ""
    report: FilePath = ""
    used: tuple[FreeText, ...] = ()


class Documented(Event, frozen=True, kw_only=True, omit_defaults=True, tag="documented"):
    """A run log was made, or its machine's fields were brought up. `path` is relative to the
    experiment's folder; `fields` maps a field (`job.12345.runtime`) to the value that was written,
    `lines` holds the lines that were added, and `kept` maps a field that a person has changed to
    what stands there, which was left.
    """

    key: str
    attempt: int
    path: FilePath
    fields: dict[str, FreeText] = {}
    lines: tuple[FreeText, ...] = ()
    kept: dict[str, FreeText] = {}


class Answered(Event, frozen=True, kw_only=True, omit_defaults=True, tag="answered"):
    """What a person answered on a terminal about an experiment's runs, for their run logs; "" for
    what was left open.
    """

    mode: FreeText = ""
    objective: FreeText = ""
    dataset: FreeText = ""
    group: FreeText = ""


class Concluded(Event, frozen=True, kw_only=True, omit_defaults=True, tag="concluded"):
    """Every job of the phase (None: of the experiment) that this execution watched has ended.
    `counts`: state → jobs.

    The other work, as far as it was known of: `refused` and `blocked` map a key to the reason,
    `done_before` and `unselected` count what was there already, and what the selection left out.
    """

    phase: Phase | None
    counts: dict[str, int]
    duration_s: float
    refused: dict[str, FreeText] = {}
    blocked: dict[str, FreeText] = {}
    done_before: int = 0
    unselected: int = 0


class Halted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="halted"):
    """Nothing more of the phase is submitted: its first jobs, of these `keys`, all ended soon by
    one cause that no retry fixes; without `keys`, since the budget is spent. `why` is the error in
    words, as the last of them met it; `output` the file into which that one printed ("": nobody
    said); `left` how much was still to be submitted.
    """

    phase: Phase
    cause: Cause
    why: FreeText
    keys: tuple[str, ...]
    output: FilePath = ""
    left: int = 0


class Detached(Event, frozen=True, kw_only=True, omit_defaults=True, tag="detached"):
    """The watcher left; the jobs keep running. `active` is how many there were."""

    why: str
    active: int


class CancelAsked(Event, frozen=True, kw_only=True, omit_defaults=True, tag="cancel_asked"):
    """A person asked the scheduler to end a job."""

    key: str
    phase: Phase
    attempt: int
    job_id: JobId
