"""What files were hashed to before, in the user's cache folder: one file for each checkpoint.

The file is disposable: one that is missing, damaged, of another user or of another version costs
time and nothing else. A hash counts while its file has the same size, times and inode. Whoever can
write to the file can also put its times back, so no verification uses this unless it is asked to.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import replace
from watchkeeper.core.disk.user_cache import folder, read_own
from watchkeeper.core.errors import StorageError
from watchkeeper.publish.manifest.files import FileRecord

MOST_BYTES = 64 * 2**20
"""Of the file: a larger one is not read."""
_FORMAT = 1  # to rise with each change of what an entry means
# A file that was written to this shortly before may be written to again within one tick of its
# filesystem's clock, and keep its times.
_SETTLED_NS = 2 * 10**9


class _Hashed(msgspec.Struct, frozen=True, array_like=True):
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    sha256: str

    def is_of(self, status: os.stat_result) -> bool:
        """Whether a file with this status is the one that was hashed."""
        return self == _hashed(status, self.sha256)


class _File(msgspec.Struct, frozen=True, array_like=True):
    format: int
    top: str
    files: dict[str, _Hashed]


def known_records(root: Path, paths: Iterable[str]) -> dict[str, FileRecord]:
    """The records of the files below a root that look the same as when they were hashed, by path.
    {}: none is known.
    """
    kept = _load(os.path.realpath(root))
    known = {}
    for path in paths:
        hashed = kept.get(path)
        if hashed is None:
            continue
        with contextlib.suppress(OSError):
            if hashed.is_of((root / path).stat()):
                known[path] = FileRecord(
                    path=path, size_bytes=hashed.size_bytes, sha256=hashed.sha256
                )
    return known


def remember(root: Path, records: Iterable[FileRecord], began_ns: int) -> None:
    """Keep the hashes of files for later. `began_ns`: when the hashing began, in nanoseconds since
    1970; a file written to after that, or in the two seconds before, is not kept. Where nothing
    can be written, nothing happens.
    """
    top = os.path.realpath(root)
    kept = {}
    for record in records:
        with contextlib.suppress(OSError):
            status = (root / record.path).stat()
            if _is_settled(status, began_ns) and status.st_size == record.size_bytes:
                kept[record.path] = _hashed(status, record.sha256)
    data = msgspec.msgpack.encode(_File(_FORMAT, top, kept))
    path = _place(top)
    with contextlib.suppress(StorageError, OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, data, durable=False, mode=0o600)


def _is_settled(status: os.stat_result, began_ns: int) -> bool:
    """Whether a file was last written some seconds before its hashing began: else it may be written
    again without a change of its times.
    """
    newest = max(status.st_mtime_ns, status.st_ctime_ns)
    return newest < began_ns - _SETTLED_NS


def _hashed(status: os.stat_result, sha256: str) -> _Hashed:
    return _Hashed(
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
        device=status.st_dev,
        sha256=sha256,
    )


def _load(top: str) -> dict[str, _Hashed]:
    """The hashes that were kept for a folder, path → hash; {} where there are none, or they are
    damaged or of another version.
    """
    try:
        file = msgspec.msgpack.decode(read_own(_place(top), MOST_BYTES), type=_File)
    except (OSError, StorageError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    if (file.format, file.top) != (_FORMAT, top):
        return {}
    return file.files


def _place(top: str) -> Path:
    """The file of the user's cache that has the hashes of a folder."""
    name = hashlib.sha256(os.fsencode(top)).hexdigest()[:32]
    return folder() / "hashes" / f"{name}.index"
