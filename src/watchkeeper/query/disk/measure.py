"""The bytes and files of a tree, counted as `du` counts them: the blocks that are held, so that a
hole takes none; each inode once, however many names it has; symbolic links as themselves, never
followed. Linear in the entries; only folders are kept in memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.errors import Problem
from watchkeeper.publish import names

_BLOCK_BYTES = 512  # of st_blocks, whatever the filesystem's blocks are: stat(2)
_MOST_NAMED = 3


class Amount(msgspec.Struct):
    """Bytes that are held, the folders' own included, and files: each inode that is no folder.
    `shared_bytes`: those of files that have further names, which one name's removal would not free.
    """

    bytes: int = 0
    files: int = 0
    shared_bytes: int = 0

    def add(self, other: Amount) -> None:
        """Add what another amount has."""
        self.bytes += other.bytes
        self.files += other.files
        self.shared_bytes += other.shared_bytes


class Tree(msgspec.Struct):
    """One tree. `own`: the path of each folder → what lies in it directly, itself included; a
    folder comes before those in it. `places`: folders that hold state of ours; `signoffs` and
    `weights`: folders with a sign-off, and with a file that holds weights by its name.
    """

    top: str
    own: dict[str, Amount] = {}
    places: list[str] = []
    signoffs: list[str] = []
    weights: list[str] = []


class Measure:
    """Measures trees, each inode once in all of them together. `problems`: what cannot be read."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()
        self._unreadable: list[str] = []

    @property
    def problems(self) -> list[Problem]:
        """One problem for all folders that could not be read; none where all could. It names three
        of them, and how many more there are.
        """
        if not self._unreadable:
            return []
        first = ", ".join(self._unreadable[:_MOST_NAMED])
        more = len(self._unreadable) - _MOST_NAMED
        also = ""
        if more > 0:
            also = f" and {more} more"
        message = f"cannot be read, and is not counted: {first}{also}"
        return [Problem(where="du", message=message, severity="warning", code="unreadable")]

    def tree(self, top: Path) -> Tree:
        """Measure a folder or a file. What this `Measure` has counted before adds nothing.

        A folder that cannot be read is one of the `problems`, and so is `top` where it is not
        there: its tree is then empty.
        """
        tree = Tree(os.fspath(top))
        try:
            status = top.stat()
        except OSError as error:
            self._note(error, tree.top)
            return tree
        if not stat.S_ISDIR(status.st_mode):
            tree.own[tree.top] = self._amount(status)
            return tree
        waiting = [(tree.top, status)]
        while waiting:
            path, status = waiting.pop()
            if (status.st_dev, status.st_ino) in self._seen:
                continue  # a folder below another of the folders that were named
            below = self._folder(tree, path, self._amount(status))
            waiting += reversed(below)
        return tree

    def _folder(self, tree: Tree, path: str, amount: Amount) -> list[tuple[str, os.stat_result]]:
        """Count what lies in a folder directly; the folders in it are returned, by name.

        `amount` is what the folder takes itself, and grows by what each file takes. What the folder
        holds is noted in the tree: state of ours, a sign-off, weights.
        """
        tree.own[path] = amount
        below: list[tuple[str, os.stat_result]] = []
        holds_weights = False
        try:
            with os.scandir(path) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            self._note(error, path)
            return below
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                self._note(error, entry.path)
                continue
            if stat.S_ISDIR(status.st_mode):
                below.append((entry.path, status))
                if entry.name == layout.OURS:
                    tree.places.append(path)
                continue
            amount.add(self._amount(status))
            if entry.name == names.SIGNOFF:
                tree.signoffs.append(path)
            holds_weights = holds_weights or names.is_weights(entry.name)
        if holds_weights:
            tree.weights.append(path)
        return below

    def _amount(self, status: os.stat_result) -> Amount:
        """What an inode takes; nothing where it was counted before.

        Only folders and files with several names can be met twice: others need not be remembered,
        which keeps millions of files out of memory.
        """
        is_folder = stat.S_ISDIR(status.st_mode)
        has_more_names = status.st_nlink > 1
        if is_folder or has_more_names:
            inode = (status.st_dev, status.st_ino)
            if inode in self._seen:
                return Amount()
            self._seen.add(inode)
        held = status.st_blocks * _BLOCK_BYTES
        if is_folder:
            return Amount(bytes=held)
        if has_more_names:
            return Amount(bytes=held, files=1, shared_bytes=held)
        return Amount(bytes=held, files=1)

    def _note(self, error: OSError, path: str) -> None:
        """Remember what could not be read: by the error's own path, else by this one."""
        self._unreadable.append(str(error.filename or path))


def sums(trees: Sequence[Tree], folders: frozenset[str]) -> dict[str, Amount]:
    """Each of these folders → what lies below it at any depth, itself included. Nothing, for a
    folder that lies in none of the trees.

        /exp has 4 KiB, /exp/out 8 KiB → `/exp`: 12 KiB, `/exp/out`: 8 KiB
    """
    found: dict[str, Amount] = {folder: Amount() for folder in folders}
    for tree in trees:
        for path, amount in tree.own.items():
            for above in _upwards(path, tree.top):
                if above in found:
                    found[above].add(amount)
    return found


def _upwards(path: str, top: str) -> Iterator[str]:
    """A path, and the folders that it lies in, up to the top: of `/exp/out/a` below `/exp` that is
    `/exp/out/a`, `/exp/out`, `/exp`.
    """
    while True:
        yield path
        if path == top or len(path) <= len(top):
            return
        path = os.path.dirname(path)  # noqa: PTH120 - of thousands
