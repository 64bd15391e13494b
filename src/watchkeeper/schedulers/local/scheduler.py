"""The local scheduler: this machine's jobs, a few at a time, first come first served, per user
and host.

It has no daemon. A submission writes the job down and starts a supervisor (supervisor.py) if a slot
is free; so does a poll that finds jobs waiting or orphaned with nobody at work, after a kill or a
reboot. Jobs outlive whoever submitted them. What a job left by `setsid` is not ended with it.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.errors import (
    DoubtError,
    RefusedError,
    SchedulerError,
    StorageError,
    UnavailableError,
    UsageError,
)
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.processes import ProcessName
from watchkeeper.core.settings import state_folder
from watchkeeper.core.text import lazy
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN, Job, Receipt, Snapshot
from watchkeeper.schedulers.local.records import (
    Array,
    CancelAsked,
    DamagedRecordError,
    Spec,
    Started,
    lost,
    numbers_of,
    read,
)
from watchkeeper.schedulers.local.spool import Spool, is_id, usable_cpus, usable_gpus
from watchkeeper.schedulers.local.supervisor import POKE
from watchkeeper.schedulers.sbatch_head import Head, expand, job_environment, read_head
from watchkeeper.schedulers.site import Site

# One more than the highest number of a task: Slurm's MaxArraySize where no site sets another.
MAX_ARRAY = 1001
_TOKEN = lazy.pattern(r"[A-Za-z0-9_-]+")


def default_spool(environment: Mapping[str, str] = os.environ) -> Path:
    """`local/<host>` below the user's state folder, since one home is mounted on many hosts."""
    return state_folder(environment) / "local" / processes.host()


