"""Bringing large files into a package: shared with the checkpoint where the filesystem can, copied
else.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import StorageError
from watchkeeper.core.text.figures import size
from watchkeeper.publish.manifest.hashing import PIECE_BYTES, Progress, cores

Way = Literal["kept", "shared blocks", "hard link", "copy"]
Room = Callable[[Path], int]
"""Gives the free bytes of the filesystem that a folder lies on."""

_FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file, copied when one is written
_PART = ".part"
_SPARE_BYTES = 64 * 2**20
_PROBE_BYTES = 8 * 2**20


class NoRoomError(StorageError):
    """The filesystem has too little room for a package."""

    code = "no-room"


def bring(source: Path, target: Path, progress: Progress | None = None) -> Way:
    """Bring one file under a new name. What was brought before, whole, is kept. A file under its
    final name is whole: it was given that name at the end.

    Raises:
        OSError: the source cannot be read, or the target not be written.
    """
    real = Path(os.path.realpath(source))
    status = real.stat()
    if _is_there(target, status):
        return "kept"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + _PART)
    part.unlink(missing_ok=True)
    way = _share(real, part)
    if way == "copy":
        _copy(real, part, progress)
        os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
    part.replace(target)
    return way


def _is_there(target: Path, wanted: os.stat_result) -> bool:
    """Whether the file was put there before: of the same size, and written at the same time."""
    try:
        here = target.lstat()
    except FileNotFoundError:
        return False
    return (here.st_size, here.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns)


def _share(source: Path, part: Path) -> Way:
    """Share the blocks, or make a hard link; `copy`: the filesystem can do neither."""
    if _clone(source, part):
        status = source.stat()
        os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
        return "shared blocks"
    try:
        os.link(source, part)
    except OSError:
        return "copy"
    return "hard link"


def _clone(source: Path, part: Path) -> bool:
    """Make `part` share the bytes of `source` (reflink), which costs no room; False where the
    filesystem cannot.
    """
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open_regular(source) as file:
            fcntl.ioctl(fd, _FICLONE, file.fileno())
    except OSError:
        part.unlink()
        return False
    finally:
        os.close(fd)
    return True


def _copy(source: Path, part: Path, progress: Progress | None) -> None:
    """Copy a file's bytes, and see that they reached the disk."""
    with open_regular(source) as file, part.open("xb") as out:
        while piece := file.read(PIECE_BYTES):
            out.write(piece)
            if progress is not None:
                progress(len(piece))
        out.flush()
        os.fsync(out.fileno())


def free_bytes(folder: Path) -> int:
    """The bytes that this user may still write where a folder lies."""
    return shutil.disk_usage(folder).free


def bytes_to_copy(sources: Iterable[Path], folder: Path) -> int:
    """How many bytes certainly have to be copied: those on another filesystem than `folder`."""
    device = folder.stat().st_dev
    statuses = (source.stat() for source in sources)
    return sum(status.st_size for status in statuses if status.st_dev != device)


def refuse_full(needed_bytes: int, folder: Path, room: Room = free_bytes) -> None:
    """See that a filesystem has room for so many bytes, and some to spare.

    Raises:
        NoRoomError: it has not.
    """
    free = room(folder)
    if free >= needed_bytes + _SPARE_BYTES:
        return
    raise NoRoomError(
        f"{folder} has {size(free)} of room, and the package needs {size(needed_bytes)} and "
        f"{size(_SPARE_BYTES)} to spare",
        hint="make room, or name a folder on another filesystem with -o",
    )


def hashing_s(sizes: Sequence[int], rate: float = 0.0) -> float:
    """About how many seconds hashing files of these sizes takes here. `rate` is in bytes a second
    and core; 0: it is measured.
    """
    if not sizes:
        return 0.0
    workers = min(cores(), len(sizes))
    speed = (rate or _hash_rate()) * workers
    return max(sum(sizes) / speed, max(sizes) * workers / speed)


def _hash_rate() -> float:
    """Bytes that one core hashes in a second: measured on 8 MiB."""
    probe = bytes(_PROBE_BYTES)
    began_s = time.perf_counter()
    hashlib.sha256(probe).digest()
    return _PROBE_BYTES / max(time.perf_counter() - began_s, 1e-6)
