"""A cluster in simulated time: jobs that wait, run, are preempted, requeued or lost with their
node, and a controller that is away, refuses, or answers too late. What becomes of a job is drawn
from the seed and the job's number alone. It does by itself what a wrapper does: claims and exit
records.
"""

from __future__ import annotations

import heapq
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from watchkeeper.core.errors import UnavailableError
from watchkeeper.schedulers.base import TERMINAL, Job, Receipt, Snapshot
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.fake.slurm import FakeSlurm
from watchkeeper.schedulers.shell import Done
from watchkeeper.schedulers.wrapper.claims import FINISHED, TWIN, Claim, read_claims

START = datetime(2026, 3, 11, tzinfo=UTC)
REMEMBERED_S = 300.0  # squeue shows an ended job for so long
_ENDS = ("good", "failed", "preempted", "node lost")
_WEIGHTS = (88, 4, 6, 2)
_ANSWERS = ("accept", "doubt", "lose", "unreached", "busy")
_ANSWER_WEIGHTS = (95, 2, 1, 1, 1)


class Clock:
    """Simulated time, in seconds since `START`; it moves a little at each look, and by waiting."""

    def __init__(self) -> None:
        self.s = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        self.s += 0.0005
        return self.s

    def now(self) -> datetime:
        """The wall clock, aware."""
        return START + timedelta(seconds=round(self.s, 3))


class Execution(msgspec.Struct):
    """One execution of an attempt, in simulated seconds. `end`: None while it runs."""

    token: str
    job_id: str
    start: float
    end: float | None = None
    is_good: bool = False


