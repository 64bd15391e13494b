"""Places on this node's own disk, for what must not wait for a shared filesystem."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from watchkeeper.core.disk.mounts import filesystem_of

# Filesystems that another machine serves. Source: their names in /proc/filesystems.
_REMOTE = (
    "nfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "glusterfs",
    "cifs",
    "smb",
    "afs",
    "fuse",
    "9p",
    "pvfs2",
    "orangefs",
)


def folders(name: str) -> list[Path]:
    """Where this user's folder of that name may lie, the first choice first; whether or not it is
    there.
    """
    roots = dict.fromkeys((os.environ.get("TMPDIR") or "/tmp", "/tmp", "/dev/shm"))
    return [Path(root) / f"{name}-{os.getuid()}" for root in roots]


def folder(name: str) -> Path:
    """This user's folder of that name, made where missing.

    Raises:
        OSError: there is no place for it on this node.
    """
    for choice in folders(name):
        if not filesystem_of(choice.parent).kind.startswith(_REMOTE) and is_ours(choice):
            return choice
    raise OSError(errno.ENOENT, "no place on this node")


def is_ours(choice: Path) -> bool:
    """Whether the folder is there, made if need be, and ours alone: a link, another user's folder,
    and one into which others may write are not.
    """
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileExistsError):
            choice.mkdir(mode=0o700)
        status = choice.lstat()
        is_folder = choice.is_dir() and not choice.is_symlink()
        is_closed = not status.st_mode & 0o022
        return is_folder and is_closed and status.st_uid == os.getuid()
    return False
