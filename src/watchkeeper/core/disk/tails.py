"""The ends of files of any size, read without reading the rest. Nothing here raises, and nothing
waits for a pipe.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.text.odd_bytes import as_path


def end_of_file(path: Path | str, most: int) -> bytes:
    """The last bytes of a file, `most` at the most; b"" where it is empty or cannot be read."""
    try:
        with open_regular(as_path(str(path))) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)
    except OSError:
        return b""


def end_as_text(path: Path | str, most: int) -> str:
    """The same as text; bytes that are no UTF-8 are replaced."""
    return end_of_file(path, most).decode("utf-8", "replace")


def last_lines(path: Path | str, lines: int, most: int) -> list[str]:
    """The last lines that are not empty, of the last `most` bytes; a carriage return ends one, as a
    bar's does.
    """
    words = end_as_text(path, most).replace("\r\n", "\n").replace("\r", "\n")
    return [line for line in words.split("\n") if line][-lines:]


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a growing file found. `size` is its bytes, 0 where there is none; `modified`
    is its own time in seconds since 1970, None where there is none; `added` is how many bytes are
    new, `text` their end, whole lines only.
    """

    size: int = 0
    modified: float | None = None
    added: int = 0
    text: str = ""


class Follower:
    """Reads what a file has grown by since the look before, `most` bytes at a time: of more, the
    end. An unfinished last line is kept for the next look; one that ends in a carriage return is
    finished. A file that has become shorter, or is another one of the same name, is read anew.
    """

    def __init__(self, path: Path | str, most: int) -> None:
        self.path = Path(as_path(str(path)))
        self._most = most
        self._inode = 0
        self._offset = 0
        self._rest = b""

    @property
    def offset(self) -> int:
        """How far it has read."""
        return self._offset

    def look(self) -> Grown:
        """One `stat`, and a read only where it has grown."""
        try:
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode):
                return Grown()
            return self.take(status.st_ino, status.st_size, status.st_mtime, self._read)
        except OSError:
            return Grown()

    def take(
        self, inode: int, size: int, modified: float, read: Callable[[int, int], tuple[int, bytes]]
    ) -> Grown:
        """A look at a file that somebody else has looked at: `read` gives what it has of the bytes
        from one offset to another, and where that begins. Raises what `read` does.
        """
        if inode != self._inode or size < self._offset:
            self._inode, self._offset, self._rest = inode, 0, b""
        added = size - self._offset
        if not added:
            return Grown(size=size, modified=modified)
        start = max(self._offset, size - self._most)
        first, new = read(start, size)
        data = (self._rest if first == self._offset else b"") + new
        self._offset = first + len(new)
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        # A line that never ends must not be kept for ever.
        whole, self._rest = (
            (data[:cut], data[cut:]) if len(data) - cut < self._most else (data, b"")
        )
        return Grown(
            size=size, modified=modified, added=added, text=whole.decode("utf-8", "replace")
        )

    def unfinished(self) -> str:
        """What has no line's end yet, such as a bar that is redrawn."""
        return self._rest.decode("utf-8", "replace")

    def _read(self, start: int, end: int) -> tuple[int, bytes]:
        """The bytes of the file from `start` to `end`, and `start`."""
        with open_regular(self.path) as file:
            file.seek(start)
            return start, file.read(end - start)
