"""What is kept once, under its own hash: scripts as they were submitted, uncommitted changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from watchkeeper.core.disk import files


def keep(folder: Path, data: bytes, *, mode: int = 0o444, durable: bool = True) -> str:
    """Keep `data` in `folder`, unless it is there; on the disk on return where it is to be
    `durable`. Returns its sha256, which is the file's name.

    Raises:
        StorageError: it could not be written.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / sha256
    # A file of that size under that name is whole: it got the name when it was. Anything else is
    # written again.
    if not path.is_file() or path.stat().st_size != len(data):
        files.make_folder(folder)
        files.replace(path, data, mode=mode, durable=durable)
    return sha256


def read_kept(folder: Path, sha256: str) -> bytes | None:
    """The bytes that `folder` keeps under this hash; None where they cannot be read, or do not
    match their name.
    """
    try:
        data = files.read_whole(folder / sha256)
    except (OSError, ValueError):
        return None
    if hashlib.sha256(data).hexdigest() == sha256:
        return data
    return None


def is_whole(path: Path) -> bool:
    """Whether the file holds what its name says.

    Raises:
        OSError: it cannot be read.
    """
    with files.open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == path.name
