"""The local scheduler's memory: a folder that its callers and its supervisors share on one host.

    SPOOL/                  …/local/<host>, owned by one user, mode 0700
      lock                  flock: whoever changes which job is pending, held or free
      slots/<i>             flock: held by the supervisor that works in slot i; the kernel frees it
      when that dies
      slot_count            how many jobs may run at once, if somebody said so
      gpus                  the GPUs that jobs may ask for, as CUDA names them, with commas between
      them
      next                  no id below this one is free
      tokens/<token>/<id>   which jobs carry a token
      pending/<id>          an index: may wait for a slot
      running/<id>          an index: may be running
      jobs/<id>/            made exclusively
        spec.json           the job was accepted (0600: it holds the environment)
        supervisor.json     the process that took it on
        gpus.json           the GPUs that it has, written before supervisor.json
        started.json        the script's session; written before the script may begin
        cancel.json         its end was asked for
        exit.json           how it ended

The indexes are written before what they point to, and removed after: they may name too much, never
too little. What a job is follows from its own folder alone (`standing`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.errors import UnavailableError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.processes import ProcessName

_Record = TypeVar("_Record")

# absent: not accepted; held: its supervisor lives; orphaned: that died; elsewhere: another host or
# boot has or had it.
Standing = Literal["absent", "pending", "held", "orphaned", "elsewhere", "ended"]


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted job. `error` is "" where standard error goes where output goes; `time_limit_s` is
    None for no limit; `kill_wait_s` is the time between SIGTERM and SIGKILL; `environment` is
    NUL-separated, as the kernel has it; `after` names the jobs that must have ended first; `gpus`
    is how many GPUs it needs.
    """

    job_id: str
    name: str
    token: str
    command: tuple[str, ...]
    wrapper: str
    submit_folder: str
    folder: str
    output: str
    error: str
    append: bool
    time_limit_s: int | None
    kill_wait_s: float
    submitted: datetime
    umask: int
    environment: bytes
    after: tuple[str, ...] = ()
    gpus: int = 0

    @property
    def error_output(self) -> str:
        """Where standard error goes."""
        return self.error or self.output


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The script's session, by its leader."""

    leader: ProcessName
    time: datetime


class CancelAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asked for the job's end."""

    time: datetime
    by: ProcessName


class DamagedRecordError(Exception):
    """A record of the spool that is no such record; the message names the file."""


