"""One run of this process: its parts, how it begins, and what comes over it from outside."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from watchkeeper.core import layout, processes
from watchkeeper.core.code import environment
from watchkeeper.core.disk import objects
from watchkeeper.core.journal import Clock
from watchkeeper.record import attempt as attempts
from watchkeeper.record.display.compared_code import ComparedCode
from watchkeeper.record.display.display import Display
from watchkeeper.record.options import COMMAND, Options, seed_of
from watchkeeper.record.ranks import Rank
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.results import Results
from watchkeeper.record.run_end import RunEnd
from watchkeeper.record.sidecar.spec import Spec
from watchkeeper.record.sidecar.starter import Sidecar
from watchkeeper.record.stages.stages import Stages
from watchkeeper.record.start_place import Place
from watchkeeper.record.stopping.overruns import Overruns
from watchkeeper.record.stopping.stops import Stops
from watchkeeper.record.writing.manifest import opening


class Lifetime:
    """One run, from its begin to its end. `Run` is what the program sees of it."""

    def __init__(
        self,
        folder: Path,
        run_id: str,
        pipeline: str,
        *,
        clock: Clock,
        options: Options,
        rank: Rank | None,
        shares_folder: bool,
        ended: Callable[[Self], None],
    ) -> None:
        """The parts. `shares_folder`: another run of this process records into the same folder.
        `ended` is called with this lifetime when the end is written.

        Raises:
            UsageError: the format of the log's lines is unusable.
            StorageError: the folder cannot be written to.
        """
        self._made = time.perf_counter()
        self.place: Place | None = None
        """Where the program started the run; None: a later start there does not end it."""
        self.recorder = recorder = Recorder(
            folder,
            run_id,
            pipeline,
            clock=clock,
            options=options,
            rank=rank,
            shares_folder=shares_folder,
        )
        self.stops = Stops(recorder)
        self.stages = Stages(recorder)
        self.results = Results(recorder)
        self.display = display = Display(recorder, self.stops)
        self.overruns = Overruns(
            recorder, training_step=display.training_step, count=display.count_timeout
        )
        self._code = ComparedCode(recorder)
        self._sidecar = Sidecar()
        self.end = RunEnd(
            recorder,
            stops=self.stops,
            stages=self.stages,
            results=self.results,
            display=display,
            limits=self.overruns.limits,
            code=self._code,
            sidecar=self._sidecar,
            ended=lambda: ended(self),
        )

    # ── the begin

    def write_start(self, config: dict[str, Any], attempt: attempts.Attempt | None) -> None:
        """Write the run's first event. `attempt` None: Watchkeeper submitted no such job.

        Raises:
            StorageError: it cannot be written.
        """
        recorder, options, rank = self.recorder, self.recorder.options, self.recorder.rank
        code = self._code.begin(options.code_folder)
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
            name=options.name,
            tags=options.tags,
            environment_sha256=self._keep_environment(config),
        )

    def _keep_environment(self, config: Mapping[str, Any]) -> str:
        """Keep what is installed beside the run, and return its hash; "" where that failed, or
        another process records. A command finds its Python on the PATH.
        """
        recorder = self.recorder
        if not recorder.records:
            return ""
        with recorder.harmless("what is installed could not be kept"):
            if config.keys() == COMMAND and recorder.options.code_folder is not None:
                installed = environment.of_submitter()
            else:
                installed = environment.of_process()
            data = msgspec.json.encode(installed)
            return objects.keep(recorder.folder / layout.OBJECTS, data, durable=False)
        return ""

    def begin(self, attempt: attempts.Attempt | None) -> None:
        """Write the first lines, and have the run watched from now on."""
        recorder = self.recorder
        recorder.log.attach()
        for line in opening(recorder.started):
            recorder.say(logging.INFO, "%s", line)
        if recorder.options.sidecar:
            self._start_sidecar()
        for path in recorder.recovered:
            recorder.say(
                logging.INFO, "Brought over what a killed process had left on this node: %s", path
            )
        if attempt and recorder.records:
            with recorder.harmless("where the run is could not be left for the watcher"):
                attempts.leave_word(
                    attempt, folder=recorder.folder, run_id=recorder.run_id, writer=recorder.writer
                )

    def listen(self) -> None:
        """The thread that is here speaks for the run, and signals ask it to stop."""
        self.recorder.log.enter()
        if self.recorder.options.handle_signals:
            self.stops.listen()
        self.end.start_s = time.perf_counter() - self._made - self.recorder.spent_s

    # ── the `with` around it

    def enter(self) -> None:
        """The program ends the run by a `with`: no later start does."""
        self.place = None
        log = self.recorder.log
        if not log.is_entered():  # started in another thread or task
            log.enter()

    def leave(self, error: BaseException | None) -> None:
        """The `with` is over, by this exception or by none.

        Raises:
            Interrupted: the run was asked to stop, and ends because of that.
        """
        interrupts = self.stops.interrupts
        interrupts.ending = True
        self.end.end_by(error)
        if interrupts.still_stops(error):
            raise interrupts.error() from None

    def leave_place(self) -> None:
        """Another run is started where this one was: no line of the log is this one's any more."""
        self.recorder.log.leave_all()
        self.place = None

    # ── the sidecar

    def watch_work(
        self, work: processes.ProcessName | None, output: Iterable[str], files: Iterable[str]
    ) -> None:
        """Have another process watched as the run's work, where the run was started with
        `sidecar=False`. It leads a group of processes and writes into `output`, below the run's
        folder, and into `files`, glob patterns; None: it is gone.
        """
        if work is not None:
            self._start_sidecar(work, output, files)

    def _start_sidecar(
        self,
        work: processes.ProcessName | None = None,
        output: Iterable[str] = (),
        files: Iterable[str] = (),
    ) -> None:
        """Start a sidecar; on another rank collect only this process's stacks, for rank 0's
        sidecar. `work` None is this process.
        """
        recorder, options = self.recorder, self.recorder.options
        with recorder.harmless("no sidecar watches this run"):
            me = processes.this_process()
            if not me.start_ticks:
                recorder.say(logging.INFO, "No sidecar watches this run: the system has no /proc")
                return
            if not recorder.records:
                self._sidecar.listen(options.dump_signal)
                return
            self._sidecar.start(
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
            silent = self._sidecar.silent
            if silent:
                recorder.say(logging.INFO, "A stall will be reported without stacks: %s", silent)

    # ── forks

    def after_fork(self) -> None:
        """In the child: the parent's files and locks are the parent's."""
        self.recorder.after_fork()
        self._code.after_fork()
        self.stages.after_fork()
        self.overruns.limits.after_fork()
        self._sidecar.after_fork()
        self.display.after_fork()