def start_supervisor(spool: Path, slot_fd: int) -> None:
    """Start a supervisor, detached, that holds the slot of `slot_fd`. Its parent goes at once, so
    that it is nobody's zombie.

    Raises:
        OSError: it cannot be started.
    """
    command = [
        sys.executable,
        "-m",
        "watchkeeper.schedulers.local.supervisor",
        str(spool),
        str(slot_fd),
    ]
    subprocess.run(
        ["/bin/sh", "-c", '"$@" &', "sh", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[slot_fd],
        start_new_session=True,
        cwd="/",
        check=False,
    )


class LocalScheduler:
    """Runs batch scripts on this host.

    `slots` is how many jobs may run at once, None for one on each usable CPU: a host has one number
    for all of a user's jobs, and the last submission's holds from the next start on. `gpus` are the
    devices that jobs may ask for, None for those that this process may use; they are shared out
    likewise. `kill_wait_s` is how long a job has between SIGTERM and SIGKILL.

    Raises:
        UsageError: `slots` is less than 1.
    """

    name = "local"
    visibility_lag_s = 0.0

    def __init__(
        self,
        spool: Path | None = None,
        slots: int | None = None,
        *,
        gpus: Sequence[str] | None = None,
        kill_wait_s: float = 5.0,
        clock: Clock = utc_now,
        start: Callable[[Path, int], None] = start_supervisor,
    ) -> None:
        if slots is not None and slots < 1:
            raise UsageError(f"slots must be at least 1, not {slots}")
        self.spool = Spool(spool or default_spool())
        self.slots = usable_cpus() if slots is None else slots
        self.gpus = usable_gpus() if gpus is None else tuple(gpus)
        self.kill_wait_s = kill_wait_s
        self._clock = clock
        self._start = start
        self._ended: dict[str, SchedulerFacts] = {}
        self._lost: dict[str, SchedulerFacts] = {}  # seen to be gone, and not written down yet
        self._waits: dict[str, SchedulerFacts] = {}  # accepted, and not begun at the last look
        self._tokens: dict[str, str] = {}

    @property
    def options(self) -> Sequence[str]:
        """None: a script's own lines are all that counts."""
        return ()

    def submit_words(self, script: str) -> str:
        """`bash finetune.slurm`."""
        return f"bash {shlex.quote(script)}"

    def exact_words(self, job: Job, head: Head) -> str:
        """The command that its supervisor runs."""
        return shlex.join([*head.interpreter, str(job.wrapper)])

    def site(self) -> Site:
        """This machine has no partitions or accounts, and limits the size of an array alone."""
        return Site(max_array=MAX_ARRAY)

    # ── submit

    def submit(self, job: Job) -> Receipt:
        """Accept a job: when `spec.json` is there it is accepted, and nothing that happens here
        afterwards loses it.

        Raises:
            RefusedError: its script or folder is none; no job exists.
            DoubtError: the disk did not say whether `spec.json` was written.
            UnavailableError: the spool cannot be used; no job exists.
        """
        head = self._examine(job)
        try:
            self.spool.prepare()
            with self.spool.lock():
                job_id = self.spool.new_job(_task_count(job, head))
            spec = self._spec(job, head, job_id)
            token = files.make_folder(self.spool.tokens / job.token)
            files.fsync_folder(self.spool.tokens)
            files.replace(token / job_id, b"")
            files.replace(self.spool.pending / job_id, b"")
        except (StorageError, OSError) as error:
            hint = (
                getattr(error, "hint", "")
                or "set WATCHKEEPER_STATE_DIR to a folder that you can write in"
            )
            raise UnavailableError(
                f"the local scheduler cannot use {self.spool.folder}: {error}", hint=hint
            ) from error
        accepted = self.spool.job(job_id) / "spec.json"
        try:
            files.replace(accepted, msgspec.json.encode(spec), mode=0o600)
        except StorageError as error:
            if accepted.exists():
                raise DoubtError(
                    f"job {job_id} was written down, but perhaps not to the disk: {error}"
                ) from error
            raise UnavailableError(str(error), hint=error.hint) from error
        # A poll makes up for what fails here.
        with contextlib.suppress(SchedulerError, StorageError, OSError):
            self._kick(count=self.slots)
        return Receipt(job_id=job_id, exact=shlex.join(spec.command))

    def _examine(self, job: Job) -> Head:
        if not _TOKEN.fullmatch(job.token):
            raise RefusedError(f"'{job.token}' cannot be a token")
        try:
            for text in (str(job.wrapper), str(job.folder), job.name):
                text.encode()
            head = read_head(files.read_whole(job.wrapper), name=job.name)
        except UnicodeEncodeError:
            raise RefusedError(
                f"{str(job.folder)!r} or its job's name is not UTF-8", hint="rename it"
            ) from None
        except OSError as error:
            raise RefusedError(
                f"cannot read the batch script {job.wrapper}: {error.strerror}"
            ) from error
        self._refuse(job, head)
        return head

    def _refuse(self, job: Job, head: Head) -> None:
        """Raise RefusedError where this machine cannot run the job as its head describes it."""
        faults = [problem for problem in head.problems if problem.severity == "error"]
        if faults:
            raise RefusedError("; ".join(fault.message for fault in faults), hint=faults[0].hint)
        _refuse_array(job, head)
        if self.gpus and head.gpus > len(self.gpus):
            has = f"{len(self.gpus)} ({', '.join(self.gpus)})"
            hint = "name a cluster (--cluster NAME), or all devices: WATCHKEEPER_GPUS=0,1"
            raise RefusedError(
                f"{job.name} asks for {head.gpus} GPUs, and this machine has {has}", hint=hint
            )
        if not job.folder.is_dir():
            raise RefusedError(f"there is no folder {job.folder} to run {job.wrapper} in")

    def _spec(self, job: Job, head: Head, job_id: str) -> Spec:
        folder = job.folder / head.folder
        user, node = _user(), processes.host()

        def place(pattern: str) -> str:
            if not pattern or array is not None:
                return ""
            name = expand(pattern, job_id=job_id, name=head.name, user=user, node=node)
            return str(folder / name)

        array = None
        if tasks := _array(job, head):
            array = Array(tasks=tasks, output=head.output, error=head.error, user=user, node=node)
        environment = job_environment(os.environb, job_id=job_id, name=head.name, folder=job.folder)
        return Spec(
            job_id=job_id,
            name=head.name,
            token=job.token,
            command=(*head.interpreter, str(job.wrapper)),
            wrapper=str(job.wrapper),
            submit_folder=str(job.folder),
            folder=str(folder),
            output=place(head.output),
            error=place(head.error),
            append=head.append,
            time_limit_s=head.time_limit_s,
            kill_wait_s=self.kill_wait_s,
            submitted=self._clock(),
            umask=_umask(),
            environment=b"\0".join(b"%b=%b" % item for item in environment.items()),
            after=job.after,
            gpus=head.gpus if self.gpus else 0,  # without any the directive means nothing here
            array=array,
        )

    def _kick(self, count: int | None = None) -> None:
        """Start the supervisors that there is work and room for; `count` sets how many jobs may run
        at once.
        """
        if count is None and not _any(self.spool.pending) and not _any(self.spool.running):
            return
        with self.spool.lock(timeout_s=2.0):
            if count is not None:
                self.spool.set_slot_count(count)
                self.spool.set_gpus(self.gpus)
            orphans = len(self.spool.orphans())
            free = self.spool.slot_count() - self.spool.held_slots() - orphans
            waiting = 0
            if free > 0:
                waiting = sum(1 for _, _ in zip(range(free), self.spool.waiting(), strict=False))
            for _ in range(orphans + waiting):
                slot_fd = self.spool.take_free_slot()
                try:
                    self._start(self.spool.folder, slot_fd)
                finally:
                    os.close(slot_fd)

    # ── look

    def find(self, token: str) -> Sequence[str]:
        """The ids of the accepted jobs with this token, oldest first.

        Raises:
            UnavailableError: the spool cannot be read.
        """
        if not _TOKEN.fullmatch(token):
            return []
        try:
            names = os.listdir(self.spool.tokens / token)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UnavailableError(f"cannot read {self.spool.tokens}: {error.strerror}") from error
        numbers = sorted(int(name) for name in names if name.isdigit())
        return [
            str(number) for number in numbers if (self.spool.job(number) / "spec.json").exists()
        ]

    def poll(self, job_ids: Sequence[str]) -> Snapshot:
        """Look at these jobs, and see to it that somebody works on what waits.

        Raises:
            UnavailableError: the spool cannot be read.
        """
        with contextlib.suppress(SchedulerError, StorageError, OSError):
            self._kick()
        facts: dict[str, SchedulerFacts] = {}
        queued = self.spool.queued()
        self._waits = {name: own for name, own in self._waits.items() if name in queued}
        for job_id in job_ids:
            own = self._ended.get(job_id) or self._waits.get(job_id) or self._look_safely(job_id)
            if own is None:
                continue
            facts[job_id] = own
            # An array stays queued when it is cancelled: only its records say so.
            if own.state == "PENDING" and job_id in queued and not own.tasks:
                self._waits[job_id] = own
        query = f"local jobs {_ranges(job_ids)} of {_user()} on {processes.host()}"
        return Snapshot(
            query=query, facts=facts, tokens={job_id: self._token(job_id) for job_id in facts}
        )

    def _look_safely(self, job_id: str) -> SchedulerFacts | None:
        """As `_look`; of a job whose record cannot be read, that nothing is known."""
        try:
            return self._look(job_id)
        except DamagedRecordError as error:
            return SchedulerFacts(state=UNKNOWN, reason=str(error))

    def _token(self, job_id: str) -> str:
        if job_id not in self._tokens:
            with contextlib.suppress(DamagedRecordError):
                spec = self.spool.spec(job_id)
                self._tokens[job_id] = spec.token if spec else ""
        return self._tokens.get(job_id, "")

    def _look(self, job_id: str) -> SchedulerFacts | None:
        """The facts of a job that is not known to have ended; None: there is no such job.

        Raises:
            DamagedRecordError: a record of it cannot be read.
        """
        if not is_id(job_id):
            return None
        if (ended := self._ending(job_id)) is not None:
            return ended
        folder = self.spool.job(job_id)
        spec = self.spool.spec(job_id)
        if spec is None:
            return None
        if self.spool.is_array(job_id):
            return self._look_at_array(spec)
        supervisor = read(folder / "supervisor.json", ProcessName)
        if supervisor is None:
            return self._not_taken(spec)
        alive = processes.is_alive(supervisor)
        started = read(folder / "started.json", Started)
        if alive is None:
            return _unseen(spec, supervisor, started)
        if started is None:
            return _waiting(spec)
        # Once lost it is not said to run again, while another supervisor writes down what became of
        # it.
        facts = self._lost.get(job_id) or _running(spec, started)
        if alive or processes.session_alive(started.leader):
            return self._ending(job_id) or facts
        if read(folder / "supervisor.json", ProcessName) != supervisor:
            return self._ending(job_id) or facts
        if (ended := self._ending(job_id)) is None:
            cancelled = self.spool.is_cancelled(job_id)
            ended = self._lost[job_id] = lost(spec, started, cancelled)
        return ended

    def _look_at_array(self, whole: Spec) -> SchedulerFacts:
        """The facts of an array, which are those of the task that says most about it."""
        # In this order: of an array seen to be cancelled, no task begins after that.
        rest = self._not_taken(whole)
        begun = self.spool.begun_tasks(whole.job_id)
        parts: dict[int, SchedulerFacts] = {}
        for number in numbers_of(whole):
            if number in begun:
                parts[number] = self._look_at_task(f"{whole.job_id}_{number}") or rest
            else:
                parts[number] = rest
        facts = arrays.facts_of_whole(parts)
        if all(part.state in TERMINAL for part in parts.values()):
            self._ended[whole.job_id] = facts
        return facts

    def _look_at_task(self, job_id: str) -> SchedulerFacts | None:
        return self._ended.get(job_id) or self._look_safely(job_id)

    def _not_taken(self, spec: Spec) -> SchedulerFacts:
        """The facts of a job or task that no supervisor has taken on: it waits, or its whole array
        was cancelled.
        """
        asked = None
        if spec.array is not None:
            whole = spec.job_id.partition("_")[0]
            asked = read(self.spool.job(whole) / "cancel.json", CancelAsked)
        if asked is None:
            return _waiting(spec)
        return _never_begun(spec, asked.time)

    def _ending(self, job_id: str) -> SchedulerFacts | None:
        ended = read(self.spool.job(job_id) / "exit.json", SchedulerFacts)
        if ended is not None:
            self._ended[job_id] = ended
        return ended

    # ── release

    def release(self, tokens: Collection[str]) -> Collection[str]:
        """Remove the records of the jobs with these tokens: see `KeepsRecords`. What cannot be read
        or removed is kept.
        """
        try:
            recorded = set(os.listdir(self.spool.tokens)).intersection(tokens)
        except OSError:
            return ()
        return [token for token in recorded if not self._release(token)]

    def _release(self, token: str) -> bool:
        """Whether nothing is left of the jobs with this token."""
        try:
            names = os.listdir(self.spool.tokens / token)
        except OSError:
            return False
        is_all = True
        for job_id in filter(is_id, names):
            is_gone = False
            with contextlib.suppress(DamagedRecordError, SchedulerError, OSError):
                is_gone = self.spool.remove_ended(job_id, token)
            is_all = is_all and is_gone
            if is_gone:
                self._tokens.pop(job_id, None)
                self._ended.pop(job_id, None)
                self._lost.pop(job_id, None)
        if is_all:
            with contextlib.suppress(OSError):
                (self.spool.tokens / token).rmdir()
        return is_all

    # ── cancel

    def cancel(self, job_id: str) -> None:
        """End a job: one that has not begun never will, one that runs gets SIGTERM and,
        `kill_wait_s` later, SIGKILL.

        Raises:
            UnavailableError: the spool cannot be used, or the job belongs to another boot or host.
        """
        if not is_id(job_id) or not self.spool.job(job_id.partition("_")[0]).is_dir():
            return
        try:
            with self.spool.lock():
                standings = self._end_or_ask_all(job_id)
        except (DamagedRecordError, StorageError, OSError) as error:
            raise UnavailableError(f"cannot cancel local job {job_id}: {error}") from error
        if "elsewhere" in standings:
            raise UnavailableError(
                f"local job {job_id} belongs to another boot or host", hint="end it there"
            )
        with contextlib.suppress(SchedulerError, StorageError, OSError):
            self._kick()

    def _end_or_ask_all(self, job_id: str) -> set[str]:
        """Under the lock: end a job, a task or a whole array. Returns what each was."""
        names = [job_id]
        if self.spool.is_array(job_id):
            names = [f"{job_id}_{task}" for task in sorted(self.spool.begun_tasks(job_id))]
            if self.spool.standing(job_id) not in ("ended", "absent"):
                # From here on no task is taken on, and each supervisor ends its own.
                self._ask(job_id)
        standings: set[str] = set()
        for name in names:
            standing = self.spool.standing(name)
            self._end_or_ask(name, standing)
            standings.add(standing)
        return standings

    def _ask(self, job_id: str) -> None:
        """Under the lock: write down that the job's end was asked for, unless it was before."""
        record = self.spool.job(job_id) / "cancel.json"
        if not record.exists():
            request = CancelAsked(time=self._clock(), by=processes.this_process())
            files.replace(record, msgspec.json.encode(request))

    def _end_or_ask(self, job_id: str, standing: str) -> None:
        """Under the lock: end a job that has not begun, or ask the supervisor of one that runs."""
        folder = self.spool.job(job_id)
        has_begun = (folder / "started.json").exists()
        if standing == "pending" or (standing == "orphaned" and not has_begun):
            spec = self.spool.spec(job_id)
            if spec is not None:
                self.spool.end(job_id, _never_begun(spec, self._clock()))
            return
        if standing not in ("held", "orphaned"):
            return
        self._ask(job_id)
        supervisor = read(folder / "supervisor.json", ProcessName)
        if standing == "held" and supervisor is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor.pid, POKE)