def read(path: Path, kind: type[_Record]) -> _Record | None:
    """The record in a file; None if it is not there.

    Raises:
        DamagedRecordError: it holds something else.
        UnavailableError: it cannot be read.
    """
    try:
        return msgspec.json.decode(files.read_whole(path), type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedRecordError(f"{path} is damaged: {error}") from error


class Spool:
    """One host's spool. Methods that say so must be called under `lock`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self.tokens = folder / "tokens"
        self.pending = folder / "pending"
        self.running = folder / "running"
        self.slots = folder / "slots"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            StorageError: they cannot be made.
        """
        if not self.slots.is_dir():
            files.make_folder(self.folder).chmod(0o700)
            for folder in (self.jobs, self.tokens, self.pending, self.running, self.slots):
                files.make_folder(folder)

    def job(self, job_id: str | int) -> Path:
        """The job's folder."""
        return self.jobs / str(job_id)

    @contextlib.contextmanager
    def lock(self, timeout_s: float = 10.0) -> Iterator[None]:
        """Hold the queue.

        Raises:
            UnavailableError: somebody else held it all that time.
        """
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + timeout_s
            while not _try_lock(fd):
                if time.monotonic() > deadline:
                    hint = f"see who holds it: fuser {self.folder}/lock"
                    raise UnavailableError(
                        f"the local queue was locked for {timeout_s:g} s", hint=hint
                    )
                time.sleep(0.005)
            yield
        finally:
            os.close(fd)

    # ── slots (under lock)

    def slot_count(self) -> int:
        """How many jobs may run at once: what was set, else the CPUs that this process may use."""
        try:
            return max(1, int(files.read_whole(self.folder / "slot_count")))
        except (OSError, ValueError):
            return usable_cpus()

    def set_slot_count(self, count: int) -> None:
        """Let this many jobs run at once, from the next start on."""
        if count != self.slot_count():
            files.replace(self.folder / "slot_count", f"{count}\n".encode())

    def gpus(self) -> tuple[str, ...]:
        """The GPUs of this host that jobs may ask for."""
        try:
            return gpu_names(files.read_whole(self.folder / "gpus").decode(errors="replace"))
        except OSError:
            return ()

    def set_gpus(self, names: Sequence[str]) -> None:
        """Let jobs have these GPUs, from the next start on."""
        if tuple(names) != self.gpus():
            files.replace(self.folder / "gpus", f"{','.join(names)}\n".encode())

    def free_gpus(self) -> list[str]:
        """The GPUs that no job has, whose supervisor lives or which may still run. Under lock."""
        taken: set[str] = set()
        for job_id in _numbers(self.running):
            if self._stands(job_id, self.running) not in ("ended", "absent", "pending"):
                with contextlib.suppress(DamagedRecordError, UnavailableError):
                    taken.update(read(self.job(job_id) / "gpus.json", tuple[str, ...]) or ())
        return [name for name in self.gpus() if name not in taken]

    def held_slots(self) -> int:
        """In how many slots a supervisor works, whatever the slot count is now."""
        held = 0
        for slot in _numbers(self.slots):
            fd = self.take_slot(int(slot))
            if fd is None:
                held += 1
            else:
                os.close(fd)
        return held

    def take_slot(self, slot: int) -> int | None:
        """A file descriptor that holds the slot as long as it, or a copy of it, is open; None if it
        is taken.
        """
        fd = os.open(self.slots / str(slot), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _try_lock(fd):
            return fd
        os.close(fd)
        return None

    def take_free_slot(self) -> int:
        """As `take_slot`, for the lowest slot that is free."""
        slot = 0
        while (fd := self.take_slot(slot)) is None:
            slot += 1
        return fd

    # ── jobs

    def new_job(self) -> str:
        """Take an id that was never used, and make its folder. Under lock.

        Raises:
            StorageError: it cannot be made.
        """
        try:
            number = int(files.read_whole(self.folder / "next"))
        except (OSError, ValueError):
            number = (
                max((int(name) for name in os.listdir(self.jobs) if name.isdigit()), default=0) + 1
            )
        while self.job(number).exists():
            number += 1
        # The number is used up before it is used.
        files.replace(self.folder / "next", f"{number + 1}\n".encode())
        files.make_folder(self.job(number))
        files.fsync_folder(self.jobs)
        return str(number)

    def standing(self, job_id: str | int) -> Standing:
        """What the job is now, from its folder.

        Raises:
            DamagedRecordError, UnavailableError: its records do not tell.
        """
        folder = self.job(job_id)
        if (folder / "exit.json").exists():
            return "ended"
        supervisor = read(folder / "supervisor.json", ProcessName)
        if supervisor is None:
            if (folder / "spec.json").exists():
                return "pending"
            return "absent"
        alive = processes.is_alive(supervisor)
        if alive is None:
            return "elsewhere"
        if alive:
            return "held"
        if (folder / "exit.json").exists():
            return "ended"
        return "orphaned"

    def orphans(self) -> list[str]:
        """The jobs whose supervisors died, lowest id first."""
        return [
            job_id
            for job_id in _numbers(self.running)
            if self._stands(job_id, self.running) == "orphaned"
        ]

    def waiting(self) -> Iterator[str]:
        """The jobs that wait for a slot and nothing else, lowest id first. A job that waits for
        GPUs is passed by jobs that need none, and by no other. Under lock, since it clears the
        index of what no longer waits.
        """
        free: int | None = None
        for job_id in _numbers(self.pending):
            if self._stands(job_id, self.pending) != "pending" or self._waits_for_others(job_id):
                continue
            needs = self._gpus_needed(job_id)
            if needs:
                if free is None:
                    free = len(self.free_gpus())
                if needs > free:
                    free = 0
                    continue
                free -= needs
            yield job_id

    def _gpus_needed(self, job_id: str) -> int:
        if (self.job(job_id) / "cancel.json").exists():
            return 0
        try:
            spec = read(self.job(job_id) / "spec.json", Spec)
        except DamagedRecordError:
            return 0  # whoever takes it says so
        if spec is not None:
            return spec.gpus
        return 0

    def _waits_for_others(self, job_id: str) -> bool:
        if (self.job(job_id) / "cancel.json").exists():
            return False
        try:
            spec = read(self.job(job_id) / "spec.json", Spec)
            return spec is not None and any(
                self.standing(other) in ("pending", "held", "orphaned") for other in spec.after
            )
        except DamagedRecordError:
            return False  # whoever takes it says so

    def _stands(self, job_id: str, index: Path) -> Standing | None:
        try:
            standing = self.standing(job_id)
        except (DamagedRecordError, UnavailableError):
            return None
        if standing == "ended" or (
            index == self.pending and standing in ("held", "orphaned", "elsewhere")
        ):
            forget(index / job_id)
        return standing

    def take(self, job_id: str) -> bool:
        """Make the calling process the supervisor of a pending or orphaned job. Under lock. False:
        it is neither.

        Raises:
            StorageError: it cannot be written down.
        """
        record = self.job(job_id) / "supervisor.json"
        me = msgspec.json.encode(processes.this_process())
        standing = self.standing(job_id)
        if standing == "pending":
            if needs := self._gpus_needed(str(job_id)):
                mine = self.free_gpus()[:needs]
                files.replace(self.job(job_id) / "gpus.json", msgspec.json.encode(mine))
            files.replace(self.running / job_id, b"")
            if not files.create(record, me):
                return False
        elif standing == "orphaned":
            files.replace(record, me)
        else:
            return False
        forget(self.pending / job_id)
        return True

    def end(self, job_id: str, facts: SchedulerFacts) -> None:
        """Write down how the job ended: the last word about it.

        Raises:
            StorageError: it cannot be written.
        """
        files.replace(self.job(job_id) / "exit.json", msgspec.json.encode(facts))
        forget(self.pending / job_id)
        forget(self.running / job_id)


def gpu_names(text: str) -> tuple[str, ...]:
    """`0,1` or `GPU-8932f937,…` as names of devices."""
    names = [part.strip() for part in text.split(",")]
    return tuple(dict.fromkeys(name for name in names if name))


def usable_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The GPUs that this process may use: those of CUDA_VISIBLE_DEVICES where it is set, else each
    with a device file (`/dev/nvidia0`, …).
    """
    if "CUDA_VISIBLE_DEVICES" in environment:
        return gpu_names(environment["CUDA_VISIBLE_DEVICES"])
    numbers = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return tuple(sorted((number for number in numbers if number.isdigit()), key=int))


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _numbers(folder: Path) -> list[str]:
    try:
        names = [name for name in os.listdir(folder) if name.isdigit()]
    except FileNotFoundError:
        return []
    return sorted(names, key=int)


def forget(path: Path) -> None:
    """Remove an index entry, if it is there."""
    with contextlib.suppress(OSError):
        path.unlink()


def lost(
    spec: Spec, started: Started, cancelled: bool, ended: datetime | None = None
) -> SchedulerFacts:
    """The end of a job whose supervisor and session are gone: nobody saw its exit code."""
    reason = "its supervisor was killed, and its exit code was not seen"
    return SchedulerFacts(
        state="CANCELLED" if cancelled else "NODE_FAIL",
        reason="" if cancelled else reason,
        submitted=spec.submitted,
        started=started.time,
        ended=ended,
        node=started.leader.host,
        output=spec.output,
        error_output=spec.error_output,
    )
