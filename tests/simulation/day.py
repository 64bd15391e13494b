"""One simulated day of an experiment, and what is wrong with how it was kept.

A watcher is killed about once an hour, wherever it stands: before or after a command of Slurm, or
before it writes an event. The next one begins from the journal, as if the same command were typed.
Everything that is drawn comes from the seed, so a day can be had again, to the byte.
"""

from __future__ import annotations

import gc
import math
import os
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import msgspec

from tests.experiments import state_of, write_experiment
from tests.simulation.cluster import Clock, Cluster, Execution, Slurm
from watchkeeper.core import journal, processes
from watchkeeper.core.chain.follow import follow_all
from watchkeeper.core.code import git
from watchkeeper.core.disk.files import AppendFile
from watchkeeper.core.events import RunItem
from watchkeeper.core.processes import ProcessName
from watchkeeper.core.state import Attempt, State
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import WELL, Selection
from watchkeeper.schedulers.base import Snapshot
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.policy import WatchPolicy

HOUR_S = 3600.0
_MOST_WATCHERS = 200
# How long a job waits and runs, by and large, with the further executions of some.
_JOB_S = 2200.0
# What a watcher's memory may grow by after the first hour: it holds the journal, as objects.
_SLACK_MB = 16
_MOST_OF_JOURNAL = 6
# Half full, and of the same size on every day.
_DISK = os.statvfs_result((4096, 4096, 2**26, 2**25, 2**25, 2**20, 2**19, 2**19, 0, 255))


class KilledError(BaseException):
    """The watcher is no more: nothing of it may run on, so nothing may catch this."""


class Day(msgspec.Struct):
    """What came of a day, planned to last `hours`. `faults`: what is wrong, in words; `memory_mb`,
    `journal_mb`: at the end of each hour; `most_commands`: of Slurm's, in one poll.
    """

    seed: int
    jobs: int
    hours: float
    watchers: int = 0
    polls: int = 0
    most_commands: int = 0
    ended_after_s: float = 0.0
    executions: int = 0
    memory_mb: list[float] = []
    journal_mb: list[float] = []
    faults: list[str] = []


class _Event:
    """Waiting, in simulated time (for `threading.Event`)."""

    def __init__(self, wait: Callable[[float], None]) -> None:
        self._is_set = False
        self._wait = wait

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> None:
        self._wait(seconds)


class _CountingScheduler(SlurmScheduler):
    """Counts the commands of each poll. A claim has one holder here."""

    def __init__(self, shell: Slurm, day: Day, clock: Clock) -> None:
        super().__init__(shell, user="me", monotonic=clock.monotonic)
        self._slurm, self._day = shell, day

    def proves_claim(self, folder: Path) -> bool:
        """It does, in one process."""
        del folder
        return True

    def poll(self, job_ids: Sequence[str]) -> Snapshot:
        """See `SlurmScheduler.poll`."""
        before = len(self._slurm.asked)
        try:
            return super().poll(job_ids)
        finally:
            self._day.polls += 1
            asked = [words for words in self._slurm.asked[before:] if "--helpformat" not in words]
            self._day.most_commands = max(self._day.most_commands, len(asked))
            self._slurm.asked.clear()