def _array(job: Job, head: Head) -> str:
    """The tasks to run, as `--array` writes them; "": it is no array."""
    return job.array or head.array


def _task_count(job: Job, head: Head) -> int:
    """How many tasks there are; 0 for a job that is no array."""
    tasks = _array(job, head)
    if tasks:
        return arrays.count_of(tasks)
    return 0


def _refuse_array(job: Job, head: Head) -> None:
    """Raise RefusedError where Slurm would refuse the array."""
    if not (tasks := _array(job, head)):
        return
    try:
        highest = arrays.numbers_of(tasks)[-1]
    except ValueError as error:
        raise RefusedError(f"{job.name}: --array: {error}") from None
    if highest >= MAX_ARRAY:
        hint = f"number the tasks from 0, and split an array of more than {MAX_ARRAY:,}"
        raise RefusedError(
            f"{job.name}: --array={tasks} names task {highest}, and an array on this machine has "
            f"tasks 0 to {MAX_ARRAY - 1}, as with Slurm's MaxArraySize={MAX_ARRAY}",
            hint=hint,
        )


def _never_begun(spec: Spec, ended: datetime) -> SchedulerFacts:
    """The facts of a job that was cancelled before it began."""
    return SchedulerFacts(state="CANCELLED", submitted=spec.submitted, ended=ended)


