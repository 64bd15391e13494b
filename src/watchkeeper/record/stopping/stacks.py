"""Every thread's stack at a signal, written by faulthandler: in C, so also while other C code holds
the interpreter.

They go to a file on the node's own disk, since the filesystem of the run may be what hangs. Source
of the text's form: `faulthandler.dump_traceback`, "most recent call first".
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from watchkeeper.core import processes
from watchkeeper.core.disk import files, node
from watchkeeper.core.errors import UsageError
from watchkeeper.record.stopping import handlers

REAL_TIME = getattr(signal, "SIGRTMIN", 0)  # 0: macOS has none
DUMP_SIGNAL: int = REAL_TIME + 4 if REAL_TIME else signal.SIGUSR2
"""Not SIGUSR1: that is the scheduler's warning."""
WAIT_S = 3.0  # for a process to write its stacks
_NAME = "watchkeeper-stacks"
_TAKEN = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT)

_lock = threading.Lock()
_file: IO[Any] | None = None
_place = Path()
_references = 0  # to the file, faulthandler's among them
_number = 0
_users = 0


def dump_signal_from(given: object, environ: Mapping[str, str] = os.environ) -> int:
    """The signal at which the process writes its stacks: by the call, else WATCHKEEPER_DUMP_SIGNAL,
    else SIGRTMIN+4.

    Raises:
        UsageError: it is no signal that a program may take.
    """
    if given is None:
        given = environ.get("WATCHKEEPER_DUMP_SIGNAL") or DUMP_SIGNAL
    try:
        number = int(given)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        number = 0
    if number not in signal.valid_signals() or number in _TAKEN:
        hint = f"give the number of a signal that nothing else uses, such as {DUMP_SIGNAL}"
        raise UsageError(f"dump_signal is {given!r}", hint=f"{hint} (SIGRTMIN+4)")
    return int(number)


def listen(number: int) -> str:
    """From now on this process writes its stacks at this signal; "" or why it does not. Each call
    wants its `forget`.
    """
    global _file, _place, _number, _references, _users  # noqa: PLW0603 - one signal handler a process
    with _lock:
        if _users == 0:
            if signal.getsignal(number) is not signal.SIG_DFL or handlers.is_caught(number):
                return f"{signal_name(number)} has a handler of the program's"
            try:
                path = node.folder(_NAME) / f"{os.getpid()}.txt"
                _file = os.fdopen(
                    files.open_to_write(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                    "wb",
                    buffering=0,
                )
                _place = path
                faulthandler.register(number, file=_file, all_threads=True, chain=False)
                _references = sys.getrefcount(_file)
            except (OSError, RuntimeError, ValueError, AttributeError) as error:
                return f"stacks cannot be had: {error}"
            _number = number
        _users += 1
        return ""


def forget() -> None:
    """The reverse of `listen`."""
    global _file, _users  # noqa: PLW0603
    with _lock:
        _users -= 1
        if _users == 0 and _file is not None:
            # A program that has registered the signal for itself since has taken it: faulthandler
            # lets go of our file.
            if sys.getrefcount(_file) >= _references:
                faulthandler.unregister(_number)
            with contextlib.suppress(OSError):
                _place.unlink()
            _file.close()
            _file = None


def after_fork() -> None:
    """In a child: it keeps writing to its parent's file, but does not remove it."""
    global _lock, _users
    _lock, _users = threading.Lock(), 1 << 30


os.register_at_fork(after_in_child=after_fork)


def listens(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal: another one would be ended by it. Source:
    proc(5), SigCgt.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except OSError:
        return False
    return False


def ask(pid: int, number: int, wait_s: float = WAIT_S) -> str:
    """The stacks of the process's threads as they are now; "" where it does not say."""
    if not listens(pid, number):
        return ""
    for folder in node.folders(_NAME):
        path = folder / f"{pid}.txt"
        try:
            begin = path.stat().st_size
            os.kill(pid, number)
        except OSError:
            continue
        deadline, size = time.monotonic() + wait_s, begin
        while time.monotonic() < deadline:
            time.sleep(0.05)
            before, size = size, path.stat().st_size
            if size > begin and size == before:
                break
        with contextlib.suppress(OSError):
            return files.read_whole(path)[begin:].decode("utf-8", "replace")
    return ""


def siblings(pid: int) -> list[int]:
    """The other processes of the same parent on this node that write their stacks: the ranks that
    torchrun started.
    """
    parent = processes.parent_of(pid)
    pids = []
    for folder in node.folders(_NAME):
        with contextlib.suppress(OSError):
            pids += [
                int(name[:-4])
                for name in os.listdir(folder)
                if name.endswith(".txt") and name[:-4].isdigit()
            ]
    return [
        other
        for other in pids
        if other != pid and parent not in (None, 1) and processes.parent_of(other) == parent
    ]


def clear(pid: int) -> None:
    """Remove what a process that was killed has left of its stacks."""
    for folder in node.folders(_NAME):
        with contextlib.suppress(OSError):
            (folder / f"{pid}.txt").unlink()


def threads(text: str) -> list[list[str]]:
    """The frames of each thread, innermost first, `file:line function`; the main thread is the last
    one.
    """
    stacks: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(("Thread 0x", "Current thread 0x")):
            stacks.append([])
        elif stacks and line.startswith('  File "'):
            file, _, rest = line[8:].rpartition('", line ')
            number, _, function = rest.partition(" in ")
            stacks[-1].append(f"{file}:{number} {function}")
    return stacks


def signal_name(number: int) -> str:
    """`SIGUSR1`, `SIGRTMIN+4`."""
    if REAL_TIME and REAL_TIME < number < signal.SIGRTMAX:
        return f"SIGRTMIN+{number - REAL_TIME}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
