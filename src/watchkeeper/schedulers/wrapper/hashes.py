"""What the wrapper hashed of an attempt's checkpoints after its script had ended well.

`hashes.N` of execution N holds entries that end in NUL: `file SIZE MTIME PATH` for each file as it
was before it was read, then `SHA256  PATH` as `sha256sum -z` writes it. The file is there whole or
not at all. Each task of an array leaves one in its own folder, of what was written since it began.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import read_if_any
from watchkeeper.core.errors import StorageError
from watchkeeper.core.text import lazy
from watchkeeper.schedulers.wrapper.claims import executions

_MOST_BYTES = 64 * 2**20
_SEEN = lazy.pattern(rb"file (\d{1,20}) (-?\d{1,20})(?:\.(\d{1,20}))? (.+)", re.DOTALL)
_HASHED = lazy.pattern(rb"([0-9a-f]{64}) [ *](.+)", re.DOTALL)


class HashedFile(msgspec.Struct, frozen=True):
    """A file as it was when the job hashed it: its size in bytes, and when it was modified, in
    nanoseconds since 1970.
    """

    size_bytes: int
    modified_ns: int
    sha256: str

    def is_still(self, path: Path) -> bool:
        """Whether a file has this size and this time."""
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size_bytes, self.modified_ns)


def read_hashes(attempt_folder: Path) -> dict[Path, HashedFile]:
    """The files that the last execution of an attempt hashed, by their absolute paths, and those of
    its tasks where it is an array; empty where none was hashed, or what it left cannot be read.
    """
    hashed = _of_execution(attempt_folder)
    for task in sorted(attempt_folder.glob("task-*")):
        for path, record in _of_execution(task).items():
            # A file that grew while one task hashed it may be whole in the record of another.
            if path not in hashed or record.is_still(path):
                hashed[path] = record
    return hashed


def _of_execution(attempt_folder: Path) -> dict[Path, HashedFile]:
    number = len(executions(attempt_folder))
    try:
        data = read_if_any(attempt_folder / f"hashes.{number}", _MOST_BYTES)
    except (OSError, StorageError):
        return {}
    return parse(data or b"")


def parse(data: bytes) -> dict[Path, HashedFile]:
    """The files of a record, by path. What is torn, or is named by one half alone, is left out."""
    entries = data.split(b"\0")
    sizes = dict(_seen(entries))
    hashed: dict[Path, HashedFile] = {}
    for entry in entries:
        match = _HASHED.fullmatch(entry)
        if match is not None and match[2] in sizes:
            path = Path(os.fsdecode(match[2]))
            hashed[path] = HashedFile(*sizes[match[2]], match[1].decode())
    return hashed


def _seen(entries: list[bytes]) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Path → size in bytes and time in nanoseconds."""
    for entry in entries:
        match = _SEEN.fullmatch(entry)
        if match is not None:
            fraction = (match[3] or b"").ljust(9, b"0")[:9]
            yield match[4], (int(match[1]), int(match[2]) * 10**9 + int(fraction))
