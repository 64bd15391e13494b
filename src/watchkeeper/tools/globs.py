"""Where a pattern leads on disk, without hiding what could not be looked at.

`glob` takes a folder that cannot be read for an empty one; here "nothing is there" and "it cannot
be seen" stay apart.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from watchkeeper.core.disk.files import TEMPORARY_PREFIX
from watchkeeper.core.text import lazy

_ESCAPED = lazy.pattern(r"\[([*?[])\]")
_MAGIC = lazy.pattern(r"[*?[]")
_NUMBER = lazy.pattern(r"(\d+)")


def natural(name: str) -> tuple[list[int | str], str]:
    """A sort key that puts `r8` before `r16`; names that differ stay apart: `r8` and `r08`."""
    # split alternates text and digits, so that a position always compares like with like
    key: list[int | str] = []
    for index, part in enumerate(_NUMBER.split(name)):
        key.append(int(part) if index % 2 else part)
    return key, name


def unescaped(pattern: str) -> str:
    """The pattern as a person would write the path: `r[[]8]` is `r[8]`."""
    if "[" not in pattern:
        return pattern
    return _ESCAPED.sub(r"\1", pattern)


def is_path(pattern: str) -> bool:
    """Whether the pattern leads to one place, which it names as it is."""
    return not _MAGIC.search(pattern)


def matches(folder: Path, pattern: str) -> list[Path]:
    """What lies at the pattern's places, in natural order of the names. `*` matches no hidden file.

    A relative pattern begins at `folder`. [] where nothing is there.

    Raises:
        OSError: a folder on the way could not be read; what does not exist is no error.
    """
    if is_path(pattern):
        return list(_literal(folder, pattern))
    places = [Path("/") if pattern.startswith("/") else folder]
    for is_literal, part in _steps(pattern):
        step = _literal if is_literal else _listed
        found: list[Path] = []
        for place in places:
            found += step(place, part)
        places = found
    return places


def _steps(pattern: str) -> list[tuple[bool, str]]:
    """The pattern's parts, each with whether it is a plain name; plain names in a row are one
    part. `a/b/*.pt` → `(True, "a/b")`, `(False, "*.pt")`.
    """
    steps: list[tuple[bool, str]] = []
    for part in pattern.split("/"):
        is_literal = not _MAGIC.search(_ESCAPED.sub("", part))
        name = unescaped(part) if is_literal else part
        if part in ("", "."):
            continue
        if is_literal and steps and steps[-1][0]:
            steps[-1] = (True, f"{steps[-1][1]}/{name}")
        else:
            steps.append((is_literal, name))
    return steps


def _literal(folder: Path, name: str) -> Iterator[Path]:
    """The path itself, if something lies there."""
    path = folder / name
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    yield path


def _listed(folder: Path, pattern: str) -> Iterator[Path]:
    """What of a folder matches one part of a pattern. Files that are still being written, and
    hidden ones where the pattern names none, do not.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    takes_hidden = pattern.startswith(".")
    for name in sorted(fnmatch.filter(names, pattern), key=natural):
        if name.startswith(TEMPORARY_PREFIX):
            continue
        if takes_hidden or not name.startswith("."):
            yield folder / name


def files_below(folder: Path) -> tuple[list[Path], list[tuple[str, os.stat_result]]]:
    """All files below the folder, in order of their relative names; hidden ones and temporaries
    left out, symlinks followed, and a cycle of them walked once. And the folders that were read,
    each with its status before.

    Raises:
        OSError: a folder could not be read.
    """
    files: list[Path] = []
    read: list[tuple[str, os.stat_result]] = []
    seen: set[tuple[int, int]] = set()
    folders = [folder]
    while folders:
        current = folders.pop()
        status = current.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        read.append((str(current), status))
        with os.scandir(current) as entries:
            for entry in entries:
                if not entry.name.startswith("."):  # TEMPORARY_PREFIX among them
                    (folders if entry.is_dir() else files).append(Path(entry.path))
    beginning = len(f"{folder}/")
    return sorted(files, key=lambda path: str(path)[beginning:]), read
