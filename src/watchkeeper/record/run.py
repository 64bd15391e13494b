"""A run as the user's own process records it.

Starting a run may fail, with a clear error. From then on nothing here raises into the user's loop:
what cannot be written is said once, counted, and told at the end. The one exception is
`Interrupted`, where the loop may be stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from msgspec import UNSET

from watchkeeper.core import layout, processes
from watchkeeper.core.disk import files, spill
from watchkeeper.core.errors import StorageError, WatchkeeperError
from watchkeeper.core.events import (
    AnyEvent,
    Checkpoint,
    CheckpointFile,
    Event,
    Number,
    OutputFile,
    Renamed,
    RowsSealed,
    RunEnded,
    RunStarted,
    SealedRows,
    StepFinished,
    StepStarted,
    TableSealed,
    TimedOut,
)
from watchkeeper.core.events import Interrupted as InterruptedEvent
from watchkeeper.core.journal import Clock
from watchkeeper.core.text.redaction import redact
from watchkeeper.record import attempt as attempts
from watchkeeper.record.display.display import Watching
from watchkeeper.record.options import Options, others_live, seed_of
from watchkeeper.record.ranks import Rank, agreed, is_data_worker
from watchkeeper.record.sidecar.spec import Spec
from watchkeeper.record.sidecar.starter import Sidecar
from watchkeeper.record.start_place import Place
from watchkeeper.record.step import FIRST_ITEMS, Labels, Step
from watchkeeper.record.stopping import endings
from watchkeeper.record.stopping.interrupts import Interrupts
from watchkeeper.record.stopping.limits import Limit, Limits, Overrun
from watchkeeper.record.writing import leftout, seals
from watchkeeper.record.writing.homes import Homes
from watchkeeper.record.writing.leftout import WORDS, LeftOut, words_of
from watchkeeper.record.writing.logged import no_step, row_of
from watchkeeper.record.writing.manifest import (
    RUN_FILE,
    STEP_FILE,
    closing,
    code_of,
    earlier_step,
    facts_of,
    fingerprint,
    opening,
    put,
    run_manifest,
    step_line,
    step_manifest,
)
from watchkeeper.record.writing.pen import Hands, OtherHands
from watchkeeper.record.writing.text_log import RunLog
from watchkeeper.runfolder.values import number, text, whole_step

ERROR_LIMIT = 2_000  # characters of an exception's message in an event
KEPT = (
    StepFinished,
    Checkpoint,
    TableSealed,
    Renamed,
    RunEnded,
)  # the events that the run's manifest is made of
Hook = TypeVar("Hook", bound=Callable[[], object])
E = TypeVar("E", bound=Event)

_runs: set[Run] = set()  # those that go on


def _note_exit() -> None:
    for run in _runs:
        run._rows_at_exit = run._hands.rows.kept


_exits = endings.Exits(_note_exit)


def take_place(place: Place, run_id: str) -> None:
    """A run of this id is started in this place: one that was started there before, and never
    ended, is left behind.
    """
    for run in [run for run in _runs if run._place == place]:
        run._log.leave_all()
        run._place = None
        if endings.is_interactive():
            run._end_unsaid(
                "The cell that started this run was run again, and nobody had ended it: "
                f"{run_id} goes on"
            )


def current_run() -> Run | None:
    """The run of this process that was started last and has not ended; None where there is none."""
    return max(_runs, key=lambda run: run._began, default=None)


def open_runs() -> list[Run]:
    """The runs of this process that have not ended, in the order of their start."""
    return sorted((run for run in list(_runs) if not run._hands.ended), key=lambda run: run._began)


def goes_on(run_id: str) -> bool:
    """Whether a run of this id was started in this process and has not ended."""
    return any(run.run_id == run_id and not run._hands.ended for run in list(_runs))


class Run(Watching):
    """A recorded run, from `start_run` to the end of its `with`."""

    run_id: str
    """Sorts by time, unique across hosts; or as the program gave it."""
    folder: Path
    """Absolute: everything that the run leaves is below it."""
    limits: Limits
    """How often limited work was begun, and did not end in time."""

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
        self._pipeline = pipeline
        self._clock = clock
        self._began = time.monotonic()
        self._options = options
        self._rank = rank
        self._records = rank is None or rank.number == 0
        self._left_out = LeftOut()
        self._over = False  # the end is written: nothing more is
        self._homes = Homes(folder, self._on_renamed)
        self._rows_before = (
            seals.row_files(folder / layout.METRICS) if self._records else set()
        )  # of earlier runs
        self._watch_begins()
        self._labels = Labels()
        self._outputs: dict[str, OutputFile] = {}
        self._totals: dict[str, Number] = {}
        self._hooks: list[Callable[[], object]] = []
        self._looks_itself = False
        self._failed_step = ""
        self.limits = Limits(self._on_overrun, self._warn)
        recovered = spill.recover()
        self._hands = self._new_hands(rank)
        self._starter = self._hands.pid
        if options.log_file is not None and self._records:
            log_path = folder / options.log_file
        else:
            log_path = None
        shared = any(run.folder == folder for run in _runs)
        self._log = RunLog(
            run_id=run_id,
            pipeline=pipeline,
            path=log_path,
            writer=self._hands.writer.id,
            may_go_on=lambda: (
                not shared and log_path is not None and not others_live(folder, log_path)
            ),
            line_format=options.log_format,
            level=options.level,
            scope=options.logger,
            console=options.console and self._records,
            quiet=not self._records,
            choose=lambda path, left: self._homes.choose_log(
                self._homes.shown(path), self.writer, left
            ),
        )
        self._interrupts = Interrupts(
            self._on_signal, warning=options.warning_signal, exit_code=options.exit_code
        )
        attempt = attempts.find()
        code = code_of(options.code_folder)
        started = self._hands.write(
            RunStarted,
            run_id=run_id,
            pipeline=pipeline,
            folder=str(folder),
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
        )
        self._events: list[AnyEvent] = [started]
        self._started = started
        _runs.add(self)
        self._log.attach()
        for line in opening(self._started):
            self._log.say(logging.INFO, "%s", line)
        self._sidecar = Sidecar()
        if options.sidecar:
            with self._harmless("no sidecar watches this run"):
                self._start_sidecar()
        for path in recovered:
            self._log.say(
                logging.INFO, "Brought over what a killed process had left on this node: %s", path
            )
        if attempt and self._records:
            with self._harmless("where the run is could not be left for the watcher"):
                attempts.leave_word(
                    attempt, folder=folder, run_id=run_id, writer=self._hands.writer.id
                )
        self._seen = endings.Seen()
        self._rows_at_exit = -1
        _exits.watch()
        self._place: Place | None = None
        self._log.enter()
        if options.handle_signals:
            self._listen()
        self._start_s = time.perf_counter() - began - self._hands.spent_s - self._log.spent_s

    @property
    def writer(self) -> str:
        """This process's id in the journal."""
        return self._hands.writer.id

    # ── for the user
    # ────────────────────────────────────────────────────────────────────────────────────────────────

    def log(self, step: object = UNSET, /, *more: object, **metrics: object) -> None:
        """Keep one row of metrics of a training step, counted from 1; None for no step.

            run.log(5, loss=0.5)            run.log({"loss": 0.5}, step=5)
            run.log(step=5, loss=0.5)       run.log({"loss": 0.5}, 5)

        are the same row. A mapping within the metrics is opened: `train={"loss": 0.5}` is
        `train/loss`. Beside a step by position, `step=` is a metric.

        On return the death of the process loses nothing of it. Numbers of any kind are kept,
        non-finite ones too; other values are kept as bounded text. A step that is no number is kept
        as `step_`, and the row has none. A row that cannot be written is counted (`lost_rows` of
        `run_ended`).
        """
        try:
            if step.__class__ is not int or more:
                step, metrics = row_of((step, *more), metrics, self._warn)
            self._hands.rows.append(step, metrics)
            if self._status is not None:
                self._saw(step, metrics)
        except Exception as error:
            self._lose_row(error)

    @contextlib.contextmanager
    def step(
        self, name: str, *, inputs: Iterable[object] | None = None, first: int = FIRST_ITEMS
    ) -> Iterator[Step]:
        """A named stage, within another one or not: its begin, its end, its duration, and what the
        yielded `Step` was told.

        `inputs` are what its result depends on: paths (their bytes count) and values. With
        `start_run(reuse=…)` a step that an earlier run finished on the same inputs has `reused`
        set, and its `outputs` are that run's. `first` is how many lines of each `step.item` go to
        INFO.
        """
        if self._over:
            self._refuses("steps")
            yield self._new_step(text(name), first)
            return
        self._safe_point()
        stage = self._new_step(text(name), first)
        found = self._fingerprint(stage, inputs)
        self._log.attach()
        self._log.enter(stage.label)
        began, started = time.monotonic(), self._clock()
        self._write(
            StepStarted, step=stage.name, label=stage.label, index=stage.index, fingerprint=found
        )
        self._log.say(logging.INFO, "Starting step %s", stage.label)
        failure: BaseException | None = None
        try:
            yield stage
        except BaseException as error:
            if endings.is_failure(error):
                failure = error
            else:
                failure = None
            raise
        finally:
            with self._harmless(f"the end of step {stage.label} could not be written down"):
                self._finish_step(stage, started, time.monotonic() - began, failure, found)
            self._log.leave(stage.label)

    def checkpoint(self, path: str | os.PathLike[str], training_step: int | None = None) -> None:
        """Say that a checkpoint, a file or a folder, is complete on disk. Its files and their sizes
        are looked up; where there are none, nothing is written down but a warning.
        """
        if self._refuses("checkpoints"):
            return
        with self._harmless(f"the checkpoint {path} could not be recorded"):
            place = Path(path).absolute()
            found = _checkpoint_files(place)
            if not found:
                self._warn(
                    f"checkpoint {place}", f"no checkpoint recorded: there is no file at {place}"
                )
                return
            at = whole_step(training_step)
            if at is not None or training_step is None:
                given = ""
            else:
                given = text(training_step)
            if given:
                self._warn(
                    "checkpoint step",
                    no_step(
                        "run.checkpoint",
                        training_step,
                        f"{place} keeps it as `step_`",
                        "whole number",
                    ),
                )
            self._write(Checkpoint, path=str(place), files=found, training_step=at, step_=given)

    def output(self, path: str | os.PathLike[str], *, what: str = "") -> None:
        """Say that this file is a result of the run: its size and hash are looked up. One that is
        not there is said.
        """
        if self._refuses("outputs"):
            return
        with self._harmless(f"the output {path} could not be recorded"):
            facts = facts_of(Path(path), self.folder, what=text(what))
            self._outputs[facts.path] = facts

    def totals(self, **totals: object) -> None:
        """Figures of the whole run, for its end. Only numbers are kept; said again, the last
        counts.
        """
        if self._refuses("totals"):
            return
        for name, value in totals.items():
            figure = number(value)
            if figure is None:
                self._warn(f"total {name}", f"the total {text(name)} is no number, and left out")
            else:
                self._totals[text(name)] = figure

    def limit(self, seconds: float | None, *, isolate: bool = False, name: str = "") -> Limit:
        """A time limit around work that may never end: `run.limit(60).call(model.generate,
        **inputs)`, a `with` or a decorator. Work that does not end in time is left, a `timed_out`
        event says where it was, and the call returns None.

        `seconds` None and 0: no limit. `isolate` lets a `call` run in a process of its own, which
        is killed: for what Python cannot break into (see `Limit`). `name` is what the work is
        called in the log; "" is the function's own name.
        """
        return Limit(
            self.limits, self._limit_of(seconds), isolate=isolate, name=text(name) if name else ""
        )

    # ── being asked to stop
    # ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def should_stop(self) -> bool:
        """Whether somebody asked the run to stop. A loop that looks here ends itself: nothing is
        then raised into it but at a second signal.
        """
        self._looks_itself = self._interrupts.listening = True
        pending = self._interrupts.pending
        self._interrupts.heard |= pending
        return pending

    @property
    def time_left_s(self) -> float | None:
        """Seconds until the scheduler ends the job; None where it does not tell. Source:
        SLURM_JOB_END_TIME, sbatch(1).
        """
        try:
            return float(os.environ["SLURM_JOB_END_TIME"]) - self._clock().timestamp()
        except (KeyError, ValueError):
            return None

    def on_interrupt(self, hook: Hook) -> Hook:
        """Call `hook()` once when the run stops because it was asked to, before its end is written:
        the place for a last checkpoint. A hook that fails is said. A forced stop calls none.
        """
        self._hooks.append(hook)
        return hook

    def ask_to_stop(self, why: str) -> None:
        """Ask the run to stop as a signal does; from any thread."""
        if not self._interrupts.asked:
            self._interrupts.ask(text(why))
            self._write(InterruptedEvent, why=text(why), listening=self._interrupts.listening)
            self._log.say(logging.WARNING, "Asked to stop: %s", text(why))

    def stop_if_asked(self) -> None:
        """A place where the program may stop: nothing happens unless somebody asked.

        Raises:
            Interrupted: somebody did.
        """
        self._interrupts.listening = True
        if self._interrupts.pending:
            self._stop()

    def close(self) -> None:
        """End the run where no `with` does: in a notebook, in a `finally`. It is finished, unless
        it was asked to stop or an exception is on its way. What is handed to it afterwards is not
        kept, and one warning says so.
        """
        self._end_by(self._seen.handled())

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a run stays in its process and cannot be sent to another one; "
            "that one records too with its own: wk.start_run(folder=run.folder, pipeline=…)"
        )

    def __enter__(self) -> Self:
        self._place = None
        if not self._log.is_entered():  # started in another thread or task
            self._log.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        interrupts = self._interrupts
        interrupts.ending = True
        self._end_by(error)
        if interrupts.still_stops(error):
            raise interrupts.error() from None

    # ── within
    # ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def watch(
        self, work: processes.ProcessName | None, output: Iterable[str], files: Iterable[str]
    ) -> None:
        """Have another process watched as the run's work, where this run was started with
        `sidecar=False`. It leads a group of processes and writes into `output`, below the run's
        folder, and into `files`, glob patterns; None: it is gone.
        """
        if work is not None:
            with self._harmless("no sidecar watches this run"):
                self._start_sidecar(work, output, files)

    def _listen(self) -> None:
        """Take over the signals, and say which of them do not ask this run to stop."""
        self._interrupts.install()
        for name, why in self._interrupts.not_handled.items():
            self._log.say(logging.INFO, "%s does not ask this run to stop: %s", name, why)

    def _start_sidecar(
        self,
        work: processes.ProcessName | None = None,
        output: Iterable[str] = (),
        files: Iterable[str] = (),
    ) -> None:
        """Have a sidecar; on another rank only this process's stacks, for rank 0's. `work` None is
        this process.
        """
        options, me = self._options, processes.this_process()
        if not me.start_ticks:
            self._log.say(logging.INFO, "No sidecar watches this run: the system has no /proc")
            return
        if not self._records:
            self._sidecar.listen(options.dump_signal)
            return
        self._sidecar.start(
            Spec(
                run_id=self.run_id,
                pipeline=self._pipeline,
                folder=str(self.folder),
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
        if self._sidecar.silent:
            self._log.say(
                logging.INFO, "A stall will be told without stacks: %s", self._sidecar.silent
            )

    def _new_hands(self, rank: Rank | None) -> Hands:
        if not self._records:
            return OtherHands(
                self.folder,
                self._pipeline,
                self._clock,
                rank,
                refuse=self._refuses,
                left_out=lambda: words_of(self._left_out.take()),
            )
        return Hands(self.folder, self._pipeline, self._clock, revived=self._on_revived)

    def _on_revived(self, path: Path) -> None:
        self._warn(
            "deleted", f"{path} was deleted while the run goes on; what it held is written again"
        )

    def _on_renamed(self, name: str, path: str, reason: str) -> None:
        """A file of ours lies under another name than readers would look for."""
        self._write(Renamed, name=name, path=path, reason=reason)
        file = name.rpartition("/")[2]
        self._warn(f"renamed {file}", f"{name} is kept in {path}: {reason}")

    def _new_step(self, name: str, first: int) -> Step:
        label, index = self._labels.take(name, self._log.here())
        return Step(
            name,
            label,
            index,
            self.folder,
            persist=self._options.persist,
            records=self._records,
            first=first,
            say=self._log.say,
        )

    def _fingerprint(self, stage: Step, inputs: Iterable[object] | None) -> str:
        """The fingerprint of a step's inputs, and the earlier run's step in its place where there
        is one.
        """
        if inputs is None:
            return ""
        with self._harmless(
            f"step {stage.label}: its inputs could not be read, and it is not reused"
        ):
            found = fingerprint(inputs)
            earlier = earlier_step(self._options.earlier, stage.label, found)
            if earlier is not None:
                stage.take_over(earlier)
            return found
        return ""

    def _limit_of(self, seconds: object) -> float:
        found = number(0 if seconds is None else seconds)
        if not isinstance(found, int | float) or found < 0:
            self._warn(
                "limit",
                f"a limit of {text(seconds)} s is none: what it is around may take any time",
            )
            return 0.0
        return float(found)

    def _on_overrun(self, overrun: Overrun) -> None:
        """Limited work did not end in time: in the thread that did it, after it."""
        step = self._training_step()
        self._write(
            TimedOut,
            what=overrun.what,
            limit_s=overrun.limit_s,
            elapsed_s=round(overrun.elapsed_s, 6),
            how=overrun.how,
            training_step=step,
            stack=overrun.stack,
        )
        self._count_timeout()
        if step is not None:
            at = f" at step {step}"
        else:
            at = ""
        said = {
            "interrupted": "it was left, and its result is None",
            "killed": "its process was killed, and its result is None",
            "late": (
                f"nothing could break into it, and it took {overrun.elapsed_s:.1f} s; "
                "isolate=True would stop it"
            ),
            "died": f"{overrun.stack}, and its result is None",
        }[overrun.how]
        if overrun.how == "died":
            exceeded = "died"
        else:
            exceeded = f"exceeded {overrun.limit_s:g}s"
        self._log.say(logging.WARNING, "TIMEOUT: %s %s%s: %s", overrun.what, exceeded, at, said)

    def _finish_step(
        self,
        stage: Step,
        started: datetime,
        duration_s: float,
        failure: BaseException | None,
        found: str,
    ) -> None:
        for message, count in stage.items_left_out().items():
            self._log.say(logging.INFO, "%d more at DEBUG: %s", count, message)
        if stage.not_numbers:
            names = ", ".join(dict.fromkeys(stage.not_numbers))
            self._warn(
                f"step {stage.name}", f"step {stage.name}: no numbers, and left out: {names}"
            )
        if failure is not None and not self._failed_step:
            self._failed_step = stage.label
        event = self._write(
            StepFinished,
            step=stage.name,
            label=stage.label,
            index=stage.index,
            started=started,
            duration_s=round(duration_s, 6),
            writing_s=round(stage.writing_s, 6),
            row_count_in=stage.row_count_in,
            row_count_out=stage.row_count_out,
            metrics=dict(stage.key_metrics),
            outputs=tuple(stage.output_files),
            fingerprint=found,
            reused_from=stage.reused_from,
            error=_words(failure) if failure is not None else "",
        )
        self._outputs.update({output.path: output for output in stage.output_files})
        if event is not None:
            self._log.say(
                logging.ERROR if failure is not None else logging.INFO, "%s", step_line(event)
            )
            put(self._homes, f"{stage.label}/{STEP_FILE}", step_manifest(self._started, event))

    def _end_by(self, error: BaseException | None) -> None:
        """End the run as the exception tells that left it, or none."""
        if self._interrupts.stopped(error):
            self._end("interrupted", error)
        elif endings.is_failure(error):
            self._end("failed", error)
        else:
            self._end("finished", None)

    def _end_unsaid(self, why: str) -> None:
        """Nobody has ended the run, and nobody will."""
        error = self._seen.uncaught()
        if (
            error is None and self._rows_at_exit == self._hands.rows.kept
        ):  # else the program has caught it, and gone on
            error = _exits.error
        if os.getpid() == self._starter:
            self._log.say(logging.INFO, "%s", why)
        if error is not None and endings.is_interactive():  # whatever was typed last
            self._interrupts.ask(f"the session ended; its last error was {_words(error)}")
            self._end("interrupted", None)
        else:
            self._end_by(error)

    def _end(self, status: str, error: BaseException | None) -> None:
        """Write the end, once, in the process that started the run; a forked child only closes its
        own files.
        """
        hands = self._hands
        if hands.ended:
            return
        if status == "interrupted":
            self._run_hooks()
        hands.ended = True
        with self._harmless("the process for isolated calls could not be ended"):
            self.limits.close()
        self._interrupts.ending = True
        self._watch_ends(status)
        if status == "interrupted" and hands.pid == self._starter:
            self._say_saved()
        with self._harmless("the metric rows could not be synced to disk"):
            hands.rows.close()
        if hands.pid == self._starter:
            self._write_end(status, error)
        elif hands.rows.kept:
            self._write(RowsSealed, files=self._seal_rows(hurried=True))
        self._log.leave()
        self._log.detach()
        self._over = True
        with self._harmless("the journal could not be sealed"):
            hands.close()
        _runs.discard(self)
        if not _runs:
            _exits.forget()
        self._sidecar.close()
        self._interrupts.restore()

    def _write_end(self, status: str, error: BaseException | None) -> None:
        hands = self._hands
        if error is not None and status == "failed":
            if self._failed_step:
                where = f" in step {self._failed_step}"
            else:
                where = ""
            self._log.say(
                logging.ERROR, "Run failed%s: %s", where, _words(error), exc_info=_trace(error),
                quiet_trace=True,
            )  # fmt: skip
        sealed = self._seal_rows(hurried=status != "finished")
        duration_s = time.monotonic() - self._began
        # The times of several threads can come to more than there was.
        recorder_s = min(
            self._start_s + hands.spent_s + self._log.spent_s + self._shown_s, duration_s
        )
        left_out = self._left_out.take()
        event = self._write(
            RunEnded,
            status=status,
            duration_s=round(duration_s, 6),
            error=_words(error)
            if error is not None
            else self._interrupts.reason
            if status == "interrupted"
            else "",
            metric_rows=hands.rows.kept,
            lost_rows=hands.rows.lost + left_out.pop("lost rows", 0),
            lost_lines=self._log.lost,
            outputs=tuple(self._outputs.values()),
            totals=dict(self._totals),
            recorder_s=round(recorder_s, 6),
            limited_calls=self.limits.calls,
            timeouts=self.limits.overruns,
            left_out=dict(left_out),
            files=sealed,
        )
        if event is not None:
            for line in closing(event):
                self._log.say(logging.INFO, "%s", line)
            with self._harmless("the run's manifest could not be written"):
                put(
                    self._homes,
                    RUN_FILE,
                    run_manifest(sorted(self._events, key=lambda kept: kept.seq)) or b"",
                )
        if self._interrupts.reason:
            reason = f" by {self._interrupts.reason}"
        else:
            reason = ""
        last = {"finished": "Run finished", "interrupted": f"Run interrupted{reason}"}.get(
            status, "Run ended: failed"
        )
        self._log.say(logging.INFO, "%s", last)

    def _seal_rows(self, *, hurried: bool) -> tuple[SealedRows, ...]:
        """This process's files of rows with count and hash; in the process that started the run,
        those of its forks too.
        """
        if not self._records:
            return ()
        own = self._hands.rows.files
        with self._harmless("the files of rows could not be hashed"):
            others = set()
            if self._hands.pid == self._starter:
                others = (
                    seals.row_files(self.folder / layout.METRICS)
                    - self._rows_before
                    - {path for path, _, _ in own}
                )
            return seals.seal(
                self.folder, own, others, seals.HURRIED_S if hurried else seals.MOST_S
            )
        return ()

    def _safe_point(self) -> None:
        """Stop here if asked, unless the program's loops look for themselves, or a handler of its
        own does.
        """
        interrupts = self._interrupts
        if (
            interrupts.asked
            and interrupts.pending
            and not (self._looks_itself or interrupts.theirs)
        ):
            self._stop()

    def _stop(self) -> NoReturn:
        self._run_hooks()
        raise self._interrupts.breaks(self._interrupts.error())

    def _say_saved(self) -> None:
        """After a stop: how many rows lie where."""
        rows = self._hands.rows.kept
        if rows:
            self._log.say(
                logging.INFO, "Saved %d metric rows in %s", rows, self.folder / layout.METRICS
            )
        for table in self._tables:
            if table.path.exists():
                place = table.path
            else:
                place = table.partial
            self._log.say(
                logging.INFO,
                "Saved %d rows of table %s in %s",
                len(table) - table.lost_rows,
                table.name,
                place,
            )

    def _run_hooks(self) -> None:
        """Call the hooks that have not been called; none where the stop is forced upon a program
        that had been asked.
        """
        hooks, self._hooks = self._hooks, []
        if self._interrupts.stops < 2 and self._hands.pid == self._starter:
            for hook in hooks:
                with self._harmless(
                    f"{getattr(hook, '__name__', 'a hook')} failed at the interrupt"
                ):
                    hook()

    def _on_signal(self, name: str, forced: bool) -> None:
        """In a signal handler."""
        listening = self._interrupts.listening
        self._write(InterruptedEvent, signal=name, forced=forced, listening=listening)
        if forced:
            words = "stopping at once"
        else:
            words = "the run stops when it has finished what it is at; once more forces it"
        if self._interrupts.theirs:
            words = "the program's own handler takes it"
        self._log.tell(logging.WARNING, "%s: %s", name, words)

    def _write(self, kind: type[E], **fields: object) -> E | None:
        """Append an event, and return it; None where it could not be written, and where another
        process records.
        """
        tag = str(kind.__struct_config__.tag)
        if self._over:
            self._refuses(WORDS.get(tag, "others"))
            return None
        with self._harmless(f"{tag} could not be written down"):
            event = self._hands.write(kind, **fields)
            if not self._records:
                return None
            if isinstance(event, KEPT) and event.writer == self._started.writer:
                self._events.append(event)
            return event
        return None

    def _lose_row(self, error: Exception) -> None:
        """A row could not be kept."""
        if self._hands.ended:
            self._refuses("metric rows")
            return
        if self._hands.pid != self._starter:  # whose end counts its own rows only
            self._left_out.add("lost rows")
        self._warn(
            "rows", f"a metric row could not be written, and later ones may be lost too: {error}"
        )

    def _refuses(self, what: str) -> bool:
        """Whether what is handed in now is not kept: after the end, and where another process
        records. It is counted, and said once.
        """
        ended = self._hands.ended
        if self._records and not ended:
            return False
        with self._harmless("what is not kept could not be counted"):
            self._left_out.add(what)
            if ended and (os.getpid() == self._starter or self._speaks("it has ended")):
                self._warn(
                    "refused",
                    f"it has ended: {what}, and whatever else is handed to it now, are not kept",
                )
                leftout.say_at_exit(self.run_id, self._left_out)
            elif (
                not ended
                and "refused" not in self._hands.said
                and self._speaks("only rank 0 records")
            ):
                self._warn(
                    "refused",
                    (
                        f"{self._who()} does not record: {what}, and whatever else it hands "
                        "in, are not kept"
                    ),
                )
            self._hands.said.add("refused")
        return True

    def _who(self) -> str:
        if self._rank is not None and os.getpid() == self._starter:
            rank = self._rank
        else:
            rank = None
        if rank is not None:
            return f"rank {rank.number} of {rank.world} (rank 0 does)"
        return "a process that loads data"

    def _speaks(self, words: str) -> bool:
        """Whether this is the process that says so for all ranks and forked children: the first to
        ask.
        """
        if self._rank is None:
            group = self.run_id
        else:
            group = self._rank.group
        me = f"{self._hands.writer.id} {os.getpid()}"
        try:
            return (
                "refused" in self._hands.said
                or agreed(self.folder, group, f"{self.run_id}: {words}", me) == me
            )
        except StorageError:
            return True

    @contextlib.contextmanager
    def _harmless(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._warn(what, f"{what}: {error}")

    def _warn(self, about: str, message: str) -> None:
        """Say it once a process, and never let a logging handler of the user's stop the user's
        loop.
        """
        if about in self._hands.said:
            return
        self._hands.said.add(about)
        self._log.say(logging.WARNING, "run %s: %s", self.run_id, message)

    def _after_fork(self) -> None:
        """In the child: the parent's files and locks are the parent's."""
        self._left_out.after_fork()
        if is_data_worker():
            self._records = False
        self._hands = self._new_hands(None)
        self._log.after_fork(self._hands.writer.id if self._records else "")
        self._labels.after_fork()
        self.limits.after_fork()
        self._sidecar.after_fork()
        self._watch_after_fork()


def _give_children_their_own() -> None:
    for run in list(_runs):
        run._after_fork()


def _share_counts() -> None:
    for run in list(_runs):
        with contextlib.suppress(OSError):
            run._left_out.before_fork()


os.register_at_fork(before=_share_counts, after_in_child=_give_children_their_own)


# when this module is imported: what the program registers later comes before it, and may still
# record
@atexit.register
def _end_all() -> None:
    """End the runs that nobody has ended, the one that began last first. Raises nothing."""
    for run in sorted(_runs, key=lambda run: run._began, reverse=True):
        with contextlib.suppress(Exception):
            run._end_unsaid("The program ends without having ended this run (with, or run.close())")


def _trace(
    error: BaseException,
) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    """What logging prints of it; nothing of an error of ours, which says all."""
    if isinstance(error, WatchkeeperError):
        return None
    return (type(error), error, error.__traceback__)


def _words(error: BaseException) -> str:
    """`ValueError: message`, bounded, and without secrets such as the login of an address."""
    try:
        message = redact(str(error)[:ERROR_LIMIT])
    except Exception:
        message = "(its message could not be made)"
    return text(
        f"{type(error).__name__}: {message}" if message else type(error).__name__, limit=ERROR_LIMIT
    )


def _checkpoint_files(place: Path) -> tuple[CheckpointFile, ...]:
    """The files of a checkpoint with their sizes, sorted by path; temporaries left out."""
    if place.is_file():
        return (CheckpointFile(path=place.name, size_bytes=place.stat().st_size),)
    found = sorted(
        path
        for path in place.rglob("*")
        if path.is_file() and not path.name.startswith(files.TEMPORARY_PREFIX)
    )
    return tuple(
        CheckpointFile(path=str(path.relative_to(place)), size_bytes=path.stat().st_size)
        for path in found
    )
