"""A clock that rings in the main thread, for time limits: a signal of our own at a time of our own.

`signal.alarm` and `signal.setitimer` share one timer in a process, and it is the program's. A POSIX
timer (timer_create(2), timer_settime(2)) is another one. The kernel rings it, so it rings while C
code holds the interpreter as well. Where there is none, a thread rings.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

RING = signal.SIGURG  # what nobody handles is ignored, so that a late one harms nobody
_MONOTONIC = 1  # CLOCK_MONOTONIC
_NANO = 10**9


class Timer:
    """Rings after `set`, again and again, until the next `set`. Of one process: a child needs its
    own.
    """

    def __init__(self) -> None:
        self._id: Any = None
        self._library: Any = None
        self._thread: threading.Timer | None = None
        if sys.platform == "linux":
            try:
                self._create()
            except (ImportError, OSError, AttributeError):
                self._id = None

    def set(self, seconds: float, again_s: float) -> None:
        """Ring after that many seconds, then every `again_s`; 0 for never."""
        if self._id is not None:
            self._set(seconds, again_s)
            return
        if self._thread is not None:
            self._thread.cancel()
            self._thread = None
        if seconds > 0:
            self._thread = threading.Timer(seconds, self._ring, (again_s,))
            self._thread.daemon = True
            self._thread.start()

    def _create(self) -> None:
        import ctypes

        for name in (None, "librt.so.1"):  # where it is in a C library before glibc 2.34
            library = ctypes.CDLL(name, use_errno=True)
            if hasattr(library, "timer_create"):
                break
        event = (
            ctypes.c_int * 16
        )()  # struct sigevent: the value (8 bytes), the signal, how to tell (0: by the signal)
        event[2] = RING
        timer = ctypes.c_void_p()
        if library.timer_create(_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
            raise OSError(ctypes.get_errno(), "timer_create")
        library.timer_settime.argtypes = [
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._library, self._id = library, timer

    def _set(self, seconds: float, again_s: float) -> None:
        import ctypes

        times = [part for time in (again_s, seconds) for part in divmod(round(time * _NANO), _NANO)]
        self._library.timer_settime(
            self._id, 0, (ctypes.c_long * 4)(*times), None
        )  # struct itimerspec

    def _ring(self, again_s: float) -> None:
        thread = threading.main_thread().ident
        if self._thread is threading.current_thread() and thread is not None:
            signal.pthread_kill(thread, RING)
            self.set(again_s, again_s)
