"""A second try where a disk refuses once: a file server that fails over, a stale handle, a quota at
its edge.

Only work that may be done twice is tried again: a write at a known offset, a whole file under a
temporary name, a link that is judged by reading it back. What succeeds then is said on standard
error, once a process for each file and error, since a disk that does this wants a look. What fails
twice is the caller's to say.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Others will be the same at a second try: no permission, no such file, a read-only filesystem.
PASSING = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EINTR})
# files and errors that are said; a process that meets more has a dead disk, and says that otherwise
SAID = 100

_said: set[tuple[str, int]] = set()


def is_passing(error: OSError) -> bool:
    """Whether a second try may do better."""
    return error.errno in PASSING


def twice(action: str, path: str | os.PathLike[str], work: Callable[[], T]) -> T:
    """Do the work, and do it again where the disk refused it. `action` and `path` name it to
    people: `write`, the file.

    Raises:
        OSError: it was refused twice, or a second try is useless.
    """
    try:
        return work()
    except OSError as error:
        if not is_passing(error):
            raise
        first = error
    try:
        done = work()
    except OSError as error:
        if not is_passing(error):  # now the disk has given an answer
            say(action, path, first)
        raise
    say(action, path, first)
    return done


def say(action: str, path: str | os.PathLike[str], error: OSError) -> None:
    """Say that a first try met this error, and a second one did not."""
    name = (str(path), error.errno or 0)
    if error.errno == errno.EINTR or name in _said or len(_said) >= SAID or sys.stderr is None:
        return  # a signal in the middle of a call is no fault of the disk
    _said.add(name)
    with contextlib.suppress(Exception):  # a closed stream, a broken pipe
        words = (
            f"{error.strerror} at the first try to {action} {Path(path)}; the second try "
            "worked: check that disk"
        )
        sys.stderr.write(f"watchkeeper: {words}\n")
        sys.stderr.flush()
