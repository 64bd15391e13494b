"""Which folders below a path are recorded runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core import layout
from watchkeeper.core.errors import Problem

_NOT_ENTERED = frozenset({"node_modules", "__pycache__"})


class Listed(NamedTuple):
    """One folder with what is in it: `folders` are the names of folders and of links to folders."""

    path: str
    folders: list[str]
    files: list[str]


def run_folders(path: Path) -> tuple[list[Path], list[Problem]]:
    """The folders at and below `path` that a recorder may have written to, sorted; and a problem
    for each folder that cannot be read.

    Hidden folders and symbolic links are not entered. A folder of an experiment is among them only
    if rows were recorded in it.
    """
    folders: list[Path] = []
    problems: list[Problem] = []

    def note(error: OSError) -> None:
        where = str(error.filename or path)
        problems.append(
            Problem(where=where, message=f"cannot be read: {error.strerror}", code="unreadable")
        )

    for listed in walk(path, note):
        if layout.OURS in listed.folders and may_be_run(listed.path):
            folders.append(Path(listed.path))
    return folders, problems


def walk(top: str | os.PathLike[str], note: Callable[[OSError], None]) -> Iterator[Listed]:
    """`top` and each folder below it, a folder before those in it, and these by name; `note` takes
    the error of each that cannot be read. Hidden folders and symbolic links are not entered.
    """
    waiting = [os.fspath(top)]
    while waiting:
        path = waiting.pop()
        folders: list[str] = []
        files: list[str] = []
        entered: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if not _is_folder(entry):
                        files.append(entry.name)
                        continue
                    folders.append(entry.name)
                    if _is_entered(entry):
                        entered.append(entry.path)
        except OSError as error:
            note(error)
            continue
        yield Listed(path, folders, files)
        waiting += sorted(entered, reverse=True)


def may_be_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder with state of ours may be a recorded run's."""
    if os.path.isdir(os.path.join(folder, layout.METRICS)):  # noqa: PTH112 - of thousands
        return True
    return Path(folder, layout.JOURNAL).is_dir() and not Path(folder, layout.RUNS).is_dir()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link that cannot be followed leads to none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_entered(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in _NOT_ENTERED:
        return False
    return entry.is_dir(follow_symlinks=False)
