"""Whether a repository's index names a file, read from the index itself: starting git costs more
than the rest of a start.

Source: gitformat-index(5), version 2 with SHA-1, which git writes by default. A yes is certain; of
any other index, or where the file is not found, the answer is no, and git is to be asked.
"""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core.code.git_head import folder_of
from watchkeeper.core.disk.files import read_whole

MOST_BYTES = 64 * 2**20
# times, device, inode, mode, owner, size, object and flags of an entry stand before its name
_BEFORE_NAME = 62
_MODE_AT = 24
_MODES = frozenset(mode.to_bytes(4, "big") for mode in (0o100644, 0o100755, 0o120000))
_NAME_BITS = 0xFFF


class Index:
    """The index of the repository whose working tree has its top at `top`."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._data = _read(top)

    def names(self, path: Path) -> bool:
        """Whether it names this file."""
        name = os.fsencode(os.path.relpath(path, self._top))
        at = self._data.find(name + b"\0")
        while at >= 0:
            if self._is_entry(at, len(name)):
                return True
            at = self._data.find(name + b"\0", at + 1)
        return False

    def _is_entry(self, at: int, length: int) -> bool:
        """Whether the name at this offset is an entry's whole name, and not the end of a longer
        one.
        """
        start = at - _BEFORE_NAME
        mode = self._data[start + _MODE_AT : start + _MODE_AT + 4]
        flags = int.from_bytes(self._data[at - 2 : at], "big")
        return start >= 12 and mode in _MODES and flags & _NAME_BITS == min(length, _NAME_BITS)


def _read(top: Path) -> bytes:
    """The bytes of an index of version 2; b"" of any other."""
    try:
        path = folder_of(top) / "index"
        data = read_whole(path, MOST_BYTES)
    except (OSError, ValueError):
        return b""
    if data[:8] == b"DIRC\0\0\0\2":
        return data
    return b""
