"""What needs a person, what runs and waits, and where everything stands below folders."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from watchkeeper.core.errors import Problem, WatchkeeperError
from watchkeeper.core.journal import local_zone
from watchkeeper.query import copies
from watchkeeper.query.catalogue.jobs import Jobs
from watchkeeper.query.catalogue.listing import Listing, Run, list_runs, with_recorders
from watchkeeper.query.views.counts import worst_first as in_order
from watchkeeper.query.views.experiment import site_of
from watchkeeper.query.views.pages import (
    More,
    Overview,
    PlaceRow,
    Reading,
    RunningRow,
    WaitingRow,
)
from watchkeeper.query.views.parts.needs import damage, needs_of, worst_first
from watchkeeper.query.views.parts.places import (
    groups_of,
    heard_of,
    needs_of_recorded,
    place_of,
    place_of_recorded,
    unhealthy_recorded,
    urgency,
)
from watchkeeper.query.views.parts.running import MOST as MOST_RUNNING
from watchkeeper.query.views.parts.running import row_of_recorded, running_rows
from watchkeeper.query.views.parts.site import Site
from watchkeeper.query.views.parts.waiting import waiting_rows
from watchkeeper.query.views.parts.watcher import watcher_of
from watchkeeper.query.views.shared import Need

MOST_NEEDS = 20
MOST_PLACES = 200
MOST_WAITING = 20
PATIENCE = 20.0
"""Reading what grows takes a twentieth of a core."""
PAUSE_S = 1.0
"""Between two overviews of what has been read so far; up to five times as long where making them
would take more than a tenth of the time.
"""
_SHARE = 10.0
_MOST_PAUSES = 5.0

OnPart = Callable[[Overview], None]
"""Is called with the overview of what has been read so far."""


def overview(
    paths: Sequence[Path],
    on_part: OnPart | None = None,
    patience: float = PATIENCE,
    pause_s: float = PAUSE_S,
) -> Overview:
    """Look at everything below these folders once. While that takes, `on_part` gets the overview of
    what has been read, every `pause_s` seconds, or more rarely (`PAUSE_S`); 0: after each
    journal. `patience` is as in `list_runs`: how far a run is is read in each look, its
    figures over all rows now and then.

    Raises:
        UsageError: a path is no folder.
    """
    parts = _Parts(paths, on_part, pause_s)
    return parts.overview_of(list_runs(paths, parts.note, patience, is_brief=True))


def overview_of(listing: Listing, paths: Sequence[Path]) -> Overview:
    """The overview of what has been listed."""
    return _Parts(paths).overview_of(listing)


class _Parts:
    """Makes overviews of what has been read: each experiment is looked at once for all of them."""

    def __init__(
        self, paths: Sequence[Path], on_part: OnPart | None = None, pause_s: float = 0.0
    ) -> None:
        self._paths = paths
        self._on_part = on_part
        self._pause_s = pause_s
        self._next = time.monotonic() + pause_s
        self._sites: dict[str, Site] = {}

    def note(self, listing: Listing) -> None:
        """Give the overview of a listing that grows, if the last one is old enough."""
        began = time.monotonic()
        if self._on_part is None or began < self._next or listing.read == listing.places:
            return
        runs = with_recorders(listing.runs)
        self._on_part(self.overview_of(msgspec.structs.replace(listing, runs=runs)))
        ended = time.monotonic()
        slowness = _SHARE * (ended - began)
        self._next = ended + self._pause_s * min(_MOST_PAUSES, max(1.0, slowness))

    def overview_of(self, listing: Listing) -> Overview:
        """The overview of what has been listed.

        An experiment that cannot be read becomes a problem, and hides no other.
        """
        part = _Part(problems=list(listing.problems))
        for folder in listing.experiments:
            runs = [run for run in listing.runs if run.path == folder and run.key]
            try:
                site = self._site_of(folder, listing)
                _add_experiment(part, site, listing.experiments[folder], runs)
            except WatchkeeperError as error:
                part.problems.append(
                    Problem(where=folder, message=str(error), hint=error.hint, code="unreadable")
                )
        recorded = [run for run in listing.runs if not run.key]
        _add_recorded(part, recorded)
        _add_damage(part, listing.problems)
        return _cut(part, listing, self._paths, recorded)

    def _site_of(self, folder: str, listing: Listing) -> Site:
        """An experiment, examined."""
        if folder not in self._sites:
            jobs = listing.experiments[folder]
            name = listing.ids[folder]
            site = site_of(jobs.experiment, jobs.read, jobs.state, name, folder)
            self._sites[folder] = site
        return self._sites[folder]


class _Part(msgspec.Struct):
    """What was found so far, to be put in order and cut."""

    needs: list[Need] = []
    running: list[RunningRow] = []
    waiting: list[WaitingRow] = []
    places: list[PlaceRow] = []
    problems: list[Problem] = []
    more_running: int = 0


def _add_experiment(parts: _Part, site: Site, jobs: Jobs, runs: Sequence[Run]) -> None:
    """Add an experiment: its row, what needs a person, what runs and what waits."""
    watcher = watcher_of(jobs.experiment.folder, jobs.read)
    running = running_rows(site)
    parts.places.append(heard_of(place_of(site, jobs.words, runs), running))
    parts.needs += needs_of(site, watcher, running)
    parts.running += running
    parts.waiting += waiting_rows(site)
    parts.problems += copies.notes(jobs.experiment.folder, jobs.state)


def _add_recorded(parts: _Part, runs: Sequence[Run]) -> None:
    """Add the recorded runs by their folders. Of the first 30 that run the files are read."""
    now = datetime.now(UTC)
    under_way = [run for run in runs if run.state == "running"]
    parts.more_running += max(0, len(under_way) - MOST_RUNNING)
    rows = {run.id: row_of_recorded(run, now) for run in under_way[:MOST_RUNNING]}
    parts.running += rows.values()
    for group in groups_of(runs):
        running = [rows[run.id] for run in group if run.id in rows]
        place = heard_of(place_of_recorded(group), running)
        parts.places.append(place)
        parts.needs += needs_of_recorded(group, place)
        parts.needs += unhealthy_recorded(running, place)


def _add_damage(parts: _Part, problems: Sequence[Problem]) -> None:
    """One need for all files that could not be read and lie in no experiment.

    Those of an experiment have a separate need already, whose keys are the files.
    """
    named: set[str] = set()
    for need in parts.needs:
        if need.kind == "damaged":
            named.update(need.keys)
    others = [problem for problem in problems if problem.where not in named]
    if others:
        parts.needs.append(damage(others))


def _cut(
    parts: _Part, listing: Listing, paths: Sequence[Path], recorded: Sequence[Run]
) -> Overview:
    """The overview, the worst of everything first, and how much of it is left out."""
    counts: Counter[str] = Counter()
    for place in parts.places:
        counts.update(place.counts)
    more = More(
        needs=max(0, len(parts.needs) - MOST_NEEDS),
        running=max(0, len(parts.running) - MOST_RUNNING) + parts.more_running,
        waiting=max(0, len(parts.waiting) - MOST_WAITING),
        places=max(0, len(parts.places) - MOST_PLACES),
    )
    return Overview(
        name=", ".join(path.resolve().name for path in paths),
        counts=in_order(counts),
        needs=worst_first(parts.needs)[:MOST_NEEDS],
        running=parts.running[:MOST_RUNNING],
        waiting=parts.waiting[:MOST_WAITING],
        places=sorted(parts.places, key=urgency)[:MOST_PLACES],
        reading=Reading(done=listing.read, total=listing.places),
        more=more,
        experiments=len(listing.experiments),
        recorded=len(recorded),
        looked_into=listing.looked_into,
        zone=local_zone(),
        problems=parts.problems,
    )
