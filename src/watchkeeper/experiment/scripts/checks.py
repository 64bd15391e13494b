"""What can be seen to be no script before anything is submitted."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.experiment import tree
from watchkeeper.experiment.scripts.call import PYTHON

_MOST_BYTES = 4 * 2**20
"""sbatch refuses a larger script."""
_GLOB = frozenset("*?[")


def folder_of(paths: Sequence[Path]) -> Path:
    """The folder in which all of these scripts lie: their experiment. The paths are absolute.

    Raises:
        UsageError: they lie in several folders, one of them is no script, or an experiment plans
            it already.
    """
    for path in paths:
        _check(path)
    folders = sorted({path.parent for path in paths})
    if len(folders) > 1:
        raise UsageError(
            f"{paths[0].name} and others lie in several folders ({folders[0]}, {folders[1]}), and "
            "each folder is an experiment",
            hint="name the scripts of one folder at a time",
        )
    for path in paths:
        _refuse_planned(path)
    return folders[0]


def _check(path: Path) -> None:
    """Refuse what cannot be a script, before anything is written.

    Raises:
        UsageError: it is not there, not a file, empty, too large, or no text for a shell.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        hint = "check the name"
        if _GLOB & set(path.name):
            hint = "the pattern matches no file here"
        raise UsageError(f"there is no script {path}", hint=hint) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(
            f"{path} is a folder, named beside a script",
            hint="name the folder of one experiment, or scripts only",
        )
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path} is no regular file", hint="name a script")
    if status.st_size == 0:
        raise UsageError(f"{path} is empty", hint="write the script first")
    if status.st_size > _MOST_BYTES:
        raise UsageError(
            f"{path} has {status.st_size:,} bytes, more than any scheduler takes",
            hint="name the script that starts the program",
        )
    _check_text(path)


def _check_text(path: Path) -> None:
    """Refuse a script that a shell could not read.

    Raises:
        UsageError: it has a zero byte, or, unless it is Python, Windows line ends.
    """
    try:
        data = files.read_whole(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if b"\0" in data:
        raise UsageError(
            f"{path} is a binary file, not a script",
            hint=f"record a program as it is: watchkeeper exec -- {path}",
        )
    if path.suffix != PYTHON and b"\r\n" in data:
        raise UsageError(
            f"{path} has Windows line ends, which no shell takes",
            hint=f"sed -i 's/\\r$//' {path}",
        )


def _unreadable(path: Path, error: OSError) -> UsageError:
    """The error of a script that cannot be read."""
    return UsageError(
        f"{path} cannot be read: {error.strerror or error}", hint="check its owner and mode"
    )


def _refuse_planned(path: Path) -> None:
    """Refuse a script that the tree of an experiment plans: it would run as two runs."""
    if path.name != tree.FINETUNE:
        return
    above = path.parent.parent
    is_planned = (above / layout.RUNS).is_dir()
    is_planned = is_planned or any((above / name).exists() for name in tree.SUMMARIES)
    if is_planned:
        raise UsageError(
            f"{path} is the script of the run {path.parent.name} of the experiment {above}",
            hint=f"watchkeeper run {above} --runs {path.parent.name}",
        )