class _Simulation:
    def __init__(self, folder: Path, seed: int, jobs: int, hours: float) -> None:
        self.folder = folder
        self.day = Day(seed, jobs, hours)
        self.clock = Clock()
        self.draws = random.Random(seed)
        self.cluster = Cluster(self.clock, seed)
        self.slurm = Slurm(self.cluster, self.passes)
        self.scheduler: SlurmScheduler | None = None
        self.next_kill_s = self._after_about(HOUR_S)
        for spans, number in ((self.cluster.outages, 4), (self.cluster.deaf, 4)):
            begins = sorted(self.draws.uniform(0, hours * HOUR_S) for _ in range(number))
            spans += [(begin, begin + self.draws.uniform(60, 2400)) for begin in begins]

    def _after_about(self, seconds: float) -> float:
        return self.clock.s + self.draws.uniform(0.5, 1.5) * seconds

    def passes(self) -> None:
        """A place at which the watcher may be killed, if its time has come."""
        if self.clock.s >= self.next_kill_s and self.draws.random() < 0.2:
            raise KilledError

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        hours = int(self.clock.s // HOUR_S)
        self.clock.s += seconds
        self.cluster.advance()
        if int(self.clock.s // HOUR_S) > hours:
            self.day.memory_mb.append(_memory_mb())
            self.day.journal_mb.append(_journal_mb(self.folder))

    def me(self) -> ProcessName:
        """The watcher as a process: each one has a number of its own."""
        return ProcessName(host="login", boot_id="boot", pid=self.day.watchers, start_ticks=1)

    def keep(self) -> bool:
        """One watcher's life; whether it came to its end."""
        self.day.watchers += 1
        self.scheduler = _CountingScheduler(self.slurm, self.day, self.clock)
        at_once = math.ceil(self.day.jobs * _JOB_S / (self.day.hours * HOUR_S))
        policy = WatchPolicy(
            soonest_s=15, poll_s=60, longest_s=300, stagger_s=0, cap=max(at_once, 4),
            unknown_deadline_s=4 * HOUR_S, keeps_going=True,
        )  # fmt: skip
        one = Keeper(
            experiments.read(self.folder), self.scheduler, policy, Selection(gate="each"),
            run_logs="off", clock=self.clock.now, monotonic=self.clock.monotonic,
        )  # fmt: skip
        one._leaving._event = _Event(self.wait)
        close, is_dead = one.logbook.close, []
        one.logbook.close = lambda: None if is_dead else close()  # the dead give nothing back
        passes = self.passes

        def dies_or_passes() -> None:
            try:
                passes()
            except KilledError:
                is_dead.append(True)
                raise

        self.slurm._passes = dies_or_passes
        append = AppendFile.append

        def appends(file: AppendFile, data: bytes, *, durable: bool = False) -> None:
            dies_or_passes()
            append(file, data, durable=durable)

        try:
            with mock.patch.object(AppendFile, "append", appends):
                return one.keep()
        except KilledError:
            self.next_kill_s = self._after_about(HOUR_S)
            return False

    def run(self) -> Day:
        """The whole day."""
        runs = tuple(f"r{number:05d}" for number in range(self.day.jobs // 2))
        write_experiment(self.folder, runs=runs)
        is_over = False
        while not is_over and self.day.watchers < _MOST_WATCHERS:
            is_over = self.keep()
            gc.collect()
        self.day.ended_after_s = self.clock.s
        self.day.executions = len(self.cluster.executions)
        self.day.faults += self._faults(is_over)
        return self.day

    def _faults(self, is_over: bool) -> Iterator[str]:
        if not is_over:
            yield f"it has not ended after {self.day.watchers} watchers"
        yield from twice(self.cluster.executions)
        good = {one.token for one in self.cluster.executions if one.is_good}
        state = state_of(self.folder)
        for item in experiments.read(self.folder).items:
            yield from _never_tried(item, state)
        for attempt in state.attempts():
            yield from _wrong_end(attempt, good)
        tokens = {a.intended.token for a in state.attempts() if a.intended is not None}
        for execution in self.cluster.executions:
            if execution.token not in tokens:
                yield f"job {execution.job_id} is in no journal"
        folder = self.folder / ".watchkeeper" / "journal"
        yield from map(str, journal.read(folder).problems)
        for followed in follow_all(folder):
            if followed.breaks:
                yield f"the chain of {followed.writer} breaks"
        if self.day.most_commands > 2:
            yield f"{self.day.most_commands} commands in one poll"
        yield from grown(self.day.memory_mb, self.day.journal_mb)


def twice(executions: list[Execution]) -> Iterator[str]:
    """Attempts of which two executions ran at once, or one after a good end."""
    last: dict[str, Execution] = {}
    for one in sorted(executions, key=lambda execution: execution.start):
        before = last.get(one.token)
        if before is not None and (before.end is None or before.end > one.start):
            yield f"jobs {before.job_id} and {one.job_id} ran one attempt at once"
        if before is not None and before.is_good:
            yield f"job {one.job_id} ran after the good end of {before.job_id}"
        last[one.token] = one


def grown(memory_mb: Sequence[float], journal_mb: Sequence[float]) -> Iterator[str]:
    """Memory that grew after the first hour by more than the events written since explain."""
    if not memory_mb:
        return
    more = max(memory_mb) - memory_mb[0]
    written = journal_mb[-1] - journal_mb[0]
    if more > _SLACK_MB + _MOST_OF_JOURNAL * written:
        yield f"memory grew by {more:.0f} MB after the first hour, the journal by {written:.1f} MB"


def _never_tried(item: RunItem, state: State) -> Iterator[str]:
    """Work without an attempt, though what it needs has ended well."""
    if state.run(item.key).latest is not None:
        return
    needed = [item.run] if item.phase == "evaluation" else item.needs
    before = [state.run(key).latest for key in needed]
    if all(one is not None and one.judged and one.judged.outcome in WELL for one in before):
        yield f"{item.key}: it was never submitted"


def _wrong_end(attempt: Attempt, good: set[str]) -> Iterator[str]:
    """What was said of an attempt against what it came to."""
    name = f"{attempt.key}, attempt {attempt.number}"
    if attempt.intended is None:
        return
    if attempt.judged is None:
        if attempt.rejected is None:
            yield f"{name}: nothing was said of its end"
        return
    is_well = attempt.judged.outcome in WELL
    if is_well != (attempt.intended.token in good):
        yield f"{name}: said to be {attempt.judged.outcome} ({attempt.judged.why}), and it is not"


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def _journal_mb(folder: Path) -> float:
    files = (folder / ".watchkeeper" / "journal").glob("*.jsonl")
    return sum(path.stat().st_size for path in files) / 2**20


@contextmanager
def _determined(simulation: _Simulation) -> Iterator[None]:
    """Random numbers from the seed, processes by number, no git, and a disk that stays the same."""
    draws = random.Random(simulation.day.seed)
    names = random.Random(simulation.day.seed)
    patches = (
        mock.patch.object(secrets, "choice", draws.choice),
        mock.patch.object(secrets, "token_bytes", draws.randbytes),
        # These name temporary files, of which a slow machine may make more: no journal has one.
        mock.patch.object(secrets, "token_hex", lambda size: names.randbytes(size).hex()),
        mock.patch.object(processes, "this_process", simulation.me),
        mock.patch.object(processes, "host", lambda: "login"),
        mock.patch.object(processes, "is_alive", lambda one: one == simulation.me()),
        mock.patch.object(git, "_run", lambda *words, **limit: None),
        mock.patch.object(os, "fsync", lambda fd: None),
        mock.patch.object(os, "statvfs", lambda place: _DISK),
    )
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def simulate(folder: Path, seed: int, jobs: int, hours: float) -> Day:
    """A day of so many jobs, half of them trainings and half evaluations, in a folder that is not
    there yet: as many jobs at a time as it takes to last about so many hours.
    """
    simulation = _Simulation(folder, seed, jobs, hours)
    with _determined(simulation):
        return simulation.run()


def journal_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of an experiment's journal, by its name."""
    files = (folder / ".watchkeeper" / "journal").glob("*.jsonl")
    return {path.name: path.read_bytes() for path in files}
