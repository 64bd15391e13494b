"""Kills this Python process at its n-th write or command, when the environment says so.

Python imports this module at start when its folder is on PYTHONPATH. `WK_KILL_IN` names the module
or program whose process is meant (a part of its command line), `WK_KILL_AT` the operation before
which it dies (from 1), and `WK_KILL_MARK` a file that is created by the kill, so that only one
process ever dies of it. `WK_KILL_LOG` collects the names of the operations. A sync is none of them:
SIGKILL takes nothing that was written, and to die before it is to die before the next operation.
"""

import os
import signal
import sys
from pathlib import Path


def _arm() -> None:
    target = os.environ.get("WK_KILL_IN", "")
    command_line = (
        Path("/proc/self/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    )
    if not target or target not in command_line or Path(os.environ["WK_KILL_MARK"]).exists():
        return
    at = int(os.environ["WK_KILL_AT"])
    log = os.open(os.environ["WK_KILL_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    count = 0
    raw_write, raw_open = os.write, os.open
    owner = os.getpid()

    def before(name: str) -> None:
        nonlocal count
        if os.getpid() != owner:
            return
        count += 1
        raw_write(log, f"{count} {name}\n".encode())
        if count == at:
            try:
                os.close(raw_open(os.environ["WK_KILL_MARK"], os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            os.kill(owner, signal.SIGKILL)

    def wrap(module, name):
        original = getattr(module, name)

        def wrapped(*args, **kwargs):
            before(
                f"{module.__name__}.{name} "
                f"{args[0] if args and isinstance(args[0], (str, os.PathLike)) else ''}"
            )
            return original(*args, **kwargs)

        setattr(module, name, wrapped)

    for name in (
        "write",
        "pwrite",
        "link",
        "replace",
        "rename",
        "mkdir",
        "unlink",
        "kill",
        "killpg",
        "fork",
        "posix_spawn",
    ):
        wrap(os, name)
    import _posixsubprocess

    fork_exec = _posixsubprocess.fork_exec

    def spawn(*args):
        before(f"subprocess {args[0]}")
        return fork_exec(*args)

    _posixsubprocess.fork_exec = spawn
    import subprocess

    if hasattr(subprocess, "_fork_exec"):
        subprocess._fork_exec = spawn


try:
    _arm()
except Exception as error:  # a broken harness must not pass for a crash that did no harm
    sys.stderr.write(f"crash harness: {error!r}\n")
    os._exit(99)
