"""The process beside a local job: starts it, ends it when it must, and writes down how it ended.

    python -m watchkeeper.schedulers.local.supervisor SPOOL SLOT_FD

It holds one slot by an inherited file descriptor, works off jobs until none is pending, and goes.
Under the queue's lock it takes a job whose supervisor died before any pending one, so that there
are never more jobs than slots. It may be killed at any instruction: a job that never began is then
begun by the next supervisor, one that runs is watched by it to its end, and nothing begins twice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
import traceback
from datetime import timedelta
from pathlib import Path

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.disk.ownership import foreign_link
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.schedulers.base import UNKNOWN
from watchkeeper.schedulers.local.records import (
    DamagedRecordError,
    Spec,
    Started,
    lost,
    read,
    task_variables,
)
from watchkeeper.schedulers.local.spool import Spool
from watchkeeper.schedulers.wrapper.names import token_of

# A signal to look at the job again; blocked, and taken by sigtimedwait.
POKE = signal.SIGUSR1
# Between looks when nothing calls: at a request whose poke was lost; at a job that is not our
# child.
_LOOK_S = 5.0
_ADOPTED_LOOK_S = 0.1
# How Slurm reports output that cannot be opened: FAILED, JobLaunchFailure, 0:53.
_LAUNCH_SIGNAL = 53
_LOCK_S = 3600.0


class Supervisor:
    """Works in one slot. `slot_fd` holds it."""

    def __init__(self, spool: Spool, slot_fd: int, clock: Clock = utc_now) -> None:
        self.spool = spool
        self.slot_fd = slot_fd
        self.clock = clock

    def work(self) -> None:
        """Work off jobs until none waits. Whether one does and the slot's release are one step for
        all others.
        """
        while True:
            with self.spool.lock(timeout_s=_LOCK_S):
                job_id = self._next()
                if job_id is None:
                    os.close(self.slot_fd)
                    return
            try:
                self._see_through(job_id)
            except Exception:
                # The job is an orphan now, and goes to the next supervisor. Why is for a person to
                # read.
                with contextlib.suppress(StorageError):
                    files.replace(
                        self.spool.job(job_id) / "trouble.txt", traceback.format_exc().encode()
                    )
                raise

    def _next(self) -> str | None:
        for job_id in self.spool.orphans():
            if self.spool.take(job_id):
                return job_id
        if self.spool.held_slots() <= self.spool.slot_count():
            for job_id in self.spool.waiting():
                if self.spool.take(job_id):
                    return job_id
        return None

    def _see_through(self, job_id: str) -> None:
        folder = self.spool.job(job_id)
        try:
            spec = self.spool.spec(job_id)
            started = read(folder / "started.json", Started)
        except DamagedRecordError as error:
            return self.spool.end(job_id, SchedulerFacts(state=UNKNOWN, reason=str(error)))
        if spec is None:
            ending = SchedulerFacts(state=UNKNOWN, reason=f"the spec of job {job_id} is gone")
        elif started is not None:
            ending = self._watch_adopted(spec, started)
        elif self.spool.is_cancelled(job_id):
            ending = SchedulerFacts(state="CANCELLED", submitted=spec.submitted, ended=self.clock())
        else:
            ending = self._run(spec)
        self.spool.end(job_id, ending)

    # ── a job of our own

    def _run(self, spec: Spec) -> SchedulerFacts:
        try:
            opened = _open_for(spec)
        except (OSError, StorageError) as error:
            return self._not_launched(spec, str(error))
        folder = self.spool.job(spec.job_id)
        gate, go = os.pipe()
        try:
            child = os.fork()
            if child == 0:
                _become(spec, folder, opened, gate, go)
        except OSError as error:
            os.close(go)
            return self._not_launched(spec, f"cannot start a process: {error.strerror}")
        finally:
            for fd in (gate, *opened):
                os.close(fd)
        try:
            # The child is no zombie before we wait for it, unless it was killed: then there is
            # nothing to name.
            leader = processes.name_of(child)
            if leader is None:
                os.wait4(child, 0)
                return self._not_launched(spec, "its process was killed before it began")
            started = Started(leader=leader, time=self.clock())
            files.replace(folder / "started.json", msgspec.json.encode(started))
            with contextlib.suppress(BrokenPipeError):
                os.write(go, b"g")
        finally:
            os.close(go)
        return self._watch_child(spec, started)

    def _watch_child(self, spec: Spec, started: Started) -> SchedulerFacts:
        child = started.leader.pid
        end = _End(self.spool, spec, child, spec.time_limit_s)
        while True:
            pid, status, usage = os.wait4(child, os.WNOHANG)
            if pid == child:
                break
            end.look()
            _sleep(end.next_look_s(_LOOK_S))
        ended = self.clock()
        kill_session(child)
        killed = os.WIFSIGNALED(status)
        if killed:
            code = 0
        else:
            code = os.WEXITSTATUS(status)
        state = end.why or ("FAILED" if status else "COMPLETED")
        return SchedulerFacts(
            state=state,
            reason=end.reason or ("NonZeroExitCode" if state == "FAILED" else ""),
            exit_code=code,
            signal=os.WTERMSIG(status) if killed else None,
            submitted=spec.submitted,
            started=started.time,
            ended=ended,
            max_rss_bytes=usage.ru_maxrss * 1024,  # Linux counts in KiB: getrusage(2)
            node=started.leader.host,
            output=spec.output,
            error_output=spec.error_output,
        )

    def _not_launched(self, spec: Spec, why: str) -> SchedulerFacts:
        return SchedulerFacts(
            state="FAILED",
            reason=f"JobLaunchFailure: {why}",
            exit_code=0,
            signal=_LAUNCH_SIGNAL,
            submitted=spec.submitted,
            ended=self.clock(),
            node=processes.host(),
            output=spec.output,
            error_output=spec.error_output,
        )

    # ── a job whose supervisor died

    def _watch_adopted(self, spec: Spec, started: Started) -> SchedulerFacts:
        if not processes.session_alive(started.leader):
            return lost(spec, started, self.spool.is_cancelled(spec.job_id))
        limit = spec.time_limit_s
        if limit is not None:
            limit -= int((self.clock() - started.time) / timedelta(seconds=1))
        end = _End(self.spool, spec, started.leader.pid, limit)
        while processes.is_alive(started.leader):
            end.look()
            _sleep(end.next_look_s(_ADOPTED_LOOK_S))
        kill_session(started.leader.pid)
        ending = lost(spec, started, end.why == "CANCELLED", self.clock())
        if end.why == "TIMEOUT":
            return msgspec.structs.replace(ending, state="TIMEOUT", reason=end.reason)
        return ending


class _End:
    """Ends a job when its time is up or somebody asks: SIGTERM to its session, later SIGKILL.

    `why` is the state that this makes, "" as long as the job is left alone.
    """

    def __init__(self, spool: Spool, spec: Spec, session: int, time_limit_s: float | None) -> None:
        self.why = ""
        self.reason = ""
        self._spool = spool
        self._spec = spec
        self._session = session
        now = time.monotonic()
        self._next: float | None = None if time_limit_s is None else now + time_limit_s

    def look(self) -> None:
        now = time.monotonic()
        due = self._next is not None and now >= self._next
        if self.why:
            if due:
                signal_session(self._session, signal.SIGKILL)
                self._next = now + 1.0
        elif due:
            self._begin("TIMEOUT", "TimeLimit", now)
        elif self._spool.is_cancelled(self._spec.job_id):
            self._begin("CANCELLED", "", now)

    def next_look_s(self, at_most: float) -> float:
        """How long nothing is to be done unless a signal comes, in seconds."""
        if self._next is None:
            return at_most
        return min(at_most, max(0.0, self._next - time.monotonic()))

    def _begin(self, why: str, reason: str, now: float) -> None:
        self.why, self.reason = why, reason
        signal_session(
            self._session, signal.SIGTERM, wrapped=token_of(self._spec.wrapper) is not None
        )
        self._next = now + self._spec.kill_wait_s


def signal_session(session: int, number: signal.Signals, *, wrapped: bool = False) -> int:
    """Send a signal to every process of a session, and wake the stopped ones. Returns how many
    there were.

    A wrapper hands on what it gets; its script, signalled here, would get everything twice. So
    `wrapped` spares the session's leader while it has a child.
    """
    members = processes.session_members(session)
    spare = wrapped and any(processes.parent_of(pid) == session for pid in members)
    for pid in members:
        if spare and pid == session:
            continue
        for each in (number, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, each)
    return len(members)


def kill_session(session: int, patience_s: float = 10.0) -> None:
    """SIGKILL what is left of a session, until nothing is, or for `patience_s` where the kernel
    will not let it go.
    """
    deadline = time.monotonic() + patience_s
    while signal_session(session, signal.SIGKILL) and time.monotonic() < deadline:
        time.sleep(0.01)


def _sleep(seconds: float) -> None:
    signal.sigtimedwait({signal.SIGCHLD, POKE}, seconds)


def _open_for(spec: Spec) -> tuple[int, int, int]:
    """The folder, standard output and standard error of a job, opened; output's parents are made.

    Raises:
        OSError, StorageError: one cannot be opened, is a pipe that nobody reads, or lies behind
            another user's link.
    """
    how = (
        os.O_WRONLY
        | os.O_CREAT
        | os.O_APPEND
        | os.O_CLOEXEC
        | os.O_NONBLOCK
        | (0 if spec.append else os.O_TRUNC)
    )
    opened: list[int] = []
    try:
        opened.append(os.open(spec.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for path in (spec.output, spec.error):
            if not path or (path == spec.output and len(opened) > 1):
                opened.append(os.dup(opened[-1]))
                continue
            opened.append(_open_output(Path(path), how, 0o666 & ~spec.umask))
    except (OSError, StorageError):
        for fd in opened:
            os.close(fd)
        raise
    return opened[0], opened[1], opened[2]


def _open_output(path: Path, how: int, mode: int) -> int:
    link = foreign_link(path)
    if link is not None:
        raise StorageError(f"the output {path} lies behind {link}, a link that another user made")
    files.make_folder(path.parent)
    try:
        fd = os.open(path, how, mode)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise StorageError(f"the output {path} is a pipe that nobody reads") from error
    os.set_blocking(fd, True)  # the job writes as into any file
    return fd


def _become(spec: Spec, folder: Path, opened: tuple[int, int, int], gate: int, go: int) -> None:
    """In the child: lead a new session, wait until that is written down, become the script. Never
    returns.
    """
    try:
        os.setsid()
        os.close(go)
        if os.read(gate, 1) != b"g" and not _is_named(folder):
            os._exit(0)
        where, output, error = opened
        os.fchdir(where)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(error, 2)
        os.umask(spec.umask)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        environment = dict(
            item.split(b"=", 1) for item in spec.environment.split(b"\0") if b"=" in item
        )
        environment |= task_variables(spec)
        if spec.gpus:
            devices = ",".join(read(folder / "gpus.json", tuple[str, ...]) or ()).encode()
            count = str(spec.gpus).encode()
            environment |= {
                b"CUDA_VISIBLE_DEVICES": devices,
                b"SLURM_JOB_GPUS": devices,
                b"SLURM_GPUS_ON_NODE": count,
            }
        os.execve(spec.command[0], spec.command, environment)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"watchkeeper: cannot start {spec.command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _is_named(folder: Path) -> bool:
    """Whether the job's record names this process. Asked when the supervisor has died, so that it
    changes no more.
    """
    started = read(folder / "started.json", Started)
    return started is not None and started.leader == processes.this_process()


def main(arguments: list[str]) -> None:
    """Work in the slot that the second argument's file descriptor holds, for the spool in the
    first.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, POKE})
    slot_fd = int(arguments[1])
    os.set_inheritable(slot_fd, False)
    Supervisor(Spool(Path(arguments[0])), slot_fd).work()


if __name__ == "__main__":
    main(sys.argv[1:])
