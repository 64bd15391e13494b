"""A run as the user's own process records it: the public face of the recorder's parts.

Starting a run may fail, with a clear error. From then on nothing here raises into the user's loop:
what cannot be written is reported once and counted, and the end says how much it was. The one
exception is `Interrupted`, where the loop may be stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

from msgspec import UNSET

from watchkeeper.record.display.cadence import MAX_SHARE, Cadence
from watchkeeper.record.display.progress import Progress
from watchkeeper.record.lifetime.lifetime import Lifetime
from watchkeeper.record.lifetime.open_runs import OpenRuns
from watchkeeper.record.stages.step import ITEMS_SHOWN, Step
from watchkeeper.record.stopping.limits import Limit, Limits
from watchkeeper.record.writing.logged import row_of
from watchkeeper.record.writing.tables import Table

Hook = TypeVar("Hook", bound=Callable[[], object])
T = TypeVar("T")

open_runs: OpenRuns[Run] = OpenRuns()
os.register_at_fork(before=open_runs.share_counts, after_in_child=open_runs.after_fork)
# When this module is imported: what the program registers later comes before it, and may still
# record.
atexit.register(open_runs.end_all)


def current_run() -> Run | None:
    """The most recently started run of this process that has not ended; None if there is none."""
    return open_runs.newest()


class Run:
    """A recorded run, from `start_run` to the end of its `with`."""

    run_id: str
    """The program's own id, or one that sorts by time and is unique across hosts."""
    folder: Path
    """The absolute folder that holds everything the run writes."""
    limits: Limits
    """How often time-limited work was started, and how often it timed out."""

    def __init__(self, lifetime: Lifetime) -> None:
        recorder = lifetime.recorder
        self.run_id = recorder.run_id
        self.folder = recorder.folder
        self.limits = lifetime.overruns.limits
        self._lifetime = lifetime
        self._recorder = recorder
        self._stops = lifetime.stops
        self._display = lifetime.display

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
        with self._lifetime.stages.run(name, inputs, items_shown) as stage:
            yield stage

    def checkpoint(self, path: str | os.PathLike[str], training_step: int | None = None) -> None:
        """Record a checkpoint, a file or a folder, that is complete on disk, with its files and
        their sizes. If there are no files, only a warning is logged.
        """
        self._lifetime.results.keep_checkpoint(path, training_step)

    def output(self, path: str | os.PathLike[str], *, what: str = "") -> None:
        """Record a result file of the run with its size and hash. If the file does not exist, a
        warning is logged.
        """
        self._lifetime.results.keep_output(path, what)

    def totals(self, **totals: object) -> None:
        """Record figures of the whole run, which are written with its end. Only numbers are kept,
        and the last value for each name.
        """
        self._lifetime.results.keep_totals(totals)

    def limit(self, seconds: float | None, *, isolate: bool = False, name: str = "") -> Limit:
        """Limit the time of work that may hang: `run.limit(60).call(model.generate, **inputs)`, a
        `with` or a decorator. When the time is up the work is abandoned, a `timed_out` event
        records where it was, and the call returns None.

        `seconds` None or 0: no limit. `isolate` runs a `call` in a separate process, which can be
        killed: for work that Python cannot interrupt (see `Limit`). `name` is the name in the log,
        "" for the function's own.
        """
        return self._lifetime.overruns.limit(seconds, isolate=isolate, name=name)

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
        bar |= {"unit": unit, "total": total, "leave": leave, "initial": initial}
        return self._display.track(iterable, desc, disable=disable, **bar)

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
        texts = {"prompt": prompt, "golden": golden, "output": output}
        losses = {"loss": loss, "val_loss": val_loss}
        tokens = {"golden_tokens": golden_tokens, "output_tokens": output_tokens}
        self._display.example(training_step, **texts, **losses, **tokens, match=match)

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
        end = self._lifetime.end
        end.end_by(end.seen.handled())

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a run stays in its process and cannot be sent to another one; "
            "that one records too with its own: wk.start_run(folder=run.folder, pipeline=…)"
        )

    def __enter__(self) -> Self:
        self._lifetime.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._lifetime.leave(error)
