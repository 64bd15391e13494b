"""The ends of files of any size, read without reading the rest. Nothing here raises."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


def end_of_file(path: Path | str, most: int) -> bytes:
    """The last bytes of a file, `most` at the most; b"" where it is empty or cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)
    except OSError:
        return b""


def end_as_text(path: Path | str, most: int) -> str:
    """The same as text; bytes that are no UTF-8 are replaced."""
    return end_of_file(path, most).decode("utf-8", "replace")


def last_lines(path: Path | str, lines: int, most: int) -> list[str]:
    """The last lines that are not empty, of the last `most` bytes; a carriage return ends one, as a bar's does."""
    words = end_as_text(path, most).replace("\r\n", "\n").replace("\r", "\n")
    return [line for line in words.split("\n") if line][-lines:]


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a growing file found. `size` is its bytes, 0 where there is none; `modified` is its own time in
    seconds since 1970, None where there is none; `added` is how many bytes are new, `text` their end, whole lines only.
    """

    size: int = 0
    modified: float | None = None
    added: int = 0
    text: str = ""


class Follower:
    """Reads what a file has grown by since the look before, `most` bytes at a time: of more, the end. An unfinished last
    line is kept for the next look; one that ends in a carriage return is finished. A file that has become shorter, or is
    another one of the same name, is read anew.
    """

    def __init__(self, path: Path | str, most: int) -> None:
        self.path = Path(path)
        self._most = most
        self._inode = 0
        self._offset = 0
        self._rest = b""

    def look(self) -> Grown:
        """One `stat`, and a read only where it has grown."""
        try:
            status = self.path.stat()
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._inode, self._offset, self._rest = status.st_ino, 0, b""
            added = status.st_size - self._offset
            if not added:
                return Grown(size=status.st_size, modified=status.st_mtime)
            data = self._read(status.st_size)
        except OSError:
            return Grown()
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        # A line that never ends must not be kept for ever.
        whole, self._rest = (data[:cut], data[cut:]) if len(data) - cut < self._most else (data, b"")
        text = whole.decode("utf-8", "replace")
        return Grown(size=status.st_size, modified=status.st_mtime, added=added, text=text)

    def unfinished(self) -> str:
        """What has no line's end yet, such as a bar that is redrawn."""
        return self._rest.decode("utf-8", "replace")

    def _read(self, size: int) -> bytes:
        start = max(self._offset, size - self._most)
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(size - start)
        rest = self._rest if start == self._offset else b""
        self._offset = start + len(data)
        return rest + data
