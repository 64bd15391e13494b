"""A run as the user's own process records it: the public face of the recorder's parts.

Starting a run may fail, with a clear error. From then on nothing here raises into the user's loop:
what cannot be written is reported once and counted, and the end says how much it was. The one
exception is `Interrupted`, where the loop may be stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from msgspec import UNSET

from watchkeeper.core import processes
from watchkeeper.core.journal import Clock
from watchkeeper.record import attempt as attempts
from watchkeeper.record.display.cadence import MAX_SHARE, Cadence
from watchkeeper.record.display.display import Display
from watchkeeper.record.display.progress import Progress
from watchkeeper.record.options import Options, seed_of
from watchkeeper.record.ranks import Rank
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.results import Results
from watchkeeper.record.run_end import RunEnd
from watchkeeper.record.sidecar.spec import Spec
from watchkeeper.record.sidecar.starter import Sidecar
from watchkeeper.record.stages.stages import Stages
from watchkeeper.record.stages.step import ITEMS_SHOWN, Step
from watchkeeper.record.start_place import Place
from watchkeeper.record.stopping import endings
from watchkeeper.record.stopping.limits import Limit, Limits
from watchkeeper.record.stopping.overruns import Overruns
from watchkeeper.record.stopping.stops import Stops
from watchkeeper.record.writing.logged import row_of
from watchkeeper.record.writing.manifest import code_of, opening
from watchkeeper.record.writing.tables import Table

Hook = TypeVar("Hook", bound=Callable[[], object])
T = TypeVar("T")

_runs: set[Run] = set()  # those that have not ended


def _note_exit() -> None:
    for run in _runs:
        run._end.note_exit()


_exits = endings.Exits(_note_exit)


def take_place(place: Place, run_id: str) -> None:
    """A run of this id is started in this place: one that was started there before, and never
    ended, is left behind.
    """
    for run in [run for run in _runs if run._place == place]:
        run._recorder.log.leave_all()
        run._place = None
        if endings.is_interactive():
            run._end.end_unsaid(
                "The cell that started this run was run again, and nobody had ended it: "
                f"{run_id} goes on",
                _exits.error,
            )


def current_run() -> Run | None:
    """The most recently started run of this process that has not ended; None if there is none."""
    return max(_runs, key=_began, default=None)


def open_runs() -> list[Run]:
    """The runs of this process that have not ended, in the order of their start."""
    return sorted((run for run in list(_runs) if not run._recorder.has_ended), key=_began)


def is_open(run_id: str) -> bool:
    """Whether a run of this id was started in this process and has not ended."""
    return any(run.run_id == run_id for run in open_runs())


def _began(run: Run) -> float:
    return run._recorder.began


class Run:
    """A recorded run, from `start_run` to the end of its `with`."""

    run_id: str
    """The program's own id, or one that sorts by time and is unique across hosts."""
    folder: Path
    """The absolute folder that holds everything the run writes."""
    limits: Limits
    """How often time-limited work was started, and how often it timed out."""

    def __init__(
        self,
        folder: Path,
        run_id: str,
        pipeline: str,
        config: dict[str, Any],
        *,
        clock: Clock,
        options: Options,
        rank: Rank | None = None,
    ) -> None:
        began = time.perf_counter()
        self.run_id = run_id
        self.folder = folder
        self._place: Place | None = None
        self._recorder = recorder = Recorder(
            folder,
            run_id,
            pipeline,
            clock=clock,
            options=options,
            rank=rank,
            shares_folder=any(run.folder == folder for run in _runs),
        )
        self._stops = Stops(recorder)
        self._stages = Stages(recorder)
        self._results = Results(recorder)
        self._display = display = Display(recorder, self._stops)
        self._overruns = Overruns(
            recorder, training_step=display.training_step, count=display.count_timeout
        )
        self.limits = self._overruns.limits
        self._sidecar = Sidecar()
        self._end = RunEnd(
            recorder,
            stops=self._stops,
            stages=self._stages,
            results=self._results,
            display=display,
            limits=self.limits,
            sidecar=self._sidecar,
            ended=lambda: _forget(self),
        )
        _begin(self, config)
        self._end.start_s = time.perf_counter() - began - recorder.spent_s

    @property
    def writer(self) -> str:
        """This process's id in the journal."""
        return self._recorder.writer

    def log(self, training_step: object = UNSET, /, *more: object, **metrics: object) -> None:
        """Record one row of metrics for a training step, counted from 1; None: for no step.

            run.log(5, loss=0.5)            run.log({"loss": 0.5}, step=5)
            run.log(step=5, loss=0.5)       run.log({"loss": 0.5}, 5)

        record the same row. Nested mappings are flattened: `train={"loss": 0.5}` is `train/loss`.
        If the step is given by position, `step=` is a metric.

        Once this returns, the row survives the death of the process. Numbers of any kind are kept,
        NaN and infinity too; other values are kept as text of limited length. A step that is not a
        number is kept as the column `step_`, in a row without a step. Rows that cannot be written
        are counted in `lost_rows` of `run_ended`.
        """
        recorder = self._recorder
        try:
            if training_step.__class__ is not int or more:
                row = (training_step, *more)
                training_step, metrics = row_of(row, metrics, recorder.warn)
            recorder.pen.rows.append(training_step, metrics)
            if self._display.status is not None:
                self._display.take_row(training_step, metrics)
        except Exception as error:
            recorder.lose_row(error)

    @contextlib.contextmanager
    def step(
        self, name: str, *, inputs: Iterable[object] | None = None, items_shown: int = ITEMS_SHOWN
    ) -> Iterator[Step]:
        """Record a named stage: its start, end and duration, and what is reported through the
        yielded `Step`. Stages can be nested.

        `inputs` is what the stage's result depends on: paths, whose bytes are compared, and values.
        With `start_run(reuse=…)`, a step that an earlier run finished on the same inputs has
        `reused` set, and its `outputs` are that run's. `items_shown` is how many lines of each
        `step.item` message are logged at INFO.
        """
        if not self._recorder.is_over:
            self._stops.safe_point()
        with self._stages.run(name, inputs, items_shown) as stage:
            yield stage

    def checkpoint(self, path: str | os.PathLike[str], training_step: int | None = None) -> None:
        """Record a checkpoint, a file or a folder, that is complete on disk, with its files and
        their sizes. If there are no files, only a warning is logged.
        """
        self._results.keep_checkpoint(path, training_step)

    def output(self, path: str | os.PathLike[str], *, what: str = "") -> None:
        """Record a result file of the run with its size and hash. If the file does not exist, a
        warning is logged.
        """
        self._results.keep_output(path, what)

    def totals(self, **totals: object) -> None:
        """Record figures of the whole run, which are written with its end. Only numbers are kept,
        and the last value for each name.
        """
        self._results.keep_totals(totals)

    def limit(self, seconds: float | None, *, isolate: bool = False, name: str = "") -> Limit:
        """Limit the time of work that may hang: `run.limit(60).call(model.generate, **inputs)`, a
        `with` or a decorator. When the time is up the work is abandoned, a `timed_out` event
        records where it was, and the call returns None.

        `seconds` None or 0: no limit. `isolate` runs a `call` in a separate process, which can be
        killed: for work that Python cannot interrupt (see `Limit`). `name` is the name in the log,
        "" for the function's own.
        """
        return self._overruns.limit(seconds, isolate=isolate, name=name)

    def table(
        self, name: str, key: str | Sequence[str] | None = None, format: str = "csv"
    ) -> Table:
        """Open a result table. Use it in a `with`, which completes it: `<name>_partial.csv` is
        renamed to `<name>.csv`.

        `key` names the columns that identify a configuration. With it, the rows of an earlier
        execution in the same folder are kept, and `configuration in table` is true for those
        already measured. `format` is `csv` or `jsonl`.
        """
        return self._display.table(name, key, format)

    def track(
        self,
        iterable: Iterable[T] | None = None,
        desc: str = "",
        *,
        unit: str = "it",
        total: float | None = None,
        leave: bool | None = None,
        initial: float = 0,
        disable: bool | None = False,
        **bar: Any,
    ) -> Progress[T]:
        """Show the progress of a loop: as a bar on a terminal (with tqdm), else as a line every 30
        seconds, and as an event once a minute. Without an iterable, call `update(n)`, then
        `close()` or use it in a `with`. It has tqdm's methods (`set_postfix`, `set_description`,
        `reset` …), and passes tqdm's other arguments on to the bar.

        `total` is the number of items; None: the iterable's length. `leave` keeps the finished bar
        or its last line; None: only for an outermost loop. If the run is asked to stop, the loop
        stops before its next item; an inner loop does so only while no table is open, so that the
        current row is completed.
        """
        return self._display.track(
            iterable,
            desc,
            unit=unit,
            total=total,
            leave=leave,
            initial=initial,
            disable=disable,
            **bar,
        )

    def cadence(
        self,
        log_every: int | None = None,
        eval_every: int | None = None,
        *,
        log_every_s: float | None = None,
        eval_every_s: float | None = None,
        total: int | None = None,
        validation: Iterable[object] | None = None,
        max_share: float | None = MAX_SHARE,
        status: str | Path | None = None,
    ) -> Cadence:
        """Schedule two tiers of evaluation, a fast one and a full one, by training steps, by
        seconds, or by both, whichever is due first. None or 0: never.

        `total` is the number of planned training steps. `validation` is the fixed set that
        `val_loss` is computed over; its fingerprint is recorded. `max_share` is the fraction of the
        time that the full tier may take before a warning is logged (None: no warning). `status`
        replaces the path `status/training_status.json`.
        """
        return self._display.cadence(
            log_every=log_every,
            eval_every=eval_every,
            log_every_s=log_every_s,
            eval_every_s=eval_every_s,
            total=total,
            validation=validation,
            max_share=max_share,
            status=status,
        )

    def example(
        self,
        training_step: object,
        *,
        prompt: object = None,
        golden: object = None,
        output: object = UNSET,
        loss: object = None,
        val_loss: object = None,
        golden_tokens: int | None = None,
        output_tokens: int | None = None,
        match: bool | None = None,
    ) -> None:
        """Print and record what the model does with an example after this training step.

        Without `output` it is the fast tier's block; with `output` the full tier's, where None
        means that the model produced nothing. `match` None: the output matches if it contains the
        normalised golden text. A full block is printed once the validation loss of its step is
        known, given here or logged next (`run.log(training_step, val_loss=…)`).
        """
        self._display.example(
            training_step,
            prompt=prompt,
            golden=golden,
            output=output,
            loss=loss,
            val_loss=val_loss,
            golden_tokens=golden_tokens,
            output_tokens=output_tokens,
            match=match,
        )

    @property
    def stop_requested(self) -> bool:
        """Whether the run was asked to stop. A program that reads this must end its loop itself:
        from then on only a second signal raises into it.
        """
        return self._stops.are_requested()

    @property
    def should_stop(self) -> bool:
        """Another name for `stop_requested`."""
        return self.stop_requested

    @property
    def time_left_s(self) -> float | None:
        """Seconds until the scheduler ends the job, from SLURM_JOB_END_TIME (sbatch(1)); None if
        that is not set.
        """
        try:
            return float(os.environ["SLURM_JOB_END_TIME"]) - self._recorder.clock().timestamp()
        except (KeyError, ValueError):
            return None

    def on_stop(self, hook: Hook) -> Hook:
        """Call `hook()` once when the run stops on request, before its end is written: use it to
        save a last checkpoint. A hook that fails is logged. A forced stop calls no hook.
        """
        return self._stops.add_hook(hook)

    def request_stop(self, why: str) -> None:
        """Ask the run to stop, as a signal does. May be called from any thread."""
        self._stops.request(why)

    def stop_if_requested(self) -> None:
        """Stop here if the run was asked to stop.

        Raises:
            Interrupted: it was asked to.
        """
        self._stops.stop_if_requested()

    def close(self) -> None:
        """End the run where there is no `with`: in a notebook, or in a `finally`. Its status is
        finished, unless it was asked to stop or an exception is being handled. Later calls record
        nothing; the first one logs a warning.
        """
        self._end.end_by(self._end.seen.handled())

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a run stays in its process and cannot be sent to another one; "
            "that one records too with its own: wk.start_run(folder=run.folder, pipeline=…)"
        )

    def __enter__(self) -> Self:
        self._place = None
        log = self._recorder.log
        if not log.is_entered():  # started in another thread or task
            log.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        interrupts = self._stops.interrupts
        interrupts.ending = True
        self._end.end_by(error)
        if interrupts.still_stops(error):
            raise interrupts.error() from None

    def _watch_work(
        self, work: processes.ProcessName | None, output: Iterable[str], files: Iterable[str]
    ) -> None:
        """Have another process watched as the run's work, where this run was started with
        `sidecar=False`. It leads a group of processes and writes into `output`, below the run's
        folder, and into `files`, glob patterns; None: it is gone.
        """
        if work is not None:
            with self._recorder.harmless("no sidecar watches this run"):
                _start_sidecar(self._recorder, self._sidecar, work, output, files)

    def _after_fork(self) -> None:
        """In the child: the parent's files and locks are the parent's."""
        self._recorder.after_fork()
        self._stages.after_fork()
        self.limits.after_fork()
        self._sidecar.after_fork()
        self._display.after_fork()


