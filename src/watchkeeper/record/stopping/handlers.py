"""Who holds a signal. Python knows its own handlers only: `faulthandler.register` and C libraries
put theirs into the process, and `signal.getsignal` still says what it said before.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_STATUS = Path("/proc/self/status")
_SIZE = 1024  # more than a `struct sigaction` takes; its first member is the handler's address
_WORD = 8


def is_caught(number: int) -> bool:
    """Whether this process has any handler for the signal (proc(5), SigCgt); False where the system
    does not tell.
    """
    try:
        for line in _STATUS.read_text(errors="replace").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except (OSError, ValueError):
        pass
    return False


def is_taken(number: int) -> bool:
    """Whether the signal has a handler that is not Python's own. In the main thread."""
    handler = signal.getsignal(number)
    if handler is None:
        return True
    if handler is signal.SIG_DFL or handler is signal.SIG_IGN:
        return is_caught(number)
    return not is_pythons(number)


def is_pythons(number: int) -> bool:
    """Whether the process's handler for a signal that Python handles is still Python's; True where
    that cannot be seen. In the main thread.
    """
    try:
        return _address(number) == _pythons_address()
    except Exception:
        return True


def _pythons_address() -> bytes:
    """The address of the one handler by which Python takes every signal, learned from a signal that
    nobody uses.
    """
    for number in range(signal.SIGRTMAX - 1, signal.SIGRTMIN, -1):
        if signal.getsignal(number) is signal.SIG_DFL and not is_caught(number):
            signal.signal(number, lambda *_: None)
            try:
                return _address(number)
            finally:
                signal.signal(number, signal.SIG_DFL)
    raise OSError("each signal is used")


def _address(number: int) -> bytes:
    """The address of the process's handler. `_ctypes` alone is imported in a millisecond, `ctypes`
    in many.
    """
    import _ctypes

    memory = bytes(_SIZE)  # nobody else holds these bytes, so they may be written to
    sigaction = _ctypes.dlsym(_ctypes.dlopen(None, os.RTLD_NOW), "sigaction")  # type: ignore[arg-type]
    if _ctypes.call_function(sigaction, (number, None, memory)):
        raise OSError(f"sigaction of signal {number}")
    return memory[:_WORD]
