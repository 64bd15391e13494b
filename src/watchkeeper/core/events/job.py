"""The events that a recorder writes inside the job: its run, steps, tables, checkpoints and end."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from watchkeeper.core.events.base import (
    Event,
    FilePath,
    FreeText,
    JobId,
    Number,
    Time,
)


class RunStarted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run_started"):
    """A recorded run began. `config` is the user's own, as given; `seed` is the config's. `git_sha`
    is the commit of the script's repository ("" for none), `git_dirty` whether tracked files
    differed from it (None: it could not be told, or CodeCompared says it). `world_size` is how many
    processes work together, of which this one records; `execution` counts their elastic restarts,
    from 1. `code` maps the program's own files (core/code/code_files.py), relative to the script's
    folder, to their sha256, and `uncommitted` names those that the commit does not hold;
    `git_fault` is why git could not read of a repository that is there. `name` and `tags` are the
    program's own words for the run. `environment_sha256` names the object that says what is
    installed (core/code/environment.py; "": nobody looked).
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
    world_size: int = 1
    execution: int = 1
    code: dict[FilePath, str] = {}
    uncommitted: tuple[FilePath, ...] = ()
    git_fault: FreeText = ""
    name: FreeText = ""
    tags: tuple[FreeText, ...] = ()
    environment_sha256: str = ""


class CodeCompared(Event, frozen=True, kw_only=True, omit_defaults=True, tag="code_compared"):
    """How the code of the run that this writer started compares with its commit, as git said after
    the start: the fields are those of RunStarted, and stand in their place.
    """

    git_dirty: bool | None = None
    uncommitted: tuple[FilePath, ...] = ()
    git_fault: FreeText = ""


class StepStarted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="step_started"):
    """A named stage of the run began. `label` is its path of numbered names, `01_train/00_warmup`:
    its folder in the run's, and its name in the log. `fingerprint` is its inputs' ("" where none
    were named).
    """

    step: str
    label: FilePath = ""
    index: int | None = None
    fingerprint: str = ""


class OutputFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that a run made; `path` is relative to the run's folder where it lies in it. `step` is
    the label of the step that made it, "" outside one. `what` is the maker's word for it.
    """

    path: FilePath
    size_bytes: int
    sha256: str
    step: FilePath = ""
    what: FreeText = ""


class StepFinished(Event, frozen=True, kw_only=True, omit_defaults=True, tag="step_finished"):
    """A named stage ended; `error` is "" when it ended well. `row_count_in` and `_out` are None
    where nobody said. `writing_s` is the part of `duration_s` that went into artifacts;
    `reused_from` is the run folder whose finished step stood for this one, "" for none.
    """

    step: str
    duration_s: float
    label: FilePath = ""
    index: int | None = None
    started: Time | None = None
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
    """A checkpoint is complete on disk: these files, of these sizes. `training_step` is None where
    nobody said; `step_` is what was given as the training step, where that is no whole number.
    """

    path: FilePath
    files: tuple[CheckpointFile, ...]
    training_step: int | None = None
    step_: FreeText = ""


class TableSealed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="table_sealed"):
    """A result table has its final name: `path` holds these rows and bytes. `complete` is False
    when the work was cut short. `rows_before` is how many of the rows an earlier execution had
    measured, `lost_rows` how many could not be written.
    """

    path: FilePath
    rows: int
    bytes: int
    sha256: str
    complete: bool = True
    columns: tuple[FreeText, ...] = ()
    rows_before: int = 0
    lost_rows: int = 0


class TableOpened(Event, frozen=True, kw_only=True, omit_defaults=True, tag="table_opened"):
    """A result table has its first rows: they lie in `partial`, and the table is to be `path`."""

    path: FilePath
    partial: FilePath


class Progressed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="progressed"):
    """How far a tracked loop is, written at most once a minute and at its end. `total`,
    `rate_per_s` and `eta_s` are None where they are not known; `depth` is 0 for an outermost loop.
    `training_step` is the one that was logged last, None before the first.
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
    training_step: int | float | None = None


class CadenceSet(Event, frozen=True, kw_only=True, omit_defaults=True, tag="cadence_set"):
    """How often the two tiers are due: in training steps, in seconds, or either; 0 is never.
    `total` training steps are planned, None where nobody said. `validation_sha256` is the
    fingerprint of the validation set, "" for none.
    """

    log_every: int = 0
    eval_every: int = 0
    log_every_s: float = 0.0
    eval_every_s: float = 0.0
    total: int | None = None
    validation_sha256: str = ""
    validation_items: int = 0


class Interrupted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="interrupted"):
    """Somebody asked the run to stop. `forced`: at once, without finishing the row. `listening`:
    the program looks at such requests. `why` is who asked where it was no signal.
    """

    signal: str = ""
    why: FreeText = ""
    forced: bool = False
    listening: bool = False


class TimedOut(Event, frozen=True, kw_only=True, omit_defaults=True, tag="timed_out"):
    """Limited work that did not end in time. `how`: it was interrupted; its process was killed; it
    could not be broken into and ended late; or its process died by itself. `stack` is where it was,
    "" where nobody saw.
    """

    what: FreeText
    limit_s: float
    elapsed_s: float
    how: Literal["interrupted", "killed", "late", "died"]
    training_step: Number | None = None
    stack: FreeText = ""


class Stalled(Event, frozen=True, kw_only=True, omit_defaults=True, tag="stalled"):
    """The sidecar has seen no advance for longer than the limit: `since` is when it saw the last
    one. `report` is the file, relative to the run's folder, that holds stacks, processes and
    telemetry; "" where it could not be written. `ends`: the work is ended for it.
    """

    since: Time
    limit_s: float
    cause: FreeText
    training_step: Number | None = None
    report: FilePath = ""
    ends: bool = False


class Advanced(Event, frozen=True, kw_only=True, omit_defaults=True, tag="advanced"):
    """The sidecar sees an advance again, after a stall of this many seconds."""

    stalled_s: float
    training_step: Number | None = None


class Vanished(Event, frozen=True, kw_only=True, omit_defaults=True, tag="vanished"):
    """The process is gone, and did not write the run's end. `cause` is what the sidecar takes from
    what it saw last.
    """

    pid: int
    cause: FreeText
    training_step: Number | None = None
    report: FilePath = ""


class SealedRows(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of rows that only ever grows: its first `bytes` bytes hold this many rows and have
    this sha256 ("": it could not be read in time). `path` is relative to the run's folder.
    """

    path: FilePath
    rows: int
    bytes: int
    sha256: str = ""


class RowsSealed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="rows_sealed"):
    """A process that did not start the run, a forked one, has ended: these are the files of its
    rows.
    """

    files: tuple[SealedRows, ...]


class Renamed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="renamed"):
    """A file of ours lies in `path` instead of `name`, since something that Watchkeeper did not
    write lies there. Both are relative to the run's folder where they lie in it.
    """

    name: FilePath
    path: FilePath
    reason: FreeText = ""


class RunEnded(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run_ended"):
    """The run's end. `metric_rows` is how many were acknowledged, `lost_rows` how many could not be
    written; `lost_lines` of the log likewise. `outputs` and `totals` are the whole run's, steps
    included. `recorder_s` is the time that recording took. `timeouts` of the `limited_calls` did
    not end in time. `files` are this process's files of rows, and those that other processes of the
    run, which have not ended in good order, have written so far. `left_out` is what was handed in
    and not kept, by kind: in processes that do not record, or more rows a second than a command's
    output is read for.
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
    limited_calls: int = 0
    timeouts: int = 0
    left_out: dict[str, int] = {}
    files: tuple[SealedRows, ...] = ()
