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
        tasks/              it is a job array; its own folder has no supervisor and no start
          <k>/              task k, as a job's folder, without a spec; made when it is taken on

A task is named as Slurm names it: `17_3` is task 3 of the array 17, also in `running`; the array
alone is in `pending`. An array's cancel.json ends all its tasks: none is taken on after it.

The indexes are written before what they point to, and removed after: they may name too much, never
too little. What a job is follows from its own folder alone (`standing`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.errors import UnavailableError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.processes import ProcessName
from watchkeeper.core.text import lazy
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.local.records import (
    DamagedRecordError,
    Spec,
    numbers_of,
    read,
    task_of,
)

# absent: not accepted; held: its supervisor lives; orphaned: that died; elsewhere: another host or
# boot has or had it.
Standing = Literal["absent", "pending", "held", "orphaned", "elsewhere", "ended"]
# An array is what the first of these is that one of its tasks is.
_OF_SEVERAL: tuple[Standing, ...] = ("pending", "held", "orphaned", "elsewhere", "ended")
# `17`, or task 3 of the array 17: `17_3`.
_ID = lazy.pattern(r"[0-9]{1,18}(?:_[0-9]{1,10})?", re.ASCII)
_TASKS = "tasks"


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
        """The folder of a job, or of an array's task."""
        whole, _, task = str(job_id).partition("_")
        if task:
            return self.jobs / whole / _TASKS / task
        return self.jobs / whole

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
        for job_id in _ids(self.running):
            if self._stands(job_id, self.running) not in ("ended", "absent", "pending"):
                with contextlib.suppress(DamagedRecordError, UnavailableError):
                    taken.update(read(self.job(job_id) / "gpus.json", tuple[str, ...]) or ())
        return [name for name in self.gpus() if name not in taken]

    def held_slots(self) -> int:
        """In how many slots a supervisor works, whatever the slot count is now."""
        held = 0
        for slot in _ids(self.slots):
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

    def new_job(self, tasks: int = 0) -> str:
        """Take an id that was never used, and make its folder; for an array, ids for that many
        tasks too, from its own on. 0: it is no array. Under lock.

        Raises:
            StorageError: it cannot be made.
        """
        try:
            number = int(files.read_whole(self.folder / "next"))
        except (OSError, ValueError):
            number = max(map(self._last_number, _ids(self.jobs)), default=0) + 1
        while self.job(number).exists():
            number += 1
        # The number is used up before it is used.
        files.replace(self.folder / "next", f"{number + max(1, tasks)}\n".encode())
        files.make_folder(self.job(number))
        if tasks:
            files.make_folder(self.job(number) / _TASKS)
            files.fsync_folder(self.job(number))
        files.fsync_folder(self.jobs)
        return str(number)

    def _last_number(self, job_id: str) -> int:
        """The highest id that a job has used up; an array has one for each of its tasks."""
        tasks = 1
        with contextlib.suppress(DamagedRecordError, UnavailableError):
            spec = self.spec(job_id)
            if spec is not None:
                tasks = max(1, len(numbers_of(spec)))
        return int(job_id) + tasks - 1

    def is_array(self, job_id: str | int) -> bool:
        """Whether it is a whole array, and neither a job alone nor a task."""
        return (self.job(job_id) / _TASKS).is_dir()

    def spec(self, job_id: str | int) -> Spec | None:
        """The spec of an accepted job, or of a task of an accepted array; None: there is none.

        Raises:
            DamagedRecordError, UnavailableError: it cannot be read.
        """
        whole, _, task = str(job_id).partition("_")
        spec = read(self.job(whole) / "spec.json", Spec)
        if spec is None or not task:
            return spec
        return task_of(spec, int(task))

    def is_cancelled(self, job_id: str) -> bool:
        """Whether somebody asked for the end of a job, of a task, or of the task's array."""
        whole = job_id.partition("_")[0]
        return any((self.job(one) / "cancel.json").exists() for one in {job_id, whole})

    def begun_tasks(self, array_id: str) -> set[int]:
        """The tasks of an array that were taken on, or ended before that."""
        return {int(name) for name in _ids(self.job(array_id) / _TASKS)}

    def standing(self, job_id: str | int) -> Standing:
        """What the job is now, from its folder.

        Raises:
            DamagedRecordError, UnavailableError: its records do not tell.
        """
        folder = self.job(job_id)
        if (folder / "exit.json").exists():
            return "ended"
        if self.is_array(job_id):
            return self._array_standing(str(job_id))
        supervisor = read(folder / "supervisor.json", ProcessName)
        if supervisor is None:
            return self._standing_before(str(job_id))
        alive = processes.is_alive(supervisor)
        if alive is None:
            return "elsewhere"
        if alive:
            return "held"
        if (folder / "exit.json").exists():
            return "ended"
        return "orphaned"

    def _standing_before(self, job_id: str) -> Standing:
        """What a job or task is that no supervisor has taken on."""
        whole, _, task = job_id.partition("_")
        if not (self.job(whole) / "spec.json").exists():
            return "absent"
        if task and self._is_closed(whole):
            return "ended"
        return "pending"

    def _is_closed(self, array_id: str) -> bool:
        """Whether no task of an array will be taken on any more."""
        folder = self.job(array_id)
        return (folder / "cancel.json").exists() or (folder / "exit.json").exists()

    def _array_standing(self, array_id: str) -> Standing:
        spec = self.spec(array_id)
        if spec is None:
            return "absent"
        begun = self.begun_tasks(array_id)
        rest = set(numbers_of(spec)) - begun
        if rest and not self._is_closed(array_id):
            return "pending"
        standings = {self.standing(f"{array_id}_{number}") for number in begun}
        return next((one for one in _OF_SEVERAL if one in standings), "ended")

    def queued(self) -> set[str]:
        """The accepted jobs that nobody has taken on yet, as the queue's index has them; no array
        of which a task has begun.
        """
        begun = set(_ids(self.running))
        waiting = set(_ids(self.pending)) - begun
        return waiting - {job_id.partition("_")[0] for job_id in begun}

    def orphans(self) -> list[str]:
        """The jobs whose supervisors died, lowest id first."""
        return [
            job_id
            for job_id in _ids(self.running)
            if self._stands(job_id, self.running) == "orphaned"
        ]

    def waiting(self) -> Iterator[str]:
        """The jobs and tasks that wait for a slot and nothing else, lowest id first. One that waits
        for GPUs is passed by those that need none, and by no other. Under lock, since it clears the
        index of what no longer waits.
        """
        free: int | None = None
        for job_id in _ids(self.pending):
            if self._stands(job_id, self.pending) != "pending" or self._waits_for_others(job_id):
                continue
            needs = self._gpus_needed(job_id)
            for one in self._startable(job_id):
                if needs:
                    if free is None:
                        free = len(self.free_gpus())
                    if needs > free:
                        free = 0
                        break
                    free -= needs
                yield one

    def _startable(self, job_id: str) -> Iterator[str]:
        """The job itself; of an array, its tasks that may start now, as far as its limit goes."""
        if not self.is_array(job_id):
            yield job_id
            return
        with contextlib.suppress(DamagedRecordError, UnavailableError):
            spec = self.spec(job_id)
            if spec is not None:
                yield from self._startable_tasks(spec)

    def _startable_tasks(self, spec: Spec) -> Iterator[str]:
        begun = self.begun_tasks(spec.job_id)
        left = self._room_in(spec)
        for number in numbers_of(spec):
            if left <= 0:
                return
            name = f"{spec.job_id}_{number}"
            if number not in begun or self._stands(name, self.running) == "pending":
                left -= 1
                yield name

    def _room_in(self, spec: Spec) -> int:
        """How many more tasks of an array may run now."""
        limit = arrays.limit_of(spec.array.tasks) if spec.array is not None else 0
        if not limit:
            return len(numbers_of(spec))
        return limit - sum(1 for name in _ids(self.running) if self._runs_in(spec.job_id, name))

    def _runs_in(self, array_id: str, name: str) -> bool:
        """Whether this is a task of the array, and runs."""
        if not name.startswith(f"{array_id}_"):
            return False
        return self._stands(name, self.running) in ("held", "orphaned")

    def _gpus_needed(self, job_id: str) -> int:
        if self.is_cancelled(job_id):
            return 0
        try:
            spec = self.spec(job_id)
        except DamagedRecordError:
            return 0  # whoever takes it says so
        if spec is not None:
            return spec.gpus
        return 0

    def _waits_for_others(self, job_id: str) -> bool:
        if self.is_cancelled(job_id):
            return False
        try:
            spec = self.spec(job_id)
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
        """Make the calling process the supervisor of a pending or orphaned job or task. Under lock.
        False: it is neither.

        Raises:
            StorageError: it cannot be written down.
        """
        record = self.job(job_id) / "supervisor.json"
        me = msgspec.json.encode(processes.this_process())
        standing = self.standing(job_id)
        if standing == "pending":
            self._make_task(job_id)
            if needs := self._gpus_needed(job_id):
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

    def _make_task(self, job_id: str) -> None:
        """Make the folder of a task; a job alone has its own already."""
        folder = self.job(job_id)
        if not folder.is_dir():
            files.make_folder(folder)
            files.fsync_folder(folder.parent)

    def end(self, job_id: str, facts: SchedulerFacts) -> None:
        """Write down how the job ended: the last word about it.

        Raises:
            StorageError: it cannot be written.
        """
        self._make_task(job_id)
        files.replace(self.job(job_id) / "exit.json", msgspec.json.encode(facts))
        forget(self.pending / job_id)
        forget(self.running / job_id)

    def remove_ended(self, job_id: str, token: str) -> bool:
        """Remove all records of a job or array with this token, if it has ended; False: it has not,
        or its id is the last that was given, by which the next one is known where `next` is lost.

        A job without spec.json was never accepted, so that goes first. While other records go,
        exit.json says that it has ended. The token's entry goes last: by it a removal that was
        broken off is found again.

        Raises:
            DamagedRecordError, UnavailableError: its records do not tell.
            OSError: one cannot be removed.
        """
        folder = self.job(job_id)
        is_accepted = (folder / "spec.json").exists()
        if is_accepted and self.standing(job_id) != "ended":
            return False
        if self._last_number(job_id) >= self._last_given():
            return False
        forget(self.pending / job_id)
        forget(self.running / job_id)
        (folder / "spec.json").unlink(missing_ok=True)
        for name in os.listdir(folder) if folder.is_dir() else ():
            if name == _TASKS:
                shutil.rmtree(folder / name)
            elif name != "exit.json":
                (folder / name).unlink()
        if folder.is_dir():
            shutil.rmtree(folder)
        (self.tokens / token / job_id).unlink(missing_ok=True)
        return True

    def _last_given(self) -> int:
        """The highest id that was given; 0 where that is not known."""
        try:
            return int(files.read_whole(self.folder / "next")) - 1
        except (OSError, ValueError):
            return 0


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


def is_id(text: str) -> bool:
    """Whether this can name a job or a task."""
    return _ID.fullmatch(text) is not None


def _ids(folder: Path) -> list[str]:
    """The jobs and tasks that the folder's files are named after, lowest first."""
    try:
        names = [name for name in os.listdir(folder) if is_id(name)]
    except FileNotFoundError:
        return []
    return sorted(names, key=_order)


def _order(job_id: str) -> tuple[int, int]:
    whole, _, task = job_id.partition("_")
    return int(whole), int(task or -1)


def forget(path: Path) -> None:
    """Remove an index entry, if it is there."""
    with contextlib.suppress(OSError):
        path.unlink()
