"""Whether a handler of the user's puts a record on the console already, where ours would put it a
second time.

What a handler does is known for those of the standard library and for a few others. One that nobody
knows may hand its records to a logger that prints them, as those that lead to loguru do: it is
taken to print.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from typing import Any

_SILENT = (
    "NullHandler",
    "SocketHandler",
    "SysLogHandler",
    "SMTPHandler",
    "HTTPHandler",
    "NTEventLogHandler",
)
_STANDARD = ("logging", "logging.handlers")
_SHIPPERS = (
    "sentry_sdk.",
    "opentelemetry.",
    "google.cloud.",
    "systemd.",
    "azure.",
)  # modules that send records away
# What a stream that stands in front of another one calls that.
_WITHIN = ("stream", "wrapped", "_stream", "_wrapped", "_StreamWrapper__wrapped", "file", "_file")
_DEPTH = 4
CONSOLE = (1, 2)  # descriptors


def prints(handler: logging.Handler) -> bool:
    """Whether what this handler is given may appear on stdout or stderr.

    A handler that collects records prints if the one behind it does.
    """
    kinds = {kind.__name__ for kind in type(handler).__mro__ if kind.__module__ in _STANDARD}
    if "MemoryHandler" in kinds:
        target = getattr(handler, "target", None)
        return target is not None and prints(target)
    if isinstance(handler, logging.StreamHandler):
        return is_console(handler.stream)
    if not kinds.isdisjoint(_SILENT) or type(handler).__module__.startswith(_SHIPPERS):
        return False
    console = getattr(handler, "console", None)  # rich's
    stream = getattr(handler, "stream", None) or getattr(console, "file", None)
    return stream is None or is_console(stream)


def is_console(stream: Any) -> bool:
    """Whether what is written to this stream, or to one within it, appears on stdout or stderr.

    Programs wrap their streams, to colour or to count: four of them are looked through.
    """
    for _ in range(_DEPTH):
        if stream is None:
            return False
        if stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            return True
        if _is_same_file(stream):
            return True
        stream = _within(stream)
    return False


def _within(stream: Any) -> Any:
    """The stream that another one stands in front of; None: it stands in front of none."""
    for name in _WITHIN:
        inner = getattr(stream, name, None)
        if inner is not None:
            return inner
    return None


def _is_same_file(stream: Any) -> bool:
    """Whether a stream writes to the file that stdout or stderr is, under another
    descriptor too.
    """
    try:
        fd = stream.fileno()
        if fd in CONSOLE:
            return True
        own = os.fstat(fd)
    except Exception:
        return False
    if stat.S_ISCHR(own.st_mode) and not os.isatty(fd):
        return False  # the null device is nobody's console
    for number in CONSOLE:
        try:
            if os.path.samestat(own, os.fstat(number)):
                return True
        except OSError:
            continue
    return False
