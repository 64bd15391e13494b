"""Watchkeeper's folder in the user's cache folder. What lies there is disposable: where it is
missing, that costs time and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core.disk.files import open_regular


def folder() -> Path:
    """Watchkeeper's folder in the user's cache folder: `$XDG_CACHE_HOME`, else `~/.cache`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):
        return Path(named, "watchkeeper")
    return Path(os.path.expanduser("~"), ".cache", "watchkeeper")  # noqa: PTH111 - "~" stays


def read_own(path: Path, most: int) -> bytes:
    """The bytes of a file, `most` at the most, that this user wrote and nobody else can write.

    Raises:
        OSError: it cannot be read, is too large, or may be somebody else's.
    """
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise PermissionError(f"{path} may be written by others")
        if status.st_size > most:
            raise OSError(f"{path} is too large")
        return file.read(most)
