"""Starting a run."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.core.ids import run_id as new_run_id
from watchkeeper.core.journal import Clock, refuse_newer, utc_now
from watchkeeper.record import ranks
from watchkeeper.record.configuration.config import config_fields
from watchkeeper.record.lifetime.lifetime import Lifetime
from watchkeeper.record.options import (
    Options,
    earlier_from,
    grace_from,
    level_from,
    name_from,
    persist_from,
    recording_process,
    run_id_from,
    sidecar_from,
    tags_from,
)
from watchkeeper.record.run import Run, open_runs
from watchkeeper.record.start_place import Place, is_nested, place_of
from watchkeeper.record.stopping import isolation
from watchkeeper.record.stopping.stacks import dump_signal_from
from watchkeeper.record.writing.text_log import FILE, FORMAT
from watchkeeper.runfolder.values import text


def start_run(
    root: str | os.PathLike[str] | None = None,
    *,
    pipeline: str,
    config: object = None,
    name: str = "",
    tags: Iterable[str] = (),
    run_id: str | int | None = None,
    folder: str | os.PathLike[str] | None = None,
    log_level: str | int | None = None,
    logger: str = "",
    log_file: str | os.PathLike[str] | None = FILE,
    log_format: str = FORMAT,
    console: bool = True,
    persist_step_outputs: bool | None = None,
    reuse: bool | str | os.PathLike[str] = False,
    handle_signals: bool = True,
    warning_signal: int | None = signal.SIGUSR1,
    exit_code: int | None = None,
    sidecar: bool | None = None,
    stall_s: float | None = None,
    end_stalled: bool | None = None,
    dump_signal: int | None = None,
    code_folder: str | os.PathLike[str] | None = None,
    clock: Clock = utc_now,
) -> Run:
    """Start recording a run. Use it in a `with`, which writes the run's end and re-raises any
    exception. Without a `with`, the end is written by `close`, or when the program exits.

    Where and what: the run's folder is `root/<run_id>`, or exactly `folder`. `run_id` is your own
    id for the run, at most 128 bytes without spaces or slashes; it appears in each line of the log.
    None: a generated id that sorts by time. A second run with the same id in the same root records
    into the same folder, as after a restart, but not while the first one is still open. `config` is
    a mapping, a dataclass or similar, or a namespace; it is recorded within size limits and without
    secrets. `name` (at most 100 characters; "": none) and `tags` (at most 60 characters each) are
    what `watchkeeper ls` shows and finds the run by. `code_folder`, a folder or a script, is where
    the recorded commit is looked up (None: the main script). The hashes of that script, and of the
    `.py` and `.sh` files that it refers to, are recorded too.

    Log: `log_level` (else WATCHKEEPER_LOG_LEVEL, else the config's `log_level`, else INFO) applies
    to the file `log_file` below the folder (None: no file) and to stderr (`console=False`: nothing
    on stderr). An unknown level is ignored with a warning. `logger` is the logger to capture, ""
    for the root logger. `log_format` is a `logging` format that may also use `pipeline`, `run_id`
    and `step`.

    Steps: `persist_step_outputs=False` (None: as the config says) keeps no artifacts of steps.
    `reuse=True` looks for finished steps in the pipeline's earlier runs under the same root,
    `reuse=PATH` in those under that path.

    Signals: SIGINT, SIGTERM and `warning_signal` (None: no warning signal) ask the run to stop,
    unless `handle_signals=False`. The process then exits with 128 + the signal's number, with 143
    after a warning, or with `exit_code`. A signal that the program's own handler takes, and a
    Ctrl-C that the program catches, do not end it.

    Sidecar: a separate process writes telemetry, and reports a stall when nothing has advanced for
    `stall_s` seconds (None: five times the longest pause so far, at least 10 minutes). With
    `end_stalled` it then ends this process and its children. `sidecar=False` or
    WATCHKEEPER_SIDECAR=0: no sidecar. `dump_signal` makes this process write its stacks (None:
    SIGRTMIN+4).

    Raises:
        UsageError: both root and folder, or neither; no pipeline; a config or format of the wrong
            kind; a name or tag that is none; a run id that cannot be used or is in use.
        NewerJournalError: a later version of Watchkeeper recorded into this folder, in a format
            that this version would misread.
        StorageError: the folder cannot be created or written to.
    """
    _check_call(root, folder, pipeline)
    fields = config_fields(config)
    own_name, own_tags = name_from(name), tags_from(tags)
    own_id = None if run_id is None else run_id_from(run_id)
    top = None if root is None else Path(root).absolute()
    rank = ranks.find()
    chosen_id = own_id or new_run_id(clock())
    place = Path(folder or ".").absolute()
    if rank is not None:
        chosen_id = ranks.agreed_run_id(top or place, rank, chosen_id)
    if top is not None:
        place = top / chosen_id
    if own_id is not None:
        _check_unused(chosen_id, place if top is not None and rank is None else None)
    watched, stall_limit_s, ends = sidecar_from(sidecar, stall_s, end_stalled)
    level = level_from(log_level, fields)
    options = Options(
        level=level.number,
        logger=logger,
        log_file=None if log_file is None else os.fspath(log_file),
        log_format=log_format,
        console=console,
        persist=persist_from(persist_step_outputs, fields),
        earlier=earlier_from(reuse, top, place, pipeline),
        handle_signals=handle_signals,
        warning_signal=warning_signal,
        exit_code=exit_code,
        sidecar=watched,
        stall_s=stall_limit_s,
        end_stalled=ends,
        grace_s=grace_from(),
        dump_signal=dump_signal_from(dump_signal),
        code_folder=None if code_folder is None else Path(code_folder),
        name=own_name,
        tags=own_tags,
    )
    files.make_folder(place)
    refuse_newer(place / layout.JOURNAL)
    spot = _take_spot(sys._getframe(1), pipeline, str(top or place), chosen_id)
    lifetime = Lifetime(
        place,
        chosen_id,
        text(pipeline),
        clock=clock,
        options=options,
        rank=rank,
        shares_folder=open_runs.use_folder(place),
        ended=open_runs.forget,
    )
    run = Run(lifetime)
    open_runs.begin(lifetime, run, fields)
    lifetime.place = spot
    if own_id not in (None, chosen_id):
        lifetime.recorder.warn(
            "run id",
            (
                f"the processes of this group record as one run, {chosen_id}: the run_id {own_id} "
                "of this one is not used"
            ),
        )
    if level.words:
        lifetime.recorder.warn("log_level", level.words)
    return run


def _take_spot(caller: FrameType, pipeline: str, where: str, run_id: str) -> Place | None:
    """The place of this start, from which an earlier run is removed; None where a function that
    calls itself starts runs on purpose.
    """
    if is_nested(caller):
        return None
    spot = place_of(caller, pipeline, where)
    open_runs.take_place(spot, run_id)
    return spot


def _check_call(root: object, folder: object, pipeline: str) -> None:
    """Refuse a call that cannot be meant.

    Raises:
        UsageError: neither root nor folder, both, no pipeline, or a start within the process for
            isolated calls.
    """
    if isolation.is_loading():
        raise UsageError(
            "start_run would start the program's run again, in the process for isolated calls",
            hint='put it behind `if __name__ == "__main__":`',
        )
    if (root is None) == (folder is None):
        raise UsageError(
            "start_run needs root or folder, and not both",
            hint=(
                'start_run("artifacts/training", pipeline="training") makes a folder of its '
                "own for each run"
            ),
        )
    if not pipeline:
        raise UsageError(
            "start_run needs a pipeline's name",
            hint='start_run("artifacts/training", pipeline="training")',
        )


def _check_unused(run_id: str, place: Path | None) -> None:
    """Refuse the id of a run that is open in this process or, where `place` is its folder, in
    another one.
    """
    if open_runs.has_id(run_id):
        raise UsageError(
            f"run_id {run_id!r} is in use: that run is open in this process",
            hint="end it by run.close(), or give the new run another run_id",
        )
    if place is not None:
        pid = recording_process(place)
    else:
        pid = None
    if pid is not None:
        raise UsageError(
            f"run_id {run_id!r} is in use: process {pid} records into {place}",
            hint="give another run_id, or folder= to record into the same folder",
        )