class Cluster(FakeScheduler):
    """`executions` are all that ever began, for whoever checks what was said of them. `outages`:
    when the controller does not answer, `deaf`: when accounting does not, in simulated seconds.
    """

    def __init__(self, clock: Clock, seed: int) -> None:
        super().__init__(clock=clock.now, name="slurm")
        self.clock = clock
        self.seed = seed
        self.executions: list[Execution] = []
        self.outages: list[tuple[float, float]] = []
        self.deaf: list[tuple[float, float]] = []
        self._due: list[tuple[float, str, int]] = []
        self._running: dict[str, Execution] = {}
        self._ended_at: dict[str, float] = {}

    def _draw(self, what: str) -> random.Random:
        return random.Random(f"{self.seed}/{what}")

    # ── what the scheduler does

    def submit(self, job: Job) -> Receipt:
        """Take the job, or fail as a controller does now and then."""
        answers = self._draw(f"submission {self.submissions}")
        if _within(self.outages, self.clock.s):
            self.on_submit("unreached")
        else:
            self.on_submit(*answers.choices(_ANSWERS, _ANSWER_WEIGHTS))
        before = set(self.jobs)
        try:
            return super().submit(job)
        finally:
            for job_id in self.jobs.keys() - before:
                wait = self._draw(f"wait {job_id}").uniform(5, 900)
                heapq.heappush(self._due, (self.clock.s + wait, job_id, 0))

    def poll(self, job_ids: Sequence[str]) -> Snapshot:
        """As squeue: jobs that ended long ago are not shown."""
        horizon = self.clock.s - REMEMBERED_S
        young = [name for name in job_ids if self._ended_at.get(name, self.clock.s) >= horizon]
        return super().poll(young)

    @property
    def silent(self) -> str:
        """Why accounting does not answer."""
        return "Connection refused" if _within(self.deaf, self.clock.s) else ""

    def _ask(self) -> None:
        if _within(self.outages, self.clock.s):
            raise UnavailableError("fake: it cannot be reached")

    # ── what the jobs do

    def advance(self) -> None:
        """Let happen what is due by now."""
        while self._due and self._due[0][0] <= self.clock.s:
            at, job_id, step = heapq.heappop(self._due)
            if step % 2 == 0:
                self._begin(at, job_id, step // 2)
            else:
                self._finish(at, job_id, step // 2)

    def _begin(self, at: float, job_id: str, restart: int) -> None:
        job = self.jobs[job_id]
        if job.facts.state in TERMINAL:
            return
        folder = job.job.wrapper.parent
        refusal = self._claim(folder, at, job_id, restart)
        if refusal:
            self._end_as(job_id, at, "FAILED", refusal)
            return
        self._running[job_id] = Execution(job.job.token, job_id, at)
        self.executions.append(self._running[job_id])
        self._say(job_id, state="RUNNING", reason="", started=_time(at), node="node1")
        length = self._draw(f"length {job_id} {restart}").uniform(60, 3000)
        heapq.heappush(self._due, (at + length, job_id, 2 * restart + 1))

    def _claim(self, folder: Path, at: float, job_id: str, restart: int) -> int:
        """Claim the attempt as the wrapper does; the code of its refusal, 0 for none."""
        claims = read_claims(folder)
        if claims and claims[-1].job_id != job_id:
            return TWIN
        if (folder / f"exit.{len(claims)}").exists():
            ended = json.loads((folder / f"exit.{len(claims)}").read_text())
            if ended["exit_code"] == 0:
                return FINISHED
        claim = Claim(
            scheduler="slurm", job_id=job_id, nonce="0" * 32, restart=restart, host="node1",
            boot_id="boot", pid=1, time=_time(at),
        )  # fmt: skip
        self._write(folder / f"claim.{len(claims) + 1}", msgspec.json.encode(claim) + b"\n", at)
        return 0

    def _finish(self, at: float, job_id: str, restart: int) -> None:
        job = self.jobs[job_id]
        execution = self._running.pop(job_id)
        execution.end = at
        (end,) = self._draw(f"end {job_id} {restart}").choices(_ENDS, _WEIGHTS)
        if end == "node lost":
            self._end_as(job_id, at, "NODE_FAIL", 0)
            return
        folder = job.job.wrapper.parent
        code = {"good": 0, "failed": 1, "preempted": 143}[end]
        execution.is_good = end == "good"
        if execution.is_good:
            self._leave_result(job.job, at)
        number = len(read_claims(folder))
        record = {
            "job_id": job_id,
            "exit_code": code,
            "execution": number,
            "ended": _time(at).isoformat(),
            "nonce": "0" * 32,
            "interrupted": end == "preempted",
        }
        self._write(folder / f"exit.{number}", json.dumps(record).encode() + b"\n", at)
        if end == "preempted":
            self._say(job_id, state="PENDING", reason="BeginTime", started=None, node="")
            wait = self._draw(f"again {job_id} {restart}").uniform(60, 1200)
            heapq.heappush(self._due, (at + wait, job_id, 2 * restart + 2))
            return
        self._end_as(job_id, at, "FAILED" if code else "COMPLETED", code)

    def _leave_result(self, job: Job, at: float) -> None:
        """Write what the scripts of `tests/experiments.py` leave."""
        if job.folder.name == "eval":
            cell = job.name.partition("_")[2]
            self._write(job.folder / cell / "result.json", b'{"accuracy": 0.5}\n', at)
        else:
            self._write(job.folder / "artifacts/epoch_0/model.bin", b"weights", at)

    def _end_as(self, job_id: str, at: float, state: str, code: int) -> None:
        reason = "NonZeroExitCode" if code else ""
        self._say(job_id, state=state, reason=reason, exit_code=code, ended=_time(at))
        self._ended_at[job_id] = at

    def _say(self, job_id: str, **facts: object) -> None:
        job = self.jobs[job_id]
        job.facts = msgspec.structs.replace(job.facts, **facts)

    def _write(self, path: Path, data: bytes, at: float) -> None:
        """Write a file whole, as if at that time."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        seconds = (START + timedelta(seconds=at)).timestamp()
        os.utime(path, (seconds, seconds))


class Slurm(FakeSlurm):
    """Its commands, which may be the last thing that a watcher does: `passes` is called before and
    after each.
    """

    def __init__(self, cluster: Cluster, passes: Callable[[], None]) -> None:
        super().__init__(cluster, version=(23, 2))
        self._passes = passes

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        folder: str = "",
        env: Mapping[str, str] | None = None,
        input: str = "",
    ) -> Done:
        """See `FakeSlurm.run`."""
        self._passes()
        done = super().run(argv, timeout_s=timeout_s, folder=folder, env=env, input=input)
        self._passes()
        return done


def _within(spans: Sequence[tuple[float, float]], at: float) -> bool:
    return any(begin <= at < end for begin, end in spans)


def _time(at: float) -> datetime:
    return START + timedelta(seconds=round(at))
