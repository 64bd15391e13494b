"""What happened lately, for a screen that follows it: events of the places that are active, read on
from where the last look ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.errors import NewerJournalError
from watchkeeper.core.events import (
    Advanced,
    AnyEvent,
    Assessed,
    Checkpoint,
    Detached,
    Judged,
    Noted,
    RunEnded,
    RunStarted,
    Stalled,
    Unknown,
    Vanished,
)
from watchkeeper.core.journal import Journal
from watchkeeper.core.layout import attempt_folder
from watchkeeper.query.views.pages import Overview, PlaceRow, RunningRow
from watchkeeper.query.views.run_page.files import checkpoint_fault
from watchkeeper.runfolder.link import read_link

_MOST_PLACES = 30
_MOST_RUNS = 10  # of one folder of recorded runs
_KEPT = 200
_KINDS = (
    Advanced,
    Assessed,
    Checkpoint,
    Detached,
    Judged,
    Noted,
    RunEnded,
    RunStarted,
    Stalled,
    Vanished,
)


class Happened(msgspec.Struct, frozen=True):
    """An event, and the name of the place or the run whose journal has it. Of a checkpoint, whether
    it lies there whole (None: that is not known, or it is none).
    """

    name: str
    event: AnyEvent
    is_whole: bool | None = None


class Recent:
    """The newest events of the places of an overview. Journals are kept and read on."""

    def __init__(self) -> None:
        self._journals: dict[Path, Journal] = {}
        self._happened: list[Happened] = []

    def look(self, overview: Overview) -> list[Happened]:
        """Read what is new; returns the newest 200 events, oldest first.

        A journal that is met for the first time is read from its begin. One whose place is no
        longer active is not read on, and what it had stays until newer events push it out.
        """
        for name, folder in _folders(overview):
            if folder not in self._journals:
                self._journals[folder] = Journal(folder / layout.JOURNAL, is_evidence=True)
            self._happened += self._new(name, folder)
        self._happened.sort(key=_time)
        del self._happened[:-_KEPT]
        return self._happened

    def _new(self, name: str, folder: Path) -> Iterator[Happened]:
        """The events that the journal of a folder has got since the last look, if they are news.
        `name` is that of the place or the run, which each carries.
        """
        try:
            added = self._journals[folder].refresh()
        except (OSError, NewerJournalError):
            return  # the overview says what is wrong there
        for events in added.values():
            for event in filter(_is_news, events):
                is_whole = None
                if isinstance(event, Checkpoint):
                    is_whole, _ = checkpoint_fault(folder / event.path, event)
                yield Happened(name, event, is_whole)  # type: ignore[arg-type]


def _time(happened: Happened) -> float:
    """When it happened, in seconds."""
    return happened.event.time.timestamp()


def _is_news(event: AnyEvent | Unknown) -> bool:
    """Whether a person wants to hear of it. How a job is, is news when an alarm begins or ends."""
    if isinstance(event, Assessed):
        return bool(event.alarm)
    return isinstance(event, _KINDS)


def _folders(overview: Overview) -> Iterator[tuple[str, Path]]:
    """Name and folder of the active places, of the runs in them, and of what records the running
    jobs. Of many places the thirty in which something happened last.

        ("night", /data/night)                  an experiment
        ("trials/r8", /data/trials/r8)          a run in a folder of recorded runs
        ("night/r8", /data/night/out/r8)        where the job of `r8` records
    """
    active = sorted(overview.places, key=_age)[:_MOST_PLACES]
    for place in active:
        if place.kind == "runs":
            yield from _runs_of(place)
        else:
            yield place.name, Path(place.folder)
    folders = {place.name: Path(place.folder) for place in active if place.kind == "experiment"}
    for row in overview.running:
        if row.experiment in folders:
            yield from _recorder_of(row, folders[row.experiment])


def _age(place: PlaceRow) -> float:
    """A number by which the place in which something happened last comes first."""
    if place.last is None:
        return 0.0
    return -place.last.timestamp()


def _runs_of(place: PlaceRow) -> Iterator[tuple[str, Path]]:
    """The ten runs of a folder that changed last, the latest first; none where the folder cannot be
    read, or a run in it is just being moved.
    """
    try:
        with os.scandir(place.folder) as entries:
            runs = [Path(entry.path) for entry in entries]
        journals = [run for run in runs if (run / layout.JOURNAL).is_dir()]
        journals.sort(key=_changed, reverse=True)
    except OSError:
        return
    for run in journals[:_MOST_RUNS]:
        yield f"{place.name}/{run.name}", run


def _changed(run: Path) -> float:
    """When a writer came to its journal last, in seconds since 1970: a new file in the folder of
    the journal changes the folder's time, and a new line does not.

    Raises:
        OSError: the journal is gone.
    """
    return (run / layout.JOURNAL).stat().st_mtime


def _recorder_of(row: RunningRow, folder: Path) -> Iterator[tuple[str, Path]]:
    """The folder in which a running job records, if it does: its attempt has a link to it. `folder`
    is that of the experiment.
    """
    recorder = read_link(attempt_folder(folder, row.key, row.attempt))
    if recorder is not None:
        yield f"{row.experiment}/{row.key}", recorder


def newest(happened: Sequence[Happened], most: int) -> Sequence[Happened]:
    """The last of them, at most `most`; () for 0 or less, as of a screen without a line left."""
    if most <= 0:
        return ()
    return happened[-most:]
