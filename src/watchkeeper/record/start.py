"""Starting a run."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.core.ids import run_id as new_run_id
from watchkeeper.core.journal import Clock, refuse_newer, utc_now
from watchkeeper.record import ranks
from watchkeeper.record.configuration.config import config_fields
from watchkeeper.record.options import (
    Options,
    earlier_from,
    grace_from,
    level_from,
    persist_from,
    recording_process,
    run_id_from,
    sidecar_from,
)
from watchkeeper.record.run import Run, is_open, take_place
from watchkeeper.record.start_place import is_nested, place_of
from watchkeeper.record.stopping import isolation
from watchkeeper.record.stopping.stacks import dump_signal_from
from watchkeeper.record.writing.text_log import FILE, FORMAT
from watchkeeper.runfolder.values import text


def start_run(
    root: str | os.PathLike[str] | None = None,
    *,
    pipeline: str,
    config: object = None,
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
    """Start recording a run; use it in a `with`, which writes the end and raises again what was
    raised in it. Without one the end is written by `close`, or when the program exits.

    The run's folder is `root/<run_id>`, or exactly `folder`. `run_id` is the program's own id of
    the run, which then stands in each line of the log (None: one that sorts by time): a name of at
    most 128 bytes without spaces and slashes. The same id again in the same root is another run in
    the same folder, as after a restart; not while the first one goes on.

    `config` is a mapping, a dataclass or the like, or a namespace; it is recorded by a bounded
    rule, and without secrets.

    The commit that is written down is that of `code_folder`, a folder or a script (None: the main
    script's). With it go the hashes of the script and of the `.py` and `.sh` files that it names in
    turn.

    Log: `log_level` (else WATCHKEEPER_LOG_LEVEL, else the config's `log_level`, else INFO) counts
    for the file `log_file` below the folder (None: no file) and for stderr (`console=False`: not
    there); a word that is no level is passed over, with a warning. `logger` names the one logger to
    capture, "" is the root. `log_format` is logging's, with `pipeline`, `run_id` and `step`
    besides.

    Steps: `persist_step_outputs=False` (else the config's) keeps no artifacts of steps.
    `reuse=True` looks for finished steps in the pipeline's earlier runs in the same place,
    `reuse=PATH` in that one.

    Signals: from here on SIGINT, SIGTERM and `warning_signal` (None: none) ask the run to stop. The
    process then ends with 128 + the signal's number, 143 after a warning, or with `exit_code`. A
    signal that a handler of the program's own takes, and a Ctrl-C that it catches, are the
    program's.

    Sidecar: a process beside the run (`sidecar=False` or WATCHKEEPER_SIDECAR=0: none) writes
    telemetry and raises the alarm when nothing has advanced for `stall_s` seconds (None: five times
    the longest pause so far, 10 minutes at least); with `end_stalled` it then ends this process and
    its children. `dump_signal` is the one at which this process writes its stacks (None:
    SIGRTMIN+4).

    Raises:
        UsageError: neither root nor folder, both, no pipeline, a config or format of the wrong
            kind, or a run id that cannot be used or is in use.
        NewerJournalError: a later version of Watchkeeper recorded into this folder, in a form that
            this one would misread.
        StorageError: the folder cannot be made, or written to.
    """
    _check_call(root, folder, pipeline)
    fields = config_fields(config)
    if run_id is None:
        given = None
    else:
        given = run_id_from(run_id)
    if root is None:
        top = None
    else:
        top = Path(root).absolute()
    rank = ranks.find()
    name = given or new_run_id(clock())
    if rank is not None:
        name = ranks.agreed_run_id(top or Path(folder or ".").absolute(), rank, name)
    if top is not None:
        place = top / name
    else:
        place = Path(folder or ".").absolute()
    if given is not None:
        _check_unused(name, place if top is not None and rank is None else None)
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
    )
    files.make_folder(place)
    refuse_newer(place / layout.JOURNAL)
    caller = sys._getframe(1)
    if is_nested(caller):
        spot = None
    else:
        spot = place_of(caller, pipeline, str(top or place))
    if spot is not None:
        take_place(spot, name)
    run = Run(place, name, text(pipeline), fields, clock=clock, options=options, rank=rank)
    run._place = spot
    if given not in (None, name):
        run._recorder.warn(
            "run id",
            (
                f"the processes of this group record as one run, {name}: the run_id {given} of "
                "this one is not used"
            ),
        )
    if level.words:
        run._recorder.warn("log_level", level.words)
    return run


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
    """Refuse the id of a run that goes on in this process or, where `place` is its folder, in
    another one.
    """
    if is_open(run_id):
        raise UsageError(
            f"run_id {run_id!r} is in use: that run goes on in this process",
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
