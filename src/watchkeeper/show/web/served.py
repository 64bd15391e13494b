"""What is served: the places below the roots, by their ids, and whether their files have changed.

One look at the files serves all clients. A look is one `stat` for each file that was there, and for
the folders in which another one may appear: each second for the places that have lately changed,
less often for all of them. The folders are walked again where one of them has changed, and now and
then anyway. Looks and walks together take about one percent of a core, whatever lies there. Nothing
here reads a file.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core import layout
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.query.catalogue.places import Place, places_below
from watchkeeper.query.catalogue.roots import Root, roots_of

LEAST_LOOK_S = 1.0
LEAST_WALK_S = 1.0
MOST_WALK_S = 120.0
_LEAST_PAUSE_S = 5.0
"""Between two walks without cause, and two looks at everything."""
_SHARE = 200
"""A look or a walk without cause comes after this many times what the last one of its kind took."""
_WALKS_SHARE = 10
"""The same for a walk that has a cause."""
_LATELY_NS = 15 * 60 * 10**9
_PARTS = (str(layout.JOURNAL), str(layout.METRICS))

Stat = tuple[int, int, int]


def _short(path: Path) -> Path:
    """A folder in or below the one that this program was started in, by its path from there."""
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return path.relative_to(Path.cwd())
    return path


class Located(NamedTuple):
    """A place or a run that an id names. `key` is "" for a recorded run or an experiment itself."""

    id: str
    folder: Path
    key: str
    is_experiment: bool


class _Known(NamedTuple):
    """A place with its id and its folder as it was typed."""

    id: str
    typed: Path
    place: Place


class Served:
    """The places below some folders. Its methods may be called from several threads."""

    def __init__(self, paths: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        """Reads nothing yet. `clock` gives seconds.

        Raises:
            UsageError: a path is no folder.
        """
        for path in paths:
            if not path.is_dir():
                raise UsageError(f"{path} is no folder", hint="name a folder with runs in it")
        self.roots: list[Root] = roots_of(list(map(_short, paths)))
        self.problems: list[Problem] = []
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._stats: dict[str, Stat | None] = {}
        self._folders: dict[str, Stat | None] = {}
        self._versions: dict[str, int] = {}
        self._changes = 0
        self._looked = -math.inf
        self._walked = -math.inf
        self._looked_at_all = -math.inf
        self._look_cost_s = 0.0
        self._look_at_all_cost_s = 0.0
        self._walk_cost_s = 0.0
        self._recent: list[_Known] = []
        self._above: set[str] = set()

    @property
    def paths(self) -> list[Path]:
        """The roots' folders, as a person types them where the server was started."""
        return [root.path for root in self.roots]

    @property
    def count(self) -> int:
        """How many places there are."""
        return len(self._known)

    def look(self) -> None:
        """Look at the files again, unless that was just done."""
        with self._lock:
            now = self._clock()
            if now - self._walked > min(MOST_WALK_S, _pause_s(self._walk_cost_s)):
                self._walk(now)
            elif now - self._looked_at_all > _pause_s(self._look_at_all_cost_s):
                self._look_at_all(now)
            elif now - self._looked >= max(LEAST_LOOK_S, _SHARE * self._look_cost_s):
                self._look_cost_s = self._look(self._recent, now)

    def version(self, id: str) -> str:
        """A text that changes with the files of what lies at or below an id; "" is everything."""
        with self._lock:
            if not id:
                return str(self._changes)
            inner = f"{id}/"
            versions = [
                f"{name}:{version}"
                for name, version in self._versions.items()
                if name == id or name.startswith(inner)
            ]
        return hashlib.blake2b("\0".join(versions).encode(), digest_size=8).hexdigest()

    def experiment(self, id: str) -> Located:
        """The experiment of this id.

        Raises:
            UsageError: there is none.
        """
        known = self._known.get(id) or self._after_a_walk(id)
        if known is None or not known.place.is_experiment:
            raise UsageError(f"there is no experiment {id!r}", code="not-found")
        return Located(id, known.typed, "", is_experiment=True)

    def run(self, id: str) -> Located:
        """The recorded run, or the run of an experiment, of this id. Whether the experiment has a
        run of this key, only its reader can say.

        Raises:
            UsageError: there is no such place, and no experiment above it.
        """
        located = self._run(id)
        if located is None:
            self._after_a_walk(id)
            located = self._run(id)
        if located is None:
            raise UsageError(f"there is no run {id!r}", code="not-found")
        return located

    def _run(self, id: str) -> Located | None:
        known = self._known.get(id)
        if known is not None and (known.place.has_rows or not known.place.is_experiment):
            return Located(id, known.typed, "", is_experiment=False)
        above = id
        while "/" in above:
            above = above.rpartition("/")[0]
            known = self._known.get(above)
            if known is not None and known.place.is_experiment:
                return Located(id, known.typed, id[len(above) + 1 :], is_experiment=False)
        return None

    def _after_a_walk(self, id: str) -> _Known | None:
        """What has the id when the folders are walked again: it may be new."""
        with self._lock:
            now = self._clock()
            if now - self._walked > max(LEAST_WALK_S, _WALKS_SHARE * self._walk_cost_s):
                self._walk(now)
            return self._known.get(id)

    def _walk(self, now: float) -> None:
        """Find the places anew."""
        began = time.thread_time()
        started_ns = time.time_ns()
        known: dict[str, _Known] = {}
        problems: list[Problem] = []
        for root in self.roots:
            places = places_below(root.real)
            problems += places.problems
            for place in places.found:
                id = root.id_of(place.below)
                known[id] = _Known(id, root.path / place.below, place)
        for id in self._known.keys() - known.keys():
            self._changed(id)
            del self._versions[id]
        for id, one in known.items():
            before = self._known.get(id)
            if before is None or before.place.identity != one.place.identity:
                self._changed(id)
        self._known = known
        self.problems = problems
        self._remember_stats(started_ns)
        self._choose_recent()
        self._walk_cost_s = time.thread_time() - began
        self._walked = self._looked = self._looked_at_all = now

    def _remember_stats(self, started_ns: int) -> None:
        """What the looks until the next walk are compared with. A folder that changed since the
        walk began may hold what the walk did not see: it counts as changed.
        """
        self._above = {root.real for root in self.roots}
        self._stats = {}
        for known in self._known.values():
            place = known.place
            self._above.add(os.path.dirname(place.path))  # noqa: PTH120 - of thousands
            for name, inode, size, modified, _ in place.identity:
                self._stats[f"{place.path}/{name}"] = (inode, size, modified)
        self._folders = {}
        for folder in self._folders_of(self._known.values()):
            status = _stat(folder)
            is_settled = status is None or status[2] < started_ns
            self._folders[folder] = status if is_settled else (0, 0, 0)

    def _folders_of(self, places: Iterable[_Known]) -> Iterator[str]:
        """The folders in which files of these places, or other places, may appear."""
        yield from self._above
        for known in places:
            for part in _PARTS:
                yield f"{known.place.path}/{part}"

    def _choose_recent(self) -> None:
        """Remember which places have lately changed."""
        since = time.time_ns() - _LATELY_NS
        self._recent = [known for known in self._known.values() if self._newest(known) >= since]

    def _newest(self, known: _Known) -> int:
        """When the newest of a place's files was changed, in ns since 1970."""
        paths = (f"{known.place.path}/{name}" for name, *_ in known.place.identity)
        return max((stat[2] for path in paths if (stat := self._stats.get(path))), default=0)

    def _look_at_all(self, now: float) -> None:
        self._look_at_all_cost_s = self._look(self._known.values(), now)
        self._looked_at_all = now
        self._choose_recent()

    def _look(self, places: Iterable[_Known], now: float) -> float:
        """One `stat` for each file and folder of some places; a walk where a folder has changed.
        Returns what it took of a processor, in seconds, without the walk.
        """
        began = time.thread_time()
        for known in places:
            if self._has_changed(known.place):
                self._changed(known.id)
        is_new = any(
            folder in self._folders and _stat(folder) != self._folders[folder]
            for folder in self._folders_of(places)
        )
        cost_s = time.thread_time() - began
        self._looked = now
        if is_new and now - self._walked > max(LEAST_WALK_S, _WALKS_SHARE * self._walk_cost_s):
            self._walk(now)
        return cost_s

    def _has_changed(self, place: Place) -> bool:
        has_changed = False
        for name, *_ in place.identity:
            path = f"{place.path}/{name}"
            status = _stat(path)
            if status != self._stats.get(path):
                self._stats[path] = status
                has_changed = True
        return has_changed

    def _changed(self, id: str) -> None:
        self._changes += 1
        self._versions[id] = self._changes


def _pause_s(cost_s: float) -> float:
    return max(_LEAST_PAUSE_S, _SHARE * cost_s)


def _stat(path: str) -> Stat | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - of thousands
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)
