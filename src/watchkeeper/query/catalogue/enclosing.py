"""The run or experiment that a folder lies in, for whoever stands in a folder within it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.errors import Problem
from watchkeeper.experiment import tree
from watchkeeper.experiment.summary_names import SUMMARY_MD
from watchkeeper.runfolder.search import may_be_run


def enclosing_place(folder: Path) -> Path | None:
    """The nearest folder above that is an experiment or a recorded run; None where there is none,
    or where the folder has something of its own to say.
    """
    return _nearest(folder, _is_place)


def enclosing_experiment(folder: Path) -> Path | None:
    """The nearest folder above that is an experiment; None as in `enclosing_place`."""
    return _nearest(folder, _is_experiment)


def run_named(path: Path) -> tuple[Path, str] | None:
    """The experiment's folder and the key that a path would name in it: `EXPERIMENT/KEY`, or from
    within the experiment's folder the KEY alone. None: the path lies in no experiment.

    Whether the experiment has such a run is for the caller to see; the path need not exist.

        /exp/r8/clean/epoch0 → (/exp, "r8/clean/epoch0")
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps its name
    for above in whole.parents:
        if _is_experiment(above):
            return above, whole.relative_to(above).as_posix()
    return None


def taken_note(folder: Path, taken: Path) -> Problem:
    """That another folder was taken than the one that was named, for people who look at the wrong
    one.
    """
    message = f"nothing was recorded in it; taken is {taken}, in which it lies"
    return Problem(where=str(folder), message=message, severity="note", code="taken-above")


def _nearest(folder: Path, is_meant: Callable[[Path], bool]) -> Path | None:
    """The nearest folder above, links followed, that is meant. None: none is, the folder is not
    there, or it has something of its own to say.
    """
    if not folder.is_dir() or _says_something(folder):
        return None
    for above in folder.resolve().parents:
        if is_meant(above):
            return above
    return None


def _says_something(folder: Path) -> bool:
    """Whether the folder has state of ours, a summary, or folders that look like runs."""
    has_state = (folder / layout.OURS).is_dir()
    if has_state or _is_experiment(folder):
        return True
    return bool(tree.run_folders(folder))


def _is_place(folder: Path) -> bool:
    """Whether a folder is an experiment, or may be a recorded run's."""
    return _is_experiment(folder) or may_be_run(folder)


def _is_experiment(folder: Path) -> bool:
    """Whether it is one by its summary or its jobs. Folders that look like runs are not enough: any
    folder above may have an `eval` somewhere in it.
    """
    return tree.is_experiment(folder) or (folder / SUMMARY_MD).is_file()
