"""Ends the work by the ladder: SIGTERM, a time of grace, SIGKILL to all that is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from watchkeeper.core import processes

LOOK_S = 0.1


def tree(pid: int) -> list[processes.ProcessName]:
    """The process and all its children of any depth, as they are now."""
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (parent := processes.parent_of(int(entry.name))) is not None:
            parents.setdefault(parent, []).append(int(entry.name))
    names, open_pids = [], [pid]
    while open_pids:
        one = open_pids.pop()
        name = processes.name_of(one)
        if name is not None and name not in names:
            names.append(name)
        open_pids += parents.pop(one, [])
    return names


def end(
    work: processes.ProcessName,
    *,
    group: bool,
    grace_s: float,
    ask: Callable[[], None] = lambda: None,
) -> bool:
    """End the process and its children, as a process group or one by one; True when all are gone.
    `ask` is called when the grace is over, before the kill.
    """
    known = tree(work.pid)
    _send(known, work.pid if group else 0, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and _any(known):
        time.sleep(LOOK_S)
    if not _any(known):
        return True
    ask()
    known += [name for name in tree(work.pid) if name not in known]
    _send(known, work.pid if group else 0, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _any(known):
        time.sleep(LOOK_S)
    return not _any(known)


def _any(known: list[processes.ProcessName]) -> bool:
    return any(processes.is_alive(name) for name in known)


def _send(known: list[processes.ProcessName], group: int, number: int) -> None:
    if group:
        with contextlib.suppress(OSError):
            os.killpg(group, number)
    for name in known:
        with contextlib.suppress(OSError):
            if processes.is_alive(name) and not (
                group and number == signal.SIGTERM and _in_group(name.pid, group)
            ):
                os.kill(name.pid, number)


def _in_group(pid: int, group: int) -> bool:
    with contextlib.suppress(OSError):
        return os.getpgid(pid) == group
    return False
