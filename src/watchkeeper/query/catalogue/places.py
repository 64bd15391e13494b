"""What lies below a folder: experiments and recorded runs, and by which files each is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.errors import Problem
from watchkeeper.experiment.summary_names import SUMMARY_YAML, SUMMARY_YML
from watchkeeper.runfolder.search import Listed, walk

_MOST_NAMED = 3  # folders that cannot be read
_SUMMARIES = frozenset({SUMMARY_YAML, SUMMARY_YML})
_SUFFIX = ".jsonl"
_PARTS = (str(layout.JOURNAL), str(layout.METRICS))

FileIdentity = tuple[str, int, int, int, int]
"""Of a file: its name, inode, size, and the times of its last change and of its inode's, in ns."""
Identity = tuple[FileIdentity, ...]


class Place(NamedTuple):
    """A folder in which something was recorded. `below` is its path below the walk's top, "" for
    that itself. `identity` is that of its journal, its rows and its summary: while it is the same,
    so is what they say.
    """

    path: str
    below: str
    is_experiment: bool
    identity: Identity

    @property
    def has_rows(self) -> bool:
        """Whether metric rows were recorded in it."""
        return any(name.startswith(f"{layout.METRICS}/") for name, *_ in self.identity)


class Places(msgspec.Struct):
    """The places below a folder, a folder before those in it, and what could not be read.
    `looked_into`: how many folders.
    """

    found: list[Place] = []
    looked_into: int = 0
    problems: list[Problem] = []


def places_below(top: str) -> Places:
    """Walk a folder once."""
    places = Places()
    unreadable: list[str] = []

    def note(error: OSError) -> None:
        """Remember which folder could not be read."""
        unreadable.append(str(error.filename))

    for listed in walk(top, note):
        places.looked_into += 1
        place = _place(listed, top, note)
        if place is not None:
            places.found.append(place)
    if unreadable:
        places.problems.append(_cannot_be_read(unreadable))
    return places


def place_at(folder: str) -> Place | None:
    """The place that a folder itself is; None where nothing was recorded in it, or it cannot be
    read.
    """

    def ignore(error: OSError) -> None:
        """What cannot be read of it is not there."""

    listed = next(walk(folder, ignore), None)
    if listed is None:
        return None
    return _place(listed, folder, ignore)


def _cannot_be_read(folders: list[str]) -> Problem:
    """One problem for all of them."""
    named = ", ".join(folders[:_MOST_NAMED])
    if len(folders) > _MOST_NAMED:
        named += f" and {len(folders) - _MOST_NAMED} more"
    return Problem(
        where=named,
        message="cannot be read: what is in there is not listed",
        hint="ask the owner for permission, or name other folders",
        severity="warning",
        code="unreadable",
    )


def _place(listed: Listed, top: str, note: Callable[[OSError], None]) -> Place | None:
    """The place that a folder is; None where nothing was recorded in it. `note` takes the error of
    what cannot be read of it.
    """
    has_summary = not _SUMMARIES.isdisjoint(listed.files)
    if layout.OURS not in listed.folders and not has_summary:
        return None
    files: list[FileIdentity] = []
    for part in _PARTS:
        _add_files(f"{listed.path}/{part}", part, files, note)
    is_experiment = has_summary or os.path.isdir(f"{listed.path}/{layout.RUNS}")  # noqa: PTH112
    if is_experiment:
        files += _summaries(listed)
    if not files:
        return None
    below = listed.path[len(top) :].lstrip("/")
    return Place(listed.path, below, is_experiment, tuple(sorted(files)))


def _add_files(
    folder: str, part: str, files: list[FileIdentity], note: Callable[[OSError], None]
) -> None:
    """Add the identity of each file of ours in a part of a place;
    none where there is no such part.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX):
                    files.append(_identity(f"{part}/{entry.name}", entry.stat()))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        note(error)


def _summaries(listed: Listed) -> Iterator[FileIdentity]:
    """The identities of the summaries in a folder, without those that are just being replaced."""
    for name in sorted(_SUMMARIES.intersection(listed.files)):
        try:
            yield _identity(name, os.stat(os.path.join(listed.path, name)))  # noqa: PTH116
        except OSError:
            continue


def _identity(name: str, status: os.stat_result) -> FileIdentity:
    """What changes whenever a file is written to or replaced. Its name is from the place's folder:
    `.watchkeeper/journal/a1b2.jsonl`.
    """
    return (name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