# ── the begin


def _begin(run: Run, config: dict[str, Any]) -> None:
    """Write the run's first event and lines, and watch over it from now on."""
    recorder, options = run._recorder, run._recorder.options
    attempt = attempts.find()
    _write_start(recorder, config, attempt)
    _runs.add(run)
    recorder.log.attach()
    for line in opening(recorder.started):
        recorder.say(logging.INFO, "%s", line)
    if options.sidecar:
        with recorder.harmless("no sidecar watches this run"):
            _start_sidecar(recorder, run._sidecar)
    for path in recorder.recovered:
        recorder.say(
            logging.INFO, "Brought over what a killed process had left on this node: %s", path
        )
    if attempt and recorder.records:
        with recorder.harmless("where the run is could not be left for the watcher"):
            attempts.leave_word(
                attempt, folder=run.folder, run_id=run.run_id, writer=recorder.writer
            )
    _exits.watch()
    recorder.log.enter()
    if options.handle_signals:
        run._stops.listen()


def _write_start(
    recorder: Recorder, config: dict[str, Any], attempt: attempts.Attempt | None
) -> None:
    code, rank = code_of(recorder.options.code_folder), recorder.rank
    recorder.start(
        attempt=str(attempt.folder) if attempt else "",
        job_id=attempt.job_id if attempt else "",
        config=config,
        seed=seed_of(config),
        git_sha=code.git.sha,
        git_branch=code.git.branch,
        git_dirty=code.git.dirty,
        git_fault=code.fault,
        code=code.named(),
        uncommitted=code.uncommitted_names(),
        world_size=rank.world if rank else 1,
        execution=rank.execution if rank else 1,
        name=recorder.options.name,
        tags=recorder.options.tags,
    )


