"""The object of each page: `data` of the answer that the browser, the report and `--json` read."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from watchkeeper.core.criteria import Standing as Expectation
from watchkeeper.core.errors import Problem
from watchkeeper.core.events import FilePath, JobId
from watchkeeper.query.views.shared import (
    Best,
    Evidence,
    Need,
    Progress,
    Real,
    Standing,
    Watcher,
)

# ── overview


class RunningRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run under way. `spark`: up to 48 medians of its loss, in order; `evidence`: the newest."""

    id: str
    key: str
    experiment: str
    attempt: int
    health: str
    why: str
    progress: Progress
    spark: tuple[Real, ...] = ()
    evidence: Evidence | None = None


class WaitingRow(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that wait for one reason. `line` counts them ("12 evaluations"), `after` names what
    they wait for.
    """

    count: int
    line: str
    reason: str
    experiment: str
    id: str = ""
    after: tuple[str, ...] = ()


class PlaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment, a recorded run, or the recorded runs side by side in one folder. `what` says
    what it is ("6 runs, 3 tasks, 1 control"). `counts`: state → how many of `total`, the worst
    first; `done` of them are settled. `step` of `total_steps` are those of a single run, and
    `attempt` how often it began; `ids` are the first 50 of several runs.
    """

    id: str
    name: str
    folder: FilePath
    kind: Literal["experiment", "run", "runs"]
    what: str
    counts: dict[str, int]
    done: int
    total: int
    best: Best | None = None
    last: datetime | None = None
    step: Real | None = None
    total_steps: Real | None = None
    attempt: int = 0
    tags: tuple[str, ...] = ()
    note: str = ""
    ids: tuple[str, ...] = ()


class More(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each list are left out: 20 needs, 30 running rows, 200 places are shown."""

    needs: int = 0
    running: int = 0
    waiting: int = 0
    places: int = 0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the journals have been read; `done` < `total` while an answer is incomplete."""

    done: int
    total: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything below some folders: needs, the worst first; what runs; what waits; places.
    `experiments` and `recorded` count the experiments and the recorded runs, `looked_into` the
    folders. `counts` is over all places, the worst first.
    """

    name: str
    counts: dict[str, int]
    needs: list[Need]
    running: list[RunningRow]
    waiting: list[WaitingRow]
    places: list[PlaceRow]
    reading: Reading
    more: More = More()
    experiments: int = 0
    recorded: int = 0
    looked_into: int = 0
    zone: str = "UTC"
    problems: list[Problem] = []


# ── experiment


class MetricColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of the evaluations, with its range over all tasks. `better` "" : not known."""

    name: str
    least: Real | None
    greatest: Real | None
    better: Literal["more", "less", ""]


class TaskColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A task and its epochs, in order; control runs have results without an epoch."""

    name: str
    epochs: tuple[int, ...]


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an experiment: its settings (varying ones only) and whether it is a control."""

    name: str
    id: str
    settings: dict[str, str]
    control: bool = False


class WorkRow(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work of an experiment, as `status` has it. `id` is that of its page, "" for
    none. `task` is "" and `epoch` None of a training. `train_loss`: the last of a training.
    """

    key: str
    id: str
    phase: str
    run: str
    task: str
    epoch: int | None
    standing: Standing
    state: str
    why: str
    cause: str = ""
    metrics: dict[str, Real] = {}
    elapsed_s: float | None = None
    train_loss: float | None = None
    attempt: int = 0
    job_id: JobId = ""
    progress: Progress = Progress()
    health: str = ""


class JobBar(msgspec.Struct, frozen=True, kw_only=True):
    """One execution on the time axis. `queued` is when it was submitted, None where not known."""

    key: str
    run: str
    phase: str
    label: str
    attempt: int
    execution: int
    standing: Standing
    state: str
    queued: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan decided on some jobs, for one reason; "exists" is left out."""

    count: int
    action: str
    reason: str
    keys: list[str]


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A block of an action log: when, what, of what, and what came of it."""

    at: datetime
    action: str
    subject: str
    text: str


class Valid(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the promised files are valid, and of which kinds, in words."""

    good: int
    total: int
    words: str = ""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment's page. `settings` are the names of those that differ between its runs; `best`
    has one figure per task; `slots`: how many jobs ran at once; `tasks` and `metrics` make up the
    matrix. `log` are the last blocks of all its action logs, the newest last, of `actions`.
    `array_tasks`: a row for each task of an array, by the key of the array and its number.
    `expected`: each criterion that was stated, and what came of it in all evaluations.
    """

    id: str
    name: str
    folder: FilePath
    question: str
    counts: dict[str, int]
    needs: list[Need]
    best: list[Best]
    valid: Valid | None
    started: datetime | None
    ended: datetime | None
    settings: list[str]
    tasks: list[TaskColumn]
    metrics: list[MetricColumn]
    runs: list[RunRow]
    rows: list[WorkRow]
    jobs: list[JobBar]
    slots: int
    decisions: list[DecisionRow]
    running: list[RunningRow]
    evidence: list[Evidence]
    log: list[LogLine]
    actions: int
    watcher: Watcher
    array_tasks: list[WorkRow] = []
    zone: str = "UTC"
    problems: list[Problem] = []
    expected: list[Expectation] = []


# ── run


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt or, of a recorded run, an execution. `end` is how it ended, "" while it runs;
    `superseded`: how many of its steps a later one did again.
    """

    n: int
    writer: str
    from_step: Real | None
    last_step: Real | None
    started: datetime | None
    ended: datetime | None
    end: str
    standing: Standing
    resume_from: FilePath = ""
    is_requeue: bool = False
    superseded: int = 0


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something to mark on the axis: an attempt's beginning, a stall, a death, a checkpoint, a
    requeue. `text` is its sentence; `file` what it points to, "" for nothing.
    """

    kind: Literal["attempt", "requeue", "stall", "death", "checkpoint", "end"]
    step: Real | None
    at: datetime | None
    duration_s: float | None = None
    text: str = ""
    file: FilePath = ""


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a run. `better` "": nobody knows, and `best` is None. `made_of`: the losses of
    which a gap is made, the second less the first (smoothed); () of what the run logged.
    """

    name: str
    rows: int
    last: Real | str | None
    last_step: Real | None
    best: Real | None
    best_step: Real | None
    better: Literal["more", "less", ""]
    role: Literal["train loss", "val loss", "gap", "other"] = "other"
    made_of: tuple[str, ...] = ()


class CheckpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded checkpoint. `is_whole` None: not known; `missing` says what lacks."""

    step: Real | None
    path: FilePath
    size: int | None
    is_whole: bool | None
    missing: str
    saved: datetime | None
    passport: str = ""
    signoff: str = ""


class StageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a pipeline. `elapsed_s` is None while it runs: it began at `started`."""

    name: str
    state: str
    standing: Standing
    rows_in: int | None
    rows_out: int | None
    elapsed_s: float | None
    started: datetime | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run failed: in one clause, its last line, the last lines of its traceback, what was
    decided about a retry, and what to type.
    """

    why: str
    cause: str
    traceback: list[str]
    retry: str = ""
    blocks: int = 0
    command: str = ""


class TextFile(msgspec.Struct, frozen=True, kw_only=True):
    """A text that can be read through `text/ID/NAME`: "run.log", "stdout", "stderr", "run-log"."""

    name: str
    path: FilePath
    size: int
    changed: datetime | None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run's page. `reading` is the sentence on its loss curve, "" for none. Of an evaluation,
    `training_id` is the id of the run whose model it evaluates, "" for none; `trace` is the command
    that follows the figures of a job back to its code and data, "" of a recorded run.
    """

    id: str
    name: str
    folder: FilePath
    experiment: str
    experiment_id: str
    kind: Literal["recorded", "job"]
    state: str
    standing: Standing
    attempt: int
    health: str
    health_why: str
    progress: Progress
    started: datetime | None
    ended: datetime | None
    best: Best | None
    reading: str
    failure: Failure | None
    attempts: list[AttemptRow]
    marks: list[Mark]
    metrics: list[MetricRow]
    rows: int
    checkpoints: list[CheckpointRow]
    stages: list[StageRow]
    settings: dict[str, str]
    code: dict[str, str]
    evidence: list[Evidence]
    examples: int
    examples_matching: int | None
    texts: list[TextFile]
    neighbours: tuple[str, str] = ("", "")
    results: dict[str, Real] = {}
    training_id: str = ""
    trace: str = ""
    zone: str = "UTC"
    problems: list[Problem] = []


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of one attempt over columns. `x`: training steps, or seconds since 1970. Of each
    column the least, the greatest and the last smoothed value, and how many rows; `bad` are the
    `x` of NaN and infinities. A None in the lists is a gap: the line breaks there. `other` is the
    other axis at the last row of each column: its time where `x` are steps, its step where `x` are
    times; [] where the rows do not say.
    """

    metric: str
    attempt: int
    superseded: bool
    is_requeue: bool
    x: list[Real | None]
    min: list[float | None]
    max: list[float | None]
    smooth: list[float | None]
    n: list[int]
    bad: list[Real]
    other: list[Real | None] = []


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """`is_whole` False: only the last rows, while the rest is being read."""

    lines: list[Line]
    smoothing: float
    rows: int
    is_whole: bool


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of the machine over time: `x` seconds since 1970, and the training step then."""

    name: str
    unit: str
    x: list[float]
    step: list[Real | None]
    value: list[float | None]
    last: float | None


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of the machine while a run was under way, one strip for each figure."""

    strips: list[Strip]


class ExampleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One example that the run wrote. `match` None: not compared. `n` is its number, from 0."""

    n: int
    step: Real | None
    at: datetime | None
    prompt: str
    golden: str
    output: str
    match: bool | None
    figures: dict[str, Real | str | None] = {}


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """Examples, newest first; `before` is what to ask for the next ones, None at the end."""

    rows: list[ExampleRow]
    total: int
    before: int | None


class TextLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a text. Of run.log, `at`, `step` (its stage) and `level` are parsed out."""

    text: str
    at: datetime | None = None
    step: str = ""
    level: str = ""
    is_person: bool = False


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """Lines from byte `offset` to `next`; `dropped`: bytes before that were skipped."""

    offset: int
    next: int
    lines: list[TextLine]
    dropped: int


# ── compare


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is compared. `step` is its last training step, None for none; `spark` up to 48
    medians of `spark_metric`, in order.
    """

    id: str
    name: str
    state: str
    standing: Standing
    step: Real | None = None
    spark_metric: str = ""
    spark: tuple[Real, ...] = ()


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs: its values in the runs' order. `kind` groups: setting, code, uncommitted,
    script, data, environment, machine. `is_base`: whether each is as in the base. `details`: what
    to unfold, per run.
    """

    key: str
    kind: str
    values: list[str | None]
    is_base: list[bool]
    details: list[list[str]] = []


class FigureRow(msgspec.Struct, frozen=True, kw_only=True):
    """A figure in the runs' order: values, at which step or epoch (`axis`), the difference from the
    base, and which are the best (none where nobody knows the better end, or only one run has it).
    Of an unfinished run no figure is the best while a finished one has the metric.
    """

    metric: str
    values: list[Real | None]
    at: list[Real | None]
    deltas: list[Real | None]
    is_best: list[bool]
    better: Literal["more", "less", ""]
    axis: Literal["step", "epoch"] = "step"


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """A unified diff, at most 400 lines. `what`: "0524bfde to 1b3d1cd7", "uncommitted"."""

    what: str
    lines: list[str]
    left_out: int = 0
    note: str = ""


class Compare(msgspec.Struct, frozen=True, kw_only=True):
    """Runs side by side. `heading` says in what they differ, `same` what is the same in all: name →
    value. `base` is a run's id. `metrics` are the names of all figures; those that were asked for
    are in `figures`, else as many as fit. `at` says which values they are: `last`, `best`, or those
    at a training step.
    """

    heading: str
    base: str
    runs: list[ComparedRun]
    same: dict[str, str]
    differs: list[Difference]
    figures: list[FigureRow]
    diffs: list[Diff]
    metrics: list[str]
    at: str = "last"
    zone: str = "UTC"
    problems: list[Problem] = []
