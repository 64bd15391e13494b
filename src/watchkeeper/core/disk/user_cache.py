"""Watchkeeper's folder in the user's cache folder. What lies there is disposable: where it is
missing, that costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from watchkeeper.core.disk.files import open_regular, replace
from watchkeeper.core.errors import StorageError

MOST_BYTES = 256 * 2**20
"""Of a file that is kept: a larger one is not read."""
_DIGEST_BYTES = 32


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


def name_of(place: str | os.PathLike[str]) -> str:
    """The name under which something about a file or a folder is kept."""
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:32]


def recall(path: Path) -> memoryview | None:
    """What was kept at `path`; None where there is nothing, or it is damaged, larger than
    `MOST_BYTES`, or may be somebody else's.
    """
    try:
        data = memoryview(read_own(path, MOST_BYTES))
    except (OSError, StorageError):
        return None
    if data[:_DIGEST_BYTES] != _digest(data[_DIGEST_BYTES:]):
        return None
    return data[_DIGEST_BYTES:]


def keep(path: Path, data: bytes) -> None:
    """Keep bytes at `path`, in the place of what was there; where that cannot be written, nothing
    happens.
    """
    with contextlib.suppress(StorageError, OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, _digest(data) + data, durable=False, mode=0o600)


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
