"""Which process, on which boot of which host: what a claim, a lease and a supervisor are recognised
by.

A pid alone means nothing: it is reused within minutes. pid + start time + boot id + host name one
process for ever. Source of the facts: proc(5), fields 6 (session) and 22 (starttime) of
/proc/PID/stat, and /proc/sys/kernel/random/boot_id.
"""

from __future__ import annotations

import contextlib
import os
import socket
from functools import cache
from pathlib import Path

import msgspec

from watchkeeper.core.events import BootId, Host


class ProcessName(msgspec.Struct, frozen=True, kw_only=True):
    """One process, named for ever. `start_ticks` is in clock ticks since boot."""

    host: Host
    boot_id: BootId
    pid: int
    start_ticks: int


@cache
def host() -> str:
    """This host's name."""
    return socket.gethostname()


@cache
def boot_id() -> str:
    """This boot of this host; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _stat(pid: int) -> list[str] | None:
    """Fields 3… of /proc/PID/stat; None if there is no such process. The name in field 2 may hold
    anything.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none, or only its
    zombie.
    """
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return int(fields[19])


@cache
def _own_start_ticks(pid: int) -> int:
    """When the calling process, which has this pid, started; 0 where the system does not tell."""
    return start_ticks(pid) or 0


os.register_at_fork(after_in_child=_own_start_ticks.cache_clear)


def this_process() -> ProcessName:
    """The calling process. The kernel is asked once, and again after a fork."""
    pid = os.getpid()
    return ProcessName(host=host(), boot_id=boot_id(), pid=pid, start_ticks=_own_start_ticks(pid))


def name_of(pid: int) -> ProcessName | None:
    """The process that has this pid now; None if there is none."""
    ticks = start_ticks(pid)
    if ticks is None:
        return None
    return ProcessName(host=host(), boot_id=boot_id(), pid=pid, start_ticks=ticks)


def is_alive(process: ProcessName) -> bool | None:
    """Whether the process lives. None when this host cannot know: another host, an unknown boot."""
    if process.host != host():
        return None
    if process.boot_id != boot_id():
        # The name of the host is the same, but so are many hosts' names; only the same boot proves
        # an absence.
        return None
    return start_ticks(process.pid) == process.start_ticks


def session_members(session: int) -> list[int]:
    """The pids of the living processes in a session (`setsid`), zombies left out."""
    members = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and fields[0] not in "ZX" and int(fields[3]) == session:
                members.append(int(entry.name))
    return members


def parent_of(pid: int) -> int | None:
    """The pid of the process's parent; None if there is no such process."""
    fields = _stat(pid)
    if fields is None:
        return None
    return int(fields[1])


def state_of(pid: int) -> str:
    """The kernel's letter for the process's state: R, S, D, T, Z …; "": no such process."""
    fields = _stat(pid)
    if fields is None:
        return ""
    return fields[0]


def cpu_s(pid: int) -> float | None:
    """CPU seconds of the process so far, its own and the kernel's for it (fields 14 and 15: utime,
    stime); None if there is no such process.
    """
    fields = _stat(pid)
    if fields is None:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def queued_s(pid: int) -> float:
    """Seconds that the process's threads have been ready to run so far, without a processor: the
    second field of /proc/PID/task/TID/schedstat, in nanoseconds (the kernel's
    Documentation/scheduler/sched-stats). 0 where the kernel does not count it.
    """
    waited_ns = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            waited_ns += int(path.read_text().split()[1])
    return waited_ns / 1e9


def session_alive(leader: ProcessName) -> bool | None:
    """Whether anything of the session that this process led (`setsid`) still lives. None as in
    `is_alive`.
    """
    alive = is_alive(leader)
    if alive is not False:
        return alive
    # While a session has members its number is not given to a new process: one that has it now is a
    # stranger.
    return start_ticks(leader.pid) is None and bool(session_members(leader.pid))