def _start_sidecar(
    recorder: Recorder,
    sidecar: Sidecar,
    work: processes.ProcessName | None = None,
    output: Iterable[str] = (),
    files: Iterable[str] = (),
) -> None:
    """Start a sidecar; on another rank collect only this process's stacks, for rank 0's sidecar.
    `work` None is this process.
    """
    options, me = recorder.options, processes.this_process()
    if not me.start_ticks:
        recorder.say(logging.INFO, "No sidecar watches this run: the system has no /proc")
        return
    if not recorder.records:
        sidecar.listen(options.dump_signal)
        return
    sidecar.start(
        Spec(
            run_id=recorder.run_id,
            pipeline=recorder.pipeline,
            folder=str(recorder.folder),
            work=work or me,
            recorder=me,
            output=tuple(output),
            files=tuple(files),
            stall_s=options.stall_s,
            end_stalled=options.end_stalled,
            grace_s=options.grace_s,
            dump_signal=options.dump_signal,
            group=work is not None,
        )
    )
    if sidecar.silent:
        recorder.say(logging.INFO, "A stall will be told without stacks: %s", sidecar.silent)


# ── forks and the exit


def _forget(run: Run) -> None:
    """The end of this run is written."""
    _runs.discard(run)
    if not _runs:
        _exits.forget()


def _give_children_their_own() -> None:
    for run in list(_runs):
        run._after_fork()


def _share_counts() -> None:
    for run in list(_runs):
        with contextlib.suppress(OSError):
            run._recorder.left_out.before_fork()


os.register_at_fork(before=_share_counts, after_in_child=_give_children_their_own)


# when this module is imported: what the program registers later comes before it, and may still
# record
@atexit.register
def _end_all() -> None:
    """End the runs that nobody has ended, the one that began last first. Raises nothing."""
    for run in sorted(_runs, key=_began, reverse=True):
        with contextlib.suppress(Exception):
            run._end.end_unsaid(
                "The program ends without having ended this run (with, or run.close())",
                _exits.error,
            )
