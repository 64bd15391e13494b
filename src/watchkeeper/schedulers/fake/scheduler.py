"""A scheduler in memory, for the faults that real ones cannot be made to show when a test wants
them.

    fake = FakeScheduler()
    fake.on_submit("doubt", "accept")      the next submission raises DoubtError though the job
    exists
    fake.outage(3)                         the next three looks raise UnavailableError
    fake.run(job_id)                       really executes the job's wrapper, to its end
    fake.report(job_id, "NODE_FAIL")       what it says from now on, whatever is true
    fake.forget(job_id)                    it no longer knows the job

A job array that was started begins its tasks as its limit allows, each at the look after the end of
one before it.

Jobs stay pending until `start` or `run`, or until their states are scripted. They do not outlive
this process.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.core.errors import (
    BusyError,
    DoubtError,
    RefusedError,
    UnavailableError,
    UnreachedError,
)
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.base import TERMINAL, Job, Receipt, Snapshot
from watchkeeper.schedulers.sbatch_head import Head, expand, job_environment, read_head
from watchkeeper.schedulers.shell import Shell
from watchkeeper.schedulers.site import Site

# accept; refuse, busy, unavailable: no job exists; doubt: a job exists, and the submitter is not
# told; lose: none does, and the submitter is not told; unreached: none does; retried: one does. Of
# both the submitter says that it reached nobody.
Outcome = Literal[
    "accept", "refuse", "busy", "unavailable", "doubt", "lose", "unreached", "retried"
]


class FakePart:
    """A process, or the want of one, and what the scheduler says of it: a job alone, or a task."""

    def __init__(self, facts: SchedulerFacts) -> None:
        self.facts = facts
        self.process: subprocess.Popen[bytes] | None = None


class FakeJob(FakePart):
    """One job: what was handed over, and what the scheduler says of it. `tasks`, of an array (`""`:
    it is none): number → the task.
    """

    def __init__(
        self, job: Job, facts: SchedulerFacts, tasks: dict[int, FakePart], array: str
    ) -> None:
        super().__init__(facts)
        self.job = job
        self.script: deque[SchedulerFacts] = deque()
        self.tasks = tasks
        self.array = array
        self.started = False
        self.forgotten = False

    @property
    def parts(self) -> list[FakePart]:
        """What has a process: the job, or each of its tasks."""
        return list(self.tasks.values()) or [self]


class FakeScheduler:
    """Keeps jobs in memory. `visibility_lag_s` is only what it says of itself."""

    def __init__(
        self, *, clock: Clock = utc_now, name: str = "fake", visibility_lag_s: float = 0.0
    ) -> None:
        self.name = name
        self.visibility_lag_s = visibility_lag_s
        self.far: Shell | None = None
        self.jobs: dict[str, FakeJob] = {}
        self.submissions = 0
        self.polls = 0
        self._clock = clock
        self._outcomes: deque[Outcome] = deque()
        self._site = Site()
        self.claim_proved = True
        self._outage = 0
        self._silent = ""
        self._last_id = 0

    # ── what goes wrong

    def on_submit(self, *outcomes: Outcome) -> None:
        """What happens to the next submissions, in order; those after them are accepted."""
        self._outcomes.extend(outcomes)

    def outage(self, looks: int) -> None:
        """It cannot be asked the next `looks` times (find, poll, cancel)."""
        self._outage = looks

    @property
    def silent(self) -> str:
        """Why part of it does not answer; "" when all does."""
        return self._silent

    def silence(self, why: str) -> None:
        """Part of it does not answer from now on, with these words; "" ends that."""
        self._silent = why

    def forget(self, job_id: str) -> None:
        """It knows the job no longer."""
        self.jobs[job_id].forgotten = True

    def report(self, job_id: str, *states: str | SchedulerFacts) -> None:
        """Say this of the job, one look after the other; the last is said from then on. A bare
        state keeps the rest.
        """
        job = self.jobs[job_id]
        for state in states:
            if job.script:
                last = job.script[-1]
            else:
                last = job.facts
            job.script.append(
                msgspec.structs.replace(last, state=state) if isinstance(state, str) else state
            )

    # ── jobs that really run

    def start(self, job_id: str, *, restart: int = 0) -> None:
        """Execute the job's wrapper, as its restart number `restart`.

        Raises:
            OSError, StorageError: it cannot be started.
            ValueError: a job that it waits for has not ended.
        """
        job = self.jobs[job_id]
        for other in job.job.after:
            if other in self.jobs and self.state_of(other) not in TERMINAL:
                raise ValueError(f"job {job_id} waits for job {other}")
        if not job.tasks:
            self._launch(job_id, job, job, {}, restart)
            return
        job.started = True
        self._look(job)

    def _launch(
        self,
        job_id: str,
        job: FakeJob,
        part: FakePart,
        variables: Mapping[str, str],
        restart: int = 0,
    ) -> None:
        """Execute the wrapper of a job, or of one of its tasks."""
        head = read_head(files.read_whole(job.job.wrapper), name=job.job.name)
        environment = job_environment(
            os.environb, job_id=job_id, name=head.name, folder=job.job.folder, restart=restart
        )
        environment |= {name.encode(): value.encode() for name, value in variables.items()}
        output, error = Path(part.facts.output), Path(part.facts.error_output)
        files.make_folder(output.parent)
        files.make_folder(error.parent)
        if restart:
            mode = "ab"
        else:
            mode = "wb"
        with open(output, mode) as out, open(error, "ab" if error == output else mode) as err:
            part.process = subprocess.Popen(
                [*head.interpreter, job.job.wrapper],
                cwd=job.job.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        part.facts = msgspec.structs.replace(
            part.facts, state="RUNNING", started=self._clock(), node="fake"
        )

    def state_of(self, job_id: str) -> str:
        """The state of a job now."""
        self._look(self.jobs[job_id])
        return self.jobs[job_id].facts.state

    def wait(self, job_id: str) -> SchedulerFacts:
        """Wait for the end of a job that was started."""
        job = self.jobs[job_id]
        running = True
        while running:
            processes = [part.process for part in job.parts if part.facts.state == "RUNNING"]
            for process in filter(None, processes):
                process.wait()
            self._look(job)
            running = job.facts.state == "RUNNING"
        return job.facts

    def run(self, job_id: str, *, restart: int = 0) -> SchedulerFacts:
        """Execute the job to its end. Raises as `start`."""
        self.start(job_id, restart=restart)
        return self.wait(job_id)

    def _look(self, job: FakeJob) -> None:
        """See which processes have ended, and begin the tasks that may begin now."""
        for part in job.parts:
            self._look_at(part)
        if not job.tasks:
            return
        self._begin_tasks(job)
        facts = {number: part.facts for number, part in job.tasks.items()}
        job.facts = arrays.facts_of_whole(facts)

    def _begin_tasks(self, job: FakeJob) -> None:
        if not job.started:
            return
        states = [part.facts.state for part in job.tasks.values()]
        room = arrays.limit_of(job.array) or len(states)
        room -= states.count("RUNNING")
        job_id = next(name for name, one in self.jobs.items() if one is job)
        for index, (number, part) in enumerate(job.tasks.items()):
            if room > 0 and part.facts.state == "PENDING":
                own_id = str(int(job_id) + index)
                variables = arrays.task_variables(job.array, job_id, number, own_id)
                self._launch(job_id, job, part, variables)
                room -= 1

    def _look_at(self, part: FakePart) -> None:
        if part.process is None or part.facts.state in TERMINAL:
            return
        status = part.process.poll()
        if status is None:
            return
        if status:
            state = "FAILED"
        else:
            state = "COMPLETED"
        part.facts = msgspec.structs.replace(
            part.facts,
            state=state,
            reason="NonZeroExitCode" if status else "",
            exit_code=max(status, 0),
            signal=-status if status < 0 else None,
            ended=self._clock(),
        )

    # ── the scheduler

    @property
    def options(self) -> Sequence[str]:
        """What `allow` said."""
        return self._site.options

    def submit_words(self, script: str) -> str:
        """`fake finetune.slurm`."""
        return f"fake {shlex.quote(script)}"

    def exact_words(self, job: Job, head: Head) -> str:
        """`fake WRAPPER`."""
        del head
        return shlex.join(["fake", str(job.wrapper)])

    def proves_claim(self, folder: Path) -> bool:
        """`claim_proved`: true at first."""
        del folder
        return self.claim_proved

    def site(self) -> Site:
        """What `allow` said; nothing is limited at first."""
        return self._site

    def allow(self, site: Site) -> None:
        """What it takes from now on, in its own words; it takes everything all the same."""
        self._site = site

    def submit(self, job: Job) -> Receipt:
        """Accept the job, or do what `on_submit` says. Raises as the protocol says."""
        self.submissions += 1
        if self._outcomes:
            outcome = self._outcomes.popleft()
        else:
            outcome = "accept"
        match outcome:
            case "refuse":
                raise RefusedError("fake: the job was refused")
            case "busy":
                raise BusyError("fake: too many jobs at present")
            case "unavailable":
                raise UnavailableError("fake: it cannot be reached")
            case "unreached":
                raise UnreachedError("fake: connection refused")
            case "lose":
                raise DoubtError("fake: no answer")
        job_id = str(self._last_id + 1)
        head = read_head(files.read_whole(job.wrapper), name=job.name)
        array = job.array or head.array
        tasks: dict[int, FakePart] = {}
        if array:
            numbers = arrays.numbers_of(array)
            for index, number in enumerate(numbers):
                names = (str(int(job_id) + index), (job_id, str(number)))
                tasks[number] = FakePart(self._accepted(job, head, *names))
            facts = arrays.facts_of_whole({number: tasks[number].facts for number in tasks})
        else:
            facts = self._accepted(job, head, job_id, ("", ""))
        self._last_id += max(1, len(tasks))
        self.jobs[job_id] = FakeJob(job, facts, tasks, array)
        if outcome == "retried":
            raise UnreachedError("fake: connection refused")
        if outcome == "doubt":
            raise DoubtError("fake: no answer")
        return Receipt(job_id=job_id, exact=self.exact_words(job, head))

    def _accepted(self, job: Job, head: Head, own_id: str, task: tuple[str, str]) -> SchedulerFacts:
        """The facts of a job that waits, or of a task that does."""

        def place(pattern: str) -> str:
            name = expand(
                pattern, job_id=own_id, name=head.name, user="fake", node="fake", task=task
            )
            return str(job.folder / name)

        return SchedulerFacts(
            state="PENDING",
            reason="Resources",
            submitted=self._clock(),
            output=place(head.output),
            error_output=place(head.error or head.output),
        )

    def find(self, token: str) -> Sequence[str]:
        """All jobs with the token, by id, oldest first. Raises UnavailableError in an outage."""
        self._ask()
        return [
            job_id
            for job_id, job in self.jobs.items()
            if job.job.token == token and not job.forgotten
        ]

    def poll(self, job_ids: Sequence[str]) -> Snapshot:
        """Look at these jobs. Raises UnavailableError in an outage."""
        self.polls += 1
        self._ask()
        facts: dict[str, SchedulerFacts] = {}
        for job_id in job_ids:
            job = self.jobs.get(job_id)
            if job is None or job.forgotten:
                continue
            if job.script:
                job.facts = job.script.popleft()
            else:
                self._look(job)
            facts[job_id] = job.facts
        return Snapshot(
            query=f"fake jobs {','.join(job_ids) or 'none'}",
            facts=facts,
            tokens={job_id: self.jobs[job_id].job.token for job_id in facts},
            silent=self._silent,
        )

    def cancel(self, job_id: str) -> None:
        """End a job: SIGTERM to its session, SIGKILL after a second. Raises UnavailableError in an
        outage.
        """
        self._ask()
        job = self.jobs.get(job_id)
        if job is None:
            return
        self._look(job)
        if job.facts.state in TERMINAL:
            return
        for part in job.parts:
            if part.facts.state not in TERMINAL:
                self._end(part)
        self._look(job)

    def _end(self, part: FakePart) -> None:
        if part.process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(part.process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    part.process.wait(1.0)
        part.facts = msgspec.structs.replace(
            part.facts, state="CANCELLED", reason="", ended=self._clock()
        )

    def _ask(self) -> None:
        if self._outage > 0:
            self._outage -= 1
            raise UnavailableError("fake: it cannot be reached")
