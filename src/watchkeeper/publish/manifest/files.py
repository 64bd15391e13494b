"""The files of a checkpoint: which there are, without reading one of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.publish import names
from watchkeeper.publish.checks import Check
from watchkeeper.publish.manifest.safe import UnsafePathError, fault_of, inside
from watchkeeper.tools import file_formats
from watchkeeper.tools.file_formats import FaultError, printable

# What Git, the Hugging Face client and Watchkeeper keep in a checkpoint's root. No program loads a
# model from there, and it differs from one copy to the next.
LEFT_OUT = (".git", ".watchkeeper", ".cache/huggingface")
_INDEX_SUFFIXES = (".safetensors.index.json", ".bin.index.json")
_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class FileRecord(msgspec.Struct, frozen=True):
    """A file as it was hashed: its POSIX path relative to the root, and 64 lower hexadecimal
    digits.
    """

    path: str
    size_bytes: int
    sha256: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a checkpoint and their sizes in bytes, in the order of their paths; links to
    folders inside the root, which are not followed; folders that were left out.
    """

    sizes: dict[str, int]
    links: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of the files."""
        return tuple(self.sizes)

    @property
    def size_bytes(self) -> int:
        """The bytes of all files."""
        return sum(self.sizes.values())


def list_files(root: Path) -> tuple[Listed, list[Check]]:
    """The files below a checkpoint's root, its documents included, and what is wrong with them:
    links that lead out or nowhere, pipes, sockets and devices (never opened), folders that cannot
    be read, names that are not UTF-8, shards that an index names and that are missing, nothing at
    all.

    Links to files are files, if they stay inside; a link into the Hugging Face cache of the same
    model does.

    Raises:
        UsageError: the root is no folder.
    """
    if not root.is_dir():
        raise UsageError(
            f"{root} is no folder",
            hint="a checkpoint is a folder: name the one that holds the weights",
        )
    walk = _Walk(root)
    walk.look_below("")
    listed = Listed(
        sizes=dict(sorted(walk.sizes.items())),
        links=tuple(sorted(walk.links)),
        left_out=tuple(walk.left_out),
    )
    checks = [*walk.checks, *_missing_shards(root, listed)]
    is_empty = all(path in names.ABOUT_THE_MANIFEST for path in listed.files)
    if is_empty and not checks:
        checks.append(failure("empty", "", "the folder holds no file of a checkpoint"))
    return listed, sorted(checks, key=lambda check: check.where)


def failure(name: str, where: str, message: str, hint: str = "") -> Check:
    """A failed check of a checkpoint's bytes."""
    return Check(
        category="provenance",
        name=name,
        status="fail",
        where=printable(where),
        message=message,
        hint=hint,
    )


class _Walk:
    """What was seen below a root so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sizes: dict[str, int] = {}
        self.links: list[str] = []
        self.left_out: list[str] = []
        self.checks: list[Check] = []

    def look_below(self, folder: str) -> None:
        """Look at every entry of a folder, and below it; "" is the root."""
        for entry in self._entries(folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path in LEFT_OUT:
                self.left_out.append(path)
            elif self._is_namable(path):
                self._look_at(entry, path)

    def _is_namable(self, path: str) -> bool:
        """Whether a document can name the path, and every reader finds the same file by it."""
        if printable(path) != path:
            self._fail("name-not-utf8", path, "its name is not UTF-8", "rename it")
            return False
        fault = fault_of(path)
        if fault:
            self._fail("unsafe-path", path, f"its path {fault}", "rename it")
        return not fault

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """The entries of a folder, by name; [] for one that cannot be read, which is a check of its
        own.
        """
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._fail(
                "unreadable",
                folder,
                f"the folder cannot be read: {error.strerror}",
                "check its owner and its mode",
            )
            return []

    def _look_at(self, entry: os.DirEntry[str], path: str) -> None:
        """Take a file, a folder or a link into the list."""
        try:
            if entry.is_symlink():
                self._follow(path)
            elif entry.is_dir():
                self.look_below(path)
            else:
                self._add(path, entry.stat(follow_symlinks=False))
        except OSError as error:
            self._fail("unreadable", path, f"it cannot be looked at: {error.strerror}")

    def _follow(self, path: str) -> None:
        """Take what a link inside the root leads to. A link out of the root, or to nothing, fails;
        one to a folder is named and left out.
        """
        hint = "put the file itself in its place"
        try:
            place = inside(self.root, path)
            status = place.stat()
        except UnsafePathError as error:
            self._fail("link-leads-out", path, str(error), hint)
        except FileNotFoundError:
            self._fail("link-leads-nowhere", path, "the link leads to no file", hint)
        else:
            if stat.S_ISDIR(status.st_mode):
                self.links.append(path)
            else:
                self._add(path, status)

    def _add(self, path: str, status: os.stat_result) -> None:
        """Take a file with its size. A pipe or a device is not opened: it would be waited for."""
        kind = _SPECIAL.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            self.sizes[path] = status.st_size
        else:
            self._fail("special-file", path, f"it is {kind}, and was not opened", "remove it")

    def _fail(self, name: str, where: str, message: str, hint: str = "") -> None:
        self.checks.append(failure(name, where, message, hint))


def _missing_shards(root: Path, listed: Listed) -> Iterator[Check]:
    """What is missing of the shards that indices name."""
    for path in listed.files:
        if not path.endswith(_INDEX_SUFFIXES):
            continue
        try:
            file_formats.check_index(root / path)
        except FaultError as error:
            hint = "wait until the checkpoint is complete, or copy it again"
            yield failure("shards", path, f"the index {error}", hint)
        except OSError as error:
            yield failure("unreadable", path, f"it cannot be read: {error.strerror}")
