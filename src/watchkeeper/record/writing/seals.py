"""Counts and hashes of a run's files of rows, for its end: taken when no more rows come, off the
hot path.

A thread reads the files, so that a filesystem that hangs costs the end a few seconds and the hash,
never the end itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.events import SealedRows

CHUNK = 2**20
STILL_S = 2.0  # without a byte read, before a hash is given up
MOST_S = 60.0  # for all files
HURRIED_S = 5.0  # for all files of a run that was asked to stop

Facts = tuple[Path, int, int]


def row_files(folder: Path) -> set[Path]:
    """The files of rows in a folder; none where there is no such folder."""
    try:
        return set(folder.glob("*.jsonl"))
    except OSError:
        return set()


def seal(
    run_folder: Path, own: Sequence[Facts], others: Collection[Path], most_s: float = MOST_S
) -> tuple[SealedRows, ...]:
    """The files of `own` rows, as counted by who wrote them, and those that `others` have written
    so far.
    """
    work = _Work(own, sorted(others))
    work.run_for(most_s)
    sealed = [
        SealedRows(
            path=_shown(path, run_folder), rows=rows, bytes=size, sha256=work.hashes.get(path, "")
        )
        for path, rows, size in own
    ]
    sealed += [
        SealedRows(path=_shown(path, run_folder), rows=rows, bytes=size, sha256=work.hashes[path])
        for path, (rows, size) in work.counted.items()
    ]
    return tuple(sealed)


def _shown(path: Path, folder: Path) -> str:
    """A path below the run's folder; one elsewhere in full."""
    if path.is_relative_to(folder):
        return str(path.relative_to(folder))
    return str(path)


class _Work:
    """What the thread has found out so far."""

    def __init__(self, own: Sequence[Facts], others: Sequence[Path]) -> None:
        self.hashes: dict[Path, str] = {}
        self.counted: dict[Path, tuple[int, int]] = {}
        self._own, self._others = own, others
        self._done = threading.Event()
        self._read = 0
        self._given_up = False

    def run_for(self, most_s: float) -> None:
        """Work until all is done, nothing is read for a while, or the time is over."""
        if not self._own and not self._others:
            return
        try:
            threading.Thread(target=self._run, name="watchkeeper hashes", daemon=True).start()
        except RuntimeError:  # the interpreter ends, and takes no more threads
            self._run()
        deadline, before = time.monotonic() + most_s, -1
        while self._read != before and time.monotonic() < deadline:
            before = self._read
            if self._done.wait(min(STILL_S, max(0.0, deadline - time.monotonic()))):
                return
        self._given_up = True

    def _run(self) -> None:
        """Hash our own files, and count the others. What cannot be read has no hash."""
        for path, _, size in self._own:
            with contextlib.suppress(OSError):
                self._hash(path, size)
        for path in self._others:
            with contextlib.suppress(OSError):
                self._count(path)
        self._done.set()

    def _hash(self, path: Path, size: int) -> None:
        """Hash the first `size` bytes of a file, unless that was given up meanwhile."""
        digest, left = hashlib.sha256(), size
        with open_regular(path) as file:
            while left and (data := file.read(min(CHUNK, left))) and not self._given_up:
                digest.update(data)
                left -= len(data)
                self._read += len(data)
        if not left:
            self.hashes[path] = digest.hexdigest()

    def _count(self, path: Path) -> None:
        """Another writer's file, up to the last whole line."""
        digest, tail, rows, size = hashlib.sha256(), b"", 0, 0
        with open_regular(path) as file:
            while (data := file.read(CHUNK)) and not self._given_up:
                whole, newline, tail = (tail + data).rpartition(b"\n")
                digest.update(whole + newline)
                rows, size = rows + whole.count(b"\n") + len(newline), size + len(whole + newline)
                self._read += len(data)
        if size and not self._given_up:
            self.hashes[path], self.counted[path] = digest.hexdigest(), (rows, size)
