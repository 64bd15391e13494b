"""The run that a page is about: a recorded run, or a job of an experiment with what it recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import Problem, UsageError, WatchkeeperError
from watchkeeper.core.events import AnyEvent, Judged, RunItem, RunStarted, SchedulerFacts, Unknown
from watchkeeper.core.events.choose import all_of
from watchkeeper.core.journal import Journal
from watchkeeper.core.state import Attempt, RunState, State, fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.query.series.executions import Recorded
from watchkeeper.runfolder.link import read_link
from watchkeeper.runfolder.rows import files_of


class RecordedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder in which a run was recorded. `attempt` is the attempt of the job that did, None of a
    recorded run. `counts` False: a later attempt did the work again from its beginning.
    """

    folder: Path
    read: Journal
    attempt: int | None = None
    counts: bool = True

    @property
    def recorded(self) -> Recorded:
        """The same, as curves need it."""
        return Recorded(
            folder=self.folder, events=self.read.events, number=self.attempt, counts=self.counts
        )

    @property
    def events(self) -> list[AnyEvent | Unknown]:
        """All events, by time."""
        return sorted(all_of(self.read.events), key=lambda event: event.time)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work of an experiment, with all of its attempts."""

    experiment: Experiment
    state: State
    item: RunItem
    run: RunState

    def folder_of(self, attempt: int) -> Path:
        """What is kept of an attempt."""
        return layout.attempt_folder(self.experiment.folder, self.item.key, attempt)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is about. `folders` are those of its attempts, the oldest first; `job` is None of
    a recorded run; `read` is the journal that decides about it.
    """

    folder: Path
    key: str
    folders: list[RecordedFolder]
    job: Job | None
    read: Journal
    problems: list[Problem] = []

    @property
    def latest(self) -> Attempt | None:
        """The newest attempt of the job; None: there is none, or it is a recorded run."""
        if self.job is None:
            return None
        return self.job.run.latest

    @property
    def facts(self) -> SchedulerFacts | None:
        """What the scheduler last said of the newest attempt's job; None: nothing, or it is a
        recorded run.
        """
        if self.latest is None:
            return None
        return self.latest.facts

    @property
    def judged(self) -> Judged | None:
        """The verdict on the newest attempt; None: there is none yet."""
        if self.latest is None:
            return None
        return self.latest.judged

    @property
    def newest(self) -> RecordedFolder | None:
        """The folder of the newest attempt, if that recorded anything; None: it did not, whatever
        earlier attempts recorded.
        """
        if not self.folders:
            return None
        last = self.folders[-1]
        if self.latest is not None and last.attempt != self.latest.number:
            return None
        return last

    @property
    def newest_events(self) -> list[AnyEvent | Unknown]:
        """What the newest attempt recorded, by time; [] where it recorded nothing."""
        if self.newest is None:
            return []
        return self.newest.events

    @property
    def recorded(self) -> list[Recorded]:
        """Its folders, as curves need them."""
        return [one.recorded for one in self.folders]

    @property
    def zone(self) -> str:
        """The IANA zone in which its times are shown: that of its journal's first event."""
        opened = [event for event in all_of(self.read.events) if hasattr(event, "zone")]
        first = min(opened, key=lambda event: event.time, default=None)
        return getattr(first, "zone", "") or "UTC"


def subject_of(folder: Path, key: str, within: Sequence[str] = ()) -> Subject:
    """Read the journals of a recorded run (`key` ""), or of a run or an evaluation of an
    experiment. What the job's recorder left elsewhere than `within` these folders, given without
    links, is not read; (): it may lie anywhere.

    Raises:
        UsageError: nothing was recorded there, or the experiment has no such run.
        NewerJournalError: a later version wrote the journal.
        ExperimentError: the experiment cannot be read.
    """
    if not key:
        return _recorded_run(folder)
    experiment = experiments.read(folder)
    read = journal.read(experiment.folder / layout.JOURNAL)
    state = fold(read.events)
    item = next((one for one in experiment.items if one.key == key), None)
    if item is None:
        known = ", ".join(one.key for one in experiment.items[:8])
        raise UsageError(
            f"{key!r} is no run of {experiment.name}", hint=f"its runs are {known or 'none'}"
        )
    job = Job(experiment=experiment, state=state, item=item, run=state.run(key))
    problems = list(read.problems)
    return Subject(
        folder=experiment.folder,
        key=key,
        folders=list(_folders_of(job, within, problems)),
        job=job,
        read=read,
        problems=problems,
    )


def _recorded_run(folder: Path) -> Subject:
    """The subject of a recorded run's page: its own folder is its only one.

    Raises:
        UsageError: nothing was recorded there.
        NewerJournalError: a later version wrote the journal.
    """
    read = journal.read(folder / layout.JOURNAL)
    starts = [event for event in all_of(read.events) if isinstance(event, RunStarted)]
    if not starts and not files_of(folder):
        raise UsageError(
            f"no run was recorded in {folder}",
            hint="a run's folder has .watchkeeper/metrics; `watchkeeper ls` lists those there are",
        )
    recorded = RecordedFolder(folder=folder, read=read)
    return Subject(
        folder=folder, key="", folders=[recorded], job=None, read=read, problems=[*read.problems]
    )


def _folders_of(
    job: Job, within: Sequence[str], problems: list[Problem]
) -> Iterator[RecordedFolder]:
    """The folders in which the attempts were recorded. Attempts before one that resumed nothing do
    not count any more. A folder that several attempts wrote to is given once, under the last.
    """
    first = first_that_counts(job.run)
    places: dict[Path, int] = {}
    for number in sorted(job.run.attempts):
        place = read_link(job.folder_of(number))
        if place is not None:
            places.pop(place, None)
            places[place] = number
    for place, number in places.items():
        if within and not _lies_within(place, within):
            problems.append(_outside(place))
            continue
        try:
            read = journal.read(place / layout.JOURNAL)
        except WatchkeeperError as error:
            problems.append(
                Problem(where=str(place), message=str(error), hint=error.hint, code="unreadable")
            )
            continue
        problems += read.problems
        yield RecordedFolder(folder=place, read=read, attempt=number, counts=number >= first)


def _lies_within(place: Path, folders: Sequence[str]) -> bool:
    """Whether a folder, links resolved, is one of these or lies below one."""
    real = os.path.realpath(place)
    return any(os.path.commonpath([real, folder]) == folder for folder in folders)


def _outside(place: Path) -> Problem:
    """That a job recorded where a page may not look."""
    return Problem(
        where=str(place),
        message="the job recorded in this folder, which lies outside of what is shown",
        hint="name that folder as well",
        severity="warning",
        code="outside",
    )


def first_that_counts(run: RunState) -> int:
    """The attempt with which the work began that the newest one continues."""
    for number in sorted(run.attempts, reverse=True):
        intended = run.attempts[number].intended
        if intended is None or not intended.resume_from:
            return number
    return 1
