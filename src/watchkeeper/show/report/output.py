"""A report's file: written whole, over nothing but a report that we wrote ourselves."""

from __future__ import annotations

import hashlib
from pathlib import Path

from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.core.text import lazy

_SEAL = lazy.pattern(rb"<!-- watchkeeper report sha256 ([0-9a-f]{64}) -->\n\Z")
_MOST_BYTES = 64 * 2**20


def sealed(text: str) -> bytes:
    """The text with a last line by which we know it again: its own hash."""
    data = text.encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(data).hexdigest()
    return data + f"<!-- watchkeeper report sha256 {digest} -->\n".encode()


def is_ours(data: bytes) -> bool:
    """Whether these bytes are a report as we wrote it, unchanged."""
    seal = _SEAL.search(data)
    if seal is None:
        return False
    return hashlib.sha256(data[: seal.start()]).hexdigest().encode() == seal[1]


def write(path: Path, data: bytes) -> None:
    """Write a sealed report.

    Raises:
        UsageError: something else has that name, or a report that was changed since; its folder is
            missing.
        StorageError: it could not be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint=f"name a file: -o {path / 'report.html'}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", hint=f"mkdir -p {path.parent}")
    if files.put_new(path, data):
        return
    before = _read(path)
    if not is_ours(before) or not files.replace_unchanged(path, before, data):
        raise UsageError(
            f"{path} is no report that Watchkeeper wrote, or it was changed since: it is kept",
            hint="name another file, or move this one away",
        )


def _read(path: Path) -> bytes:
    """The bytes of a file; empty for one that cannot be read, or is too large to be a report."""
    try:
        return files.read_whole(path, _MOST_BYTES)
    except (OSError, ValueError):
        return b""
