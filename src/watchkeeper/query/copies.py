"""A folder that was copied with its state: its journal is that of another experiment, which is
still there.

A folder that was moved, or that is seen by another path (a link, a bind mount, another mount of the
same filesystem), is no copy. Two folders are the same one where the folder and its journal have the
same inode numbers in both places.
"""

from __future__ import annotations

from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.journal import SUFFIX
from watchkeeper.core.state import State

_HEAD_BYTES = 4_096
"""Of a writer's file, its beginning, which is compared: it holds the writer's first event."""


def original_of(folder: Path, state: State) -> Path | None:
    """The experiment of which `folder` is a copy, by the last plan in its journal, whose state this
    is; None where it is none.
    """
    last = state.planned
    if last is None:
        return None
    other = Path(last.folder)
    if not other.is_absolute() or _is_same_folder(folder, other):
        return None
    if _have_the_same_journal(folder / layout.JOURNAL, other / layout.JOURNAL):
        return other
    return None


def refuse(folder: Path, state: State) -> None:
    """A copy is neither run nor changed: its jobs, results and run logs are the other experiment's.
    `state` is its journal's.

    Raises:
        UsageError: the folder is a copy; the hint says what to type.
    """
    other = original_of(folder, state)
    if other is not None:
        raise UsageError(_words(folder, other), hint=_hint(folder, other), code="copied-folder")


def notes(folder: Path, state: State) -> tuple[Problem, ...]:
    """What is to be said of a copy that is only looked at; `state` is its journal's."""
    other = original_of(folder, state)
    if other is None:
        return ()
    return (
        Problem(
            where=str(folder),
            message=_words(folder, other),
            hint=_hint(folder, other),
            severity="warning",
            code="copied-folder",
        ),
    )


def _words(folder: Path, other: Path) -> str:
    """That `folder` is a copy of `other`, and what that means."""
    return (
        f"{folder} is a copy of {other}, made with its state: the jobs and results recorded in "
        f"it are those of {other}"
    )


def _hint(folder: Path, other: Path) -> str:
    """What to type, to continue the original or to make the copy an experiment."""
    return (
        f"to continue that experiment: watchkeeper run {other}; to make this one an experiment of "
        "its own, remove what was "
        f"copied of its state and results: rm -r {folder / layout.OURS}, and the checkpoints and "
        "results beside its scripts"
    )


def _is_same_folder(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder, as through a link or a second mount: by the inodes of
    the folder and of its journal. False where one of them is gone.
    """
    try:
        pairs = [((one / part).stat(), (other / part).stat()) for part in (".", layout.JOURNAL)]
    except OSError:
        return False
    return all(mine.st_ino == theirs.st_ino for mine, theirs in pairs)


def _have_the_same_journal(one: Path, other: Path) -> bool:
    """Whether a writer's file is in both, and begins with the same events."""
    for path in sorted(one.glob(f"*{SUFFIX}")):
        try:
            heads = [_head(path), _head(other / path.name)]
        except OSError:
            continue
        shortest = min(map(len, heads))
        if shortest and heads[0][:shortest] == heads[1][:shortest]:
            return True
    return False


def _head(path: Path) -> bytes:
    """The beginning of a writer's file.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        return file.read(_HEAD_BYTES)
