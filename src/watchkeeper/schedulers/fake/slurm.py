"""Slurm's commands in front of a FakeScheduler, for what a real Slurm cannot be made to do when a
test wants it.

    fake = FakeScheduler()
    shell = FakeSlurm(fake, version=(24, 5))
    slurm = SlurmScheduler(shell, user="me")
    fake.on_submit("doubt", "lose", "busy")     sbatch times out and has taken the job; has not;
    says later
    fake.outage(3)                              the controller is not reached the next three times
    fake.silence("Connection refused")          accounting does not answer
    fake.report(job_id, "FAILED")               what both say of the job, whatever is true
    shell.hide(job_id, squeue=2, sacct=3)       it is shown only at the third look, its end booked
    only at the fourth
    shell.answer("squeue", Done(code=0))        the next squeue says this

Texts are those of a real 22.05, or of the `version` where that is known to differ: before 21.08
sacct has no SubmitLine, so that accounting knows no token; from 23.02 on it has Restarts.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from watchkeeper.core.errors import (
    BusyError,
    DoubtError,
    RefusedError,
    SchedulerError,
    UnavailableError,
    UnreachedError,
)
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.base import TERMINAL, Job
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.shell import NOT_THERE, Done
from watchkeeper.schedulers.wrapper.names import token_of

_CONTACT = "Unable to contact slurm controller (connect failure)"
_TIMED_OUT = "Socket timed out on send/recv operation"
_FIELDS = (
    "JobID", "JobIDRaw", "State", "ExitCode", "Reason", "Submit", "Start", "End", "NodeList",
    "MaxRSS", "JobName", "WorkDir",
)  # fmt: skip
# What sbatch says for each error of the fake. The first class that fits counts.
_REFUSALS = (
    (
        RefusedError,
        "Batch job submission failed: Invalid account or account/partition combination specified",
    ),
    (
        BusyError,
        "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, "
        "user's size)",
    ),
    (UnavailableError, "Batch job submission failed: Munge encode failed"),
    (UnreachedError, f"Batch job submission failed: {_CONTACT}"),
    (DoubtError, f"Batch job submission failed: {_TIMED_OUT}"),
)
_CONFIG = (
    "ClusterName = fake\nMaxArraySize = 1001\nAccountingStorageType = "
    "accounting_storage/none\nSLURM_VERSION = {}\n"
)


class FakeSlurm:
    """A shell (`schedulers.shell.Shell`) that knows Slurm's commands only. `asked`: every command
    run so far.
    """

    def __init__(self, fake: FakeScheduler, *, version: tuple[int, int] = (22, 5)) -> None:
        self.fake = fake
        self.version = version
        self.asked: list[Sequence[str]] = []
        self._answers: dict[str, deque[Done]] = {}
        self._hidden: dict[tuple[str, str], int] = {}

    # ── what goes wrong

    def answer(self, command: str, *answers: Done) -> None:
        """What the next runs of a command say, in order, whatever is true."""
        self._answers.setdefault(command, deque()).extend(answers)

    def hide(self, job_id: str, *, squeue: int = 0, sacct: int = 0) -> None:
        """Show the job only after this many more looks of each command."""
        self._hidden |= {("squeue", job_id): squeue, ("sacct", job_id): sacct}

    # ── the commands

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        folder: str = "",
        env: Mapping[str, str] | None = None,
        input: str = "",
    ) -> Done:
        """Run one of Slurm's commands; see `Shell.run`."""
        del timeout_s, env, input
        self.asked.append(tuple(argv))
        command, words = argv[0], list(argv[1:])
        if self._answers.get(command):
            return self._answers[command].popleft()
        runs = {
            "sbatch": self._sbatch,
            "squeue": self._squeue,
            "sacct": self._sacct,
            "scancel": self._scancel,
        }
        if "--version" in words:
            return Done(code=0, out="slurm {}.{:02}.1\n".format(*self.version))
        if command == "scontrol":
            return Done(code=0, out=_CONFIG.format("{}.{:02}.1".format(*self.version)))
        if command == "sinfo":
            return Done(code=0)
        if command in runs:
            return runs[command](words, folder)
        return Done(code=NOT_THERE, err=f"{command}: not found")

    def _sbatch(self, words: list[str], folder: str) -> Done:
        script = Path(words[-1])
        options = _options(words)
        after: tuple[str, ...] = ()
        if "dependency" in options:
            after = tuple(options["dependency"].removeprefix("afterany:").split(":"))
        job = Job(
            wrapper=script,
            folder=Path(folder),
            name=options.get("job-name", script.name),
            token=token_of(script) or "",
            after=after,
            array=options.get("array", ""),
        )
        try:
            return Done(code=0, out=f"{self.fake.submit(job).job_id}\n")
        except SchedulerError as error:
            return Done(code=1, err=f"sbatch: error: {_refusal(error)}\n")

    def _squeue(self, words: list[str], _folder: str) -> Done:
        columns = [part.partition(":")[::2] for part in _options(words)["Format"].split(",")]
        try:
            shown = self._shown("squeue", self.fake.poll(list(self.fake.jobs)).facts)
        except UnavailableError:
            return Done(code=1, err=f"slurm_load_jobs error: {_CONTACT}\n")
        lines = []
        for job_id, facts in self._by_task(shown):
            job = self._job(job_id)
            status = 0
            if facts.state in TERMINAL:
                status = (facts.exit_code or 0) << 8 | (facts.signal or 0)
            cells = self._cells(job_id, job, facts) | {
                "JobArrayID": job_id,
                "JobID": self._own_id(job_id),
                "exit_code": str(status),
                "Command": str(job.wrapper),
            }
            lines.append("".join(cells[name] + separator for name, separator in columns))
        return Done(code=0, out="".join(f"{line}\n" for line in lines))

    def _sacct(self, words: list[str], _folder: str) -> Done:
        offered = self._offered_fields()
        if "--helpformat" in words:
            return Done(code=0, out="".join(f"{field:<20}" for field in offered) + "\n")
        options = _options(words)
        fields, separator = options["format"].split(","), options["delimiter"]
        if unknown := [field for field in fields if field not in offered]:
            return Done(code=1, err=f"sacct: error: Invalid field requested: '{unknown[0]}'\n")
        if self.fake.silent:
            return Done(
                code=1, err=f"sacct: error: Problem talking to the database: {self.fake.silent}\n"
            )
        # Accounting answers also while the controller does not.
        known = {key: job.facts for key, job in self.fake.jobs.items() if not job.forgotten}
        shown = self._shown("sacct", known)
        job_ids = list(shown)
        if "jobs" in options:
            job_ids = [job_id for job_id in options["jobs"].split(",") if job_id in shown]
        lines = [separator.join(fields)]
        for job_id, facts in self._by_task({name: shown[name] for name in job_ids}):
            cells = self._booked(job_id, facts)
            lines.append(separator.join(cells[field] for field in fields))
        return Done(code=0, out="".join(f"{line}\n" for line in lines))

    def _offered_fields(self) -> list[str]:
        """The columns that sacct has in this version."""
        fields = list(_FIELDS)
        if self.version >= (21, 8):
            fields.append("SubmitLine")
        if self.version >= (23, 2):
            fields.append("Restarts")
        return fields

    def _booked(self, job_id: str, facts: SchedulerFacts) -> dict[str, str]:
        """Column → what sacct shows of a job. It takes 128 off a code above 127."""
        job = self._job(job_id)
        state = facts.state
        if state == "CANCELLED":
            state = "CANCELLED by 1000"
        code = facts.exit_code or 0
        if code > 128:
            code -= 128
        return self._cells(job_id, job, facts) | {
            "State": state,
            "ExitCode": f"{code}:{facts.signal or 0}",
            "JobIDRaw": self._own_id(job_id),
            "SubmitLine": f"sbatch --parsable {job.wrapper}",
            "Restarts": "0",
            "MaxRSS": "",
        }

    def _scancel(self, words: list[str], _folder: str) -> Done:
        try:
            self.fake.cancel(words[-1])
        except UnavailableError:
            return Done(code=1, err=f"scancel: error: {_CONTACT}\n")
        return Done(code=0)

    # ── what the jobs are

    def _shown(
        self, command: str, facts: Mapping[str, SchedulerFacts]
    ) -> dict[str, SchedulerFacts]:
        shown = {}
        for job_id, one in facts.items():
            left = self._hidden.get((command, job_id), 0)
            self._hidden[command, job_id] = max(0, left - 1)
            if not left:
                shown[job_id] = one
        return shown

    def _job(self, job_id: str) -> Job:
        """What was submitted as this job, or as the array of this task."""
        return self.fake.jobs[job_id.partition("_")[0]].job

    def _own_id(self, job_id: str) -> str:
        """The number that a job, or a task of an array, has alone."""
        array_id, _, number = job_id.partition("_")
        if not number:
            return job_id
        return str(int(array_id) + list(self.fake.jobs[array_id].tasks).index(int(number)))

    def _by_task(self, facts: Mapping[str, SchedulerFacts]) -> Iterator[tuple[str, SchedulerFacts]]:
        """Each job, and each task of an array in its place."""
        for job_id, one in facts.items():
            tasks = self.fake.jobs[job_id].tasks
            for number, part in tasks.items():
                yield f"{job_id}_{number}", part.facts
            if not tasks:
                yield job_id, one

    def _cells(self, job_id: str, job: Job, facts: SchedulerFacts) -> dict[str, str]:
        times = {"Submit": facts.submitted, "Start": facts.started, "End": facts.ended}
        cells = {field: _seconds(time) for field, time in times.items()}
        cells |= {f"{field}Time": value.replace("Unknown", "N/A") for field, value in cells.items()}
        return cells | {
            "JobID": job_id,
            "State": facts.state,
            "Reason": re.sub(r"\s", "", facts.reason) or "None",
            "NodeList": facts.node,
            "Name": job.name,
            "JobName": job.name,
            "WorkDir": str(job.folder),
        }


def _options(words: Sequence[str]) -> dict[str, str]:
    """Long option → value, of those written with =."""
    options = {}
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and equals:
            options[name] = value
    return options


def _refusal(error: SchedulerError) -> str:
    return next(message for kind, message in _REFUSALS if isinstance(error, kind))


def _seconds(time: datetime | None) -> str:
    if time:
        return str(int(time.timestamp()))
    return "Unknown"