def _waiting(spec: Spec) -> SchedulerFacts:
    """The facts of an accepted job that has not started."""
    return SchedulerFacts(
        state="PENDING",
        reason="Resources",
        submitted=spec.submitted,
        output=spec.output,
        error_output=spec.error_output,
    )


def _running(spec: Spec, started: Started) -> SchedulerFacts:
    """The facts of a job that has started, and has not ended."""
    ends_by = None
    if spec.time_limit_s:
        ends_by = started.time + timedelta(seconds=spec.time_limit_s)
    return msgspec.structs.replace(
        _waiting(spec),
        state="RUNNING",
        reason="",
        started=started.time,
        node=started.leader.host,
        ends_by=ends_by,
    )


def _unseen(spec: Spec, supervisor: ProcessName, started: Started | None) -> SchedulerFacts:
    """The facts of a job whose supervisor this boot of this host cannot see."""
    reason = (
        f"it was taken on by another boot of {supervisor.host}, or another host of "
        "that name: its end was not seen"
    )
    return msgspec.structs.replace(
        _waiting(spec), state=UNKNOWN, reason=reason, started=started and started.time
    )


def _any(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return False


def _ranges(job_ids: Sequence[str]) -> str:
    """`1-4,7` for 1 2 3 4 7."""
    numbers = sorted({int(job_id) for job_id in job_ids if job_id.isascii() and job_id.isdigit()})
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return (
        ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
        or "none"
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _umask() -> int:
    """This process's umask: proc(5), since asking for it by umask(2) would change it."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
