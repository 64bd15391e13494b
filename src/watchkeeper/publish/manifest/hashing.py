"""Hashing files on all cores, each file whole and unchanged meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import StorageError, WatchkeeperError
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.manifest.safe import inside

PIECE_BYTES = 2**20
"""Read at a time: large enough that the interpreter costs nothing, small enough for a core's own
cache, from which it is hashed.
"""

Progress = Callable[[int], None]
"""Called from any thread, by one at a time, with the bytes that were hashed since the last call."""


class ChangingFileError(StorageError):
    """A file changed while it was hashed."""

    code = "changing"


class _Stopped(Exception):
    """Another thread was interrupted, or failed."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def hash_files(
    root: Path,
    paths: Iterable[str],
    *,
    progress: Progress | None = None,
    known: Mapping[str, FileRecord] | None = None,
) -> list[FileRecord]:
    """Hash files below a root with SHA-256, on all cores, and return their records in the order of
    `paths`. A file in `known` is not read: its record is taken as it is.

    Raises:
        UnsafePathError: a path leads out of the root.
        ChangingFileError: a file changed while it was hashed.
        OSError: a file cannot be read, or is no regular file.
    """
    outcomes = hash_each(root, paths, progress=progress, known=known)
    for outcome in outcomes.values():
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome for outcome in outcomes.values() if isinstance(outcome, FileRecord)]


def hash_each(
    root: Path,
    paths: Iterable[str],
    *,
    progress: Progress | None = None,
    known: Mapping[str, FileRecord] | None = None,
) -> dict[str, FileRecord | Exception]:
    """As `hash_files`, with the error of a file in the place of its record."""
    ordered = list(paths)
    outcomes: dict[str, FileRecord | Exception] = dict(known or {})
    unknown = [path for path in ordered if path not in outcomes]
    outcomes.update(_Hasher(root, progress).hash_all(unknown))
    return {path: outcomes[path] for path in ordered}


class _Hasher:
    """Hashes files in threads: hashlib and read give up the interpreter's lock for each piece."""

    def __init__(self, root: Path, progress: Progress | None) -> None:
        self._root = root
        self._progress = progress
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._own = threading.local()

    def hash_all(self, paths: list[str]) -> dict[str, FileRecord | Exception]:
        """The outcome of each file. The largest begin first, so that no core is left with one at
        the end.
        """
        ordered = sorted(paths, key=self._size_of, reverse=True)
        with ThreadPoolExecutor(min(cores(), max(len(paths), 1))) as pool:
            try:
                return dict(zip(ordered, pool.map(self._outcome_of, ordered), strict=True))
            except BaseException:
                self._stop.set()
                raise

    def _size_of(self, path: str) -> int:
        """The bytes of a file; 0 where it cannot be looked at, which its hashing says."""
        try:
            return (self._root / path).stat().st_size
        except (OSError, ValueError):
            return 0

    def _outcome_of(self, path: str) -> FileRecord | Exception:
        """The record of a file, or the error that kept it from being hashed."""
        try:
            return self._hash(path)
        except (OSError, WatchkeeperError) as error:
            return error

    def _hash(self, path: str) -> FileRecord:
        """The record of a file that stayed as it was while it was read.

        Raises:
            ChangingFileError: it did not.
            OSError: it cannot be read.
        """
        place = inside(self._root, path)
        with open_regular(place) as file:
            before = os.fstat(file.fileno())
            _announce(file)
            sha256, size_bytes = self._digest(file)
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise _changing(path, before.st_size, after.st_size)
        if size_bytes != after.st_size:
            raise _changing(path, after.st_size, size_bytes)
        return FileRecord(path=path, size_bytes=size_bytes, sha256=sha256)

    def _digest(self, file: BufferedReader) -> tuple[str, int]:
        """The digest of the rest of a file, and how many bytes that was."""
        digest = hashlib.sha256()
        buffer = self._buffer()
        size_bytes = 0
        while count := file.raw.readinto(buffer):
            digest.update(buffer[:count])
            size_bytes += count
            self._report(count)
        return digest.hexdigest(), size_bytes

    def _buffer(self) -> memoryview:
        """This thread's own buffer, used again for every piece."""
        if not hasattr(self._own, "buffer"):
            self._own.buffer = memoryview(bytearray(PIECE_BYTES))
        buffer: memoryview = self._own.buffer
        return buffer

    def _report(self, count: int) -> None:
        """Count bytes that were read. Here a thread notices that it is to stop."""
        if self._stop.is_set():
            raise _Stopped
        if self._progress is not None:
            with self._lock:
                self._progress(count)


def _announce(file: BufferedReader) -> None:
    """Say to the kernel that the file is read from front to back; no filesystem has to obey."""
    with contextlib.suppress(OSError):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)


def _changing(path: str, before_bytes: int, after_bytes: int) -> ChangingFileError:
    """The error that a file was written to while it was hashed."""
    if before_bytes == after_bytes:
        what = "was written to"
    elif before_bytes < after_bytes:
        what = f"grew from {before_bytes:,} to {after_bytes:,} bytes"
    else:
        what = f"shrank from {before_bytes:,} to {after_bytes:,} bytes"
    return ChangingFileError(
        f"{path} {what} while it was hashed",
        hint="wait until the checkpoint is complete, then type the same command again",
    )
