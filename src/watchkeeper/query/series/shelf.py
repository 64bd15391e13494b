"""The tracks that were read last, for whoever asks next: a server keeps one shelf for all pages.

Each file is read by one thread at a time. A file of which much is unread is read in the background;
who does not want to wait for that gets its end.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.disk.files import open_regular
from watchkeeper.query.series.tracks import KEPT_BYTES, FileTracks, load, read_tracks, unread_bytes

LAST_ROWS = 20_000
"""Of a file that is not read yet, so many rows are shown."""
QUICK_BYTES = 16 * 2**20
"""So much of a file is read at once, in about a tenth of a second."""
MOST_FIGURES = 32 * 2**20
"""So many numbers of eight bytes are kept in memory."""
_SAMPLE_BYTES = 65_536


class Look(NamedTuple):
    """The tracks of a file. `is_whole` False: only those of its last rows."""

    file: FileTracks
    is_whole: bool


class Shelf:
    """The tracks of files, the ones used last."""

    def __init__(self, most_figures: int = MOST_FIGURES, *, keeps: bool = True) -> None:
        """Unless it `keeps` what it reads, nothing is written into the cache."""
        self._keeps = keeps
        self._files: OrderedDict[Path, FileTracks] = OrderedDict()
        self._locks: dict[Path, threading.Lock] = {}
        self._lock = threading.Lock()
        self._most_figures = most_figures

    def look(self, path: Path, *, waits: bool) -> Look:
        """The tracks of a file as it is now. Unless the caller `waits`, of a file of which much is
        unread, or that is being read, they are those of its last rows.

        Raises:
            OSError: the file cannot be read.
        """
        lock = self._lock_of(path)
        if not lock.acquire(blocking=waits):
            return Look(read_end(path), is_whole=False)
        try:
            known = self._known(path)
            if not waits and unread_bytes(path, known) > QUICK_BYTES:
                return Look(read_end(path), is_whole=False)
            file = read_tracks(path, known, keeps=self._keeps)
            self._keep(file)
        finally:
            lock.release()
        return Look(file, is_whole=True)

    def _lock_of(self, path: Path) -> threading.Lock:
        """The lock of a file: of two requests, one reads it and the other waits."""
        with self._lock:
            return self._locks.setdefault(path, threading.Lock())

    def _known(self, path: Path) -> FileTracks | None:
        """What is on the shelf, else what the cache has."""
        with self._lock:
            known = self._files.get(path)
        if known is not None:
            return known
        if path.stat().st_size < KEPT_BYTES:
            return None
        return load(path)

    def _keep(self, file: FileTracks) -> None:
        """Keep what was read of a file in memory, and drop what was not asked for longest, once
        that is too much. The file that was read last stays, however large.
        """
        with self._lock:
            self._files[file.path] = file
            self._files.move_to_end(file.path)
            total = sum(one.figures for one in self._files.values())
            while total > self._most_figures and len(self._files) > 1:
                _, dropped = self._files.popitem(last=False)
                total -= dropped.figures


def read_end(path: Path) -> FileTracks:
    """The tracks of a file's last rows alone.

    Raises:
        OSError: the file cannot be read.
    """
    file = FileTracks(path)
    file.offset = end_of_rows(path, LAST_ROWS)
    file.grow()
    return file


def end_of_rows(path: Path, rows: int) -> int:
    """The byte at which about the last so many rows of a file begin.

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _SAMPLE_BYTES))
        sample = file.read(_SAMPLE_BYTES)
        length = len(sample) / max(1, sample.count(b"\n"))
        begin = int(size - rows * length)
        if begin <= 0:
            return 0
        file.seek(begin)
        file.readline()
        return file.tell()
