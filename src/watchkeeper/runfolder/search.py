"""Which folders below a path are recorded runs."""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.errors import Problem

_NOT_ENTERED = frozenset({"node_modules", "__pycache__"})


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
        problems.append(Problem(where=where, message=f"cannot be read: {error.strerror}"))

    for root, names, _ in os.walk(path, onerror=note):
        folder = Path(root)
        if layout.OURS in names and _may_be_run(folder):
            folders.append(folder)
        names[:] = sorted(name for name in names if _is_entered(name))
    return folders, problems


def _may_be_run(folder: Path) -> bool:
    if (folder / layout.METRICS).is_dir():
        return True
    return (folder / layout.JOURNAL).is_dir() and not (folder / layout.RUNS).is_dir()


def _is_entered(name: str) -> bool:
    return not name.startswith(".") and name not in _NOT_ENTERED
