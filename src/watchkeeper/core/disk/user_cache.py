"""Watchkeeper's folder in the user's cache folder. What lies there is disposable: where it is
missing, stale, damaged, of another user or of another version, that costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from watchkeeper.core.collector import collector_paused
from watchkeeper.core.disk.files import open_regular, replace
from watchkeeper.core.errors import StorageError
from watchkeeper.core.version import SOFTWARE

Value = TypeVar("Value")

MOST_BYTES = 256 * 2**20
"""Of a file that is kept: a larger one is not read."""
DIGEST_BYTES = 32
"""Of a kept file, before what is kept."""
_encoder = msgspec.msgpack.Encoder()


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
    if data[:DIGEST_BYTES] != _digest(data[DIGEST_BYTES:]):
        return None
    return data[DIGEST_BYTES:]


def keep(path: Path, buffer: bytearray) -> None:
    """Keep what stands in the buffer behind room for its digest, in the place of what was there;
    where that cannot be written, nothing happens. No second copy is made of a hundred megabytes.
    """
    with memoryview(buffer) as view:
        view[:DIGEST_BYTES] = _digest(view[DIGEST_BYTES:])
    with contextlib.suppress(StorageError, OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, buffer, durable=False, mode=0o600)


class Drawer(Generic[Value]):
    """What is kept of one kind: a file for each place that it is about, replaced whole. Of two
    commands at a time, the last one's stays. What a value says of its place is for its reader to
    hold against the place as it is now.
    """

    def __init__(self, folder_name: str, suffix: str, value: Any, form: int) -> None:
        """`value` is the type, as msgspec has it; `form` is to rise with each change of what such a
        value means.
        """
        self._folder_name = folder_name
        self._suffix = suffix
        self._file = tuple[int, str, str, value]
        self._form = form

    def recall(self, place: str | os.PathLike[str]) -> Value | None:
        """What this version kept about a place; None: nothing that counts."""
        data = recall(self._path_of(place))
        if data is None:
            return None
        try:
            with collector_paused():
                *head, kept = msgspec.msgpack.decode(data, type=self._file)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if head != self._head_of(place):
            return None
        value: Value = kept
        return value

    def keep(self, place: str | os.PathLike[str], value: Value) -> None:
        """Keep a value about a place; where that cannot be written, nothing happens."""
        buffer = bytearray(DIGEST_BYTES)
        try:
            _encoder.encode_into((*self._head_of(place), value), buffer, DIGEST_BYTES)
        except (UnicodeEncodeError, OverflowError):
            return  # something that no encoding has: it is read each time
        keep(self._path_of(place), buffer)

    def _head_of(self, place: str | os.PathLike[str]) -> list[Any]:
        """What a kept file must begin with: its form, the version that wrote it, and what it is of.
        One with another beginning is not read.
        """
        return [self._form, SOFTWARE, os.fspath(place)]

    def _path_of(self, place: str | os.PathLike[str]) -> Path:
        """Where what is kept of a place lies, whether or not it is there."""
        return folder() / self._folder_name / f"{name_of(place)}.{self._suffix}"


def _digest(data: bytes | memoryview) -> bytes:
    """A hash that shows damage. It is no defence: whoever can write there is this user."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
