"""Where a run puts the files that people read: under their own names, and beside them where the
program has taken those.

Nothing that Watchkeeper did not write is replaced. A name is taken only while it is free, or while
a file lies there that the folder's journal explains; a link or a folder is never written through.
See `runfolder.places` for the names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import RunStarted
from watchkeeper.core.events.choose import Events, of_kind
from watchkeeper.core.journal import SUFFIX, Journal
from watchkeeper.runfolder import places

HEAD_BYTES = 65_536  # of a log, in which its first line ends
OPENING = "Run started: "  # what the first line of a run's log says

IsOurs = Callable[[Path], bool]
Announce = Callable[[str, str, str], None]


class Homes:
    """The files of one run's folder. `told` is called with the name of a file, the path that it has
    instead, and why.
    """

    def __init__(self, folder: Path, announce: Announce = lambda name, path, reason: None) -> None:
        self.folder = folder
        self._announce = announce
        self._journal = Journal(folder / layout.JOURNAL, is_evidence=True)
        self._paths: dict[str, str] = {}  # by this process, since it began

    def events(self) -> Events:
        """All that the folder's journal says so far."""
        self._journal.refresh()
        return self._journal.events

    def put(self, name: str, data: bytes, is_ours: IsOurs) -> Path:
        """Write a file of ours whole, and return where it is. `is_ours` says whether a regular file
        under a name may be replaced.

        Raises:
            StorageError: it could not be written.
        """
        before = self.home(name)
        for place in self._tries(before, name):
            files.make_folder(place.parent)
            if places.is_free(place) and files.put_new(place, data):
                return self._settled(name, before, place)
            if places.is_plain(place) and is_ours(place):
                files.replace(place, data, durable=False)
                return self._settled(name, before, place)
        raise StorageError(
            f"could not write {self.folder / name}: other files have all its names",
            hint="remove some of them",
        )

    def choose(self, name: str, may_take: IsOurs) -> Path:
        """The first name of a file that is free or that `may_take` allows; nothing is written.

        Raises:
            StorageError: there is none.
        """
        before = self.home(name)
        for place in self._tries(before, name):
            if places.is_free(place) or (places.is_plain(place) and may_take(place)):
                return self._settled(name, before, place)
        raise StorageError(
            f"could not write {self.folder / name}: other files have all its names",
            hint="remove some of them",
        )

    def choose_log(self, name: str, writer: str, left: Collection[Path]) -> Path:
        """Where a run's log lies: a name that is free, or a log of an earlier run in this folder.
        `writer` is this process; `left` are logs that the program has begun to write to.

        Raises:
            StorageError: there is no name for it.
        """
        runs = {run for own, run in self.runs() if own != writer}
        return self.choose(name, lambda path: path not in left and _is_log(path, runs))

    def runs(self) -> list[tuple[str, str]]:
        """The writers and ids of the runs that were recorded in this folder."""
        started = of_kind(self.events(), RunStarted)
        return [(event.writer, event.run_id) for event in started]

    def home(self, name: str) -> Path:
        """Where this file was put last, by this process or an earlier one."""
        if name not in self._paths and self._has_others():
            self._paths[name] = places.home(self.events(), name)
        known = self._paths.get(name)
        if known is not None:
            return self.folder / known
        return places.below(self.folder, name)

    def _tries(self, first: Path, name: str) -> Iterator[Path]:
        """The places that are tried for a file, in order: the one where it was before, then its
        usual name, then names beside it.
        """
        yield first
        yield from (
            place for place in places.names(places.below(self.folder, name)) if place != first
        )

    def settle(self, name: str, place: Path) -> None:
        """Say where a file lies that was named elsewhere."""
        self._settled(name, self.home(name), place)

    def _settled(self, name: str, before: Path, place: Path) -> Path:
        """Tell of a name other than the one that readers would look under."""
        shown = self.shown(place)
        expected = self.folder / self._paths.get(name, name)
        self._paths[name] = shown
        if place != expected:
            self._announce(name, shown, _reason(before, place))
        return place

    def shown(self, path: Path) -> str:
        """The path as the journal has it."""
        if path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        return str(path)

    def _has_others(self) -> bool:
        """Whether the journal holds another writer's file beside the one of this process."""
        try:
            return (
                sum(name.endswith(SUFFIX) for name in os.listdir(self.folder / layout.JOURNAL)) > 1
            )
        except OSError:
            return False


def _is_log(path: Path, runs: Collection[str]) -> bool:
    """Whether this is the log of one of these runs, by its first line."""
    try:
        with files.open_regular(path) as file:
            line = file.readline(HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return False
    return bool(runs) and (OPENING in line or any(run in line for run in runs))


def _reason(before: Path, place: Path) -> str:
    """Why a file lies under another name than its usual one."""
    if place == before:
        return (
            f"the folder is {before.parent.name}, since "
            f"{before.parent.name.partition(places.MARK)[0]} is none"
        )
    what = "file"
    if before.is_symlink():
        what = "symbolic link"
    elif before.is_dir():
        what = "folder"
    return f"Watchkeeper did not write the {what} named {before.name}, and leaves it as it is"
