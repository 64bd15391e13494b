"""An experiment's page: everything that one look at its journal and its files finds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from watchkeeper.core import criteria, journal, layout
from watchkeeper.core.errors import Problem
from watchkeeper.core.journal import Journal
from watchkeeper.core.settings import load
from watchkeeper.core.state import State, fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.experiment import Experiment as Planned
from watchkeeper.launch.plan import Selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query.ranking import Rankings
from watchkeeper.query.status import Examined, examine, page_notes_of
from watchkeeper.query.views.counts import counts_of
from watchkeeper.query.views.opening import read_source
from watchkeeper.query.views.pages import Experiment
from watchkeeper.query.views.parts.actions import log_of
from watchkeeper.query.views.parts.bars import job_bars, slots_of
from watchkeeper.query.views.parts.facts import (
    began_and_ended,
    decision_rows,
    evidence_of,
    valid_files,
)
from watchkeeper.query.views.parts.matrix import (
    array_task_rows,
    best_of,
    metric_columns,
    run_rows,
    task_columns,
    work_rows,
)
from watchkeeper.query.views.parts.needs import needs_of
from watchkeeper.query.views.parts.running import MOST as MOST_RUNNING
from watchkeeper.query.views.parts.running import running_rows
from watchkeeper.query.views.parts.site import Site, standing_of
from watchkeeper.query.views.parts.watcher import watcher_of


def experiment(folder: Path, name: str = "", shown: str = "") -> Experiment:
    """Look at the experiment in `folder` once. `name` is its id in addresses, "" outside a page;
    `shown`: the folder as commands should name it, "": as it was given.

    Raises:
        ExperimentError: the folder cannot be read as one.
        NewerJournalError: a later version wrote its journal.
    """
    planned = experiments.read(folder)
    read = journal.read(planned.folder / layout.JOURNAL)
    site = site_of(planned, read, fold(read.events), name, shown or str(folder))
    return page_of(site)


def file(folder: Path, source: str) -> bytes:
    """A file that the experiment's page names as evidence; of a long one its end.

    Raises:
        UsageError: its page names no such file.
        ExperimentError, NewerJournalError: as for the page.
        OSError: it cannot be read.
    """
    return read_source(experiment(folder).evidence, source, [folder])


def site_of(planned: Planned, read: Journal, state: State, name: str, folder: str) -> Site:
    """Examine an experiment whose journal has been read. `name` is its id, `folder` as a command
    takes it.
    """
    settings = load(planned.folder, acts=False)
    selection = Selection(gate=settings.gate, rules=Rules.of(settings))
    return site_seen(examine(planned, selection, state), read, name, folder)


def site_seen(
    looked: Examined,
    read: Journal,
    name: str,
    folder: str,
    notes: Sequence[Problem] | None = None,
) -> Site:
    """The same of an experiment that has been examined. `notes`: those of its page, where they are
    known; None: the page looks for them.
    """
    return Site(
        name=looked.experiment.name,
        id=name,
        folder=folder,
        looked=looked,
        read=read,
        ranking=Rankings().of(looked.experiment.folder),
        now=datetime.now(UTC),
        notes=notes,
    )


def page_of(site: Site) -> Experiment:
    """The page of an experiment that has been examined."""
    planned, state = site.looked.experiment, site.looked.state
    picture = picture_of(site)
    jobs = job_bars(site)
    log, actions = log_of(planned.folder, site.read, state.zone)
    began, ended = began_and_ended(site)
    return msgspec.structs.replace(
        picture,
        best=best_of(site, picture.rows),
        valid=valid_files(site),
        started=began,
        ended=ended,
        jobs=jobs,
        slots=slots_of(jobs, site.now),
        decisions=decision_rows(site),
        evidence=evidence_of(site),
        log=log,
        actions=actions,
        problems=[*planned.problems, *site.read.problems, *_notes(site)],
        expected=criteria.standings(site.read.events),
    )


def picture_of(site: Site) -> Experiment:
    """What of the page a terminal shows: counts, what needs a person, the table, what runs, and who
    watches. Its other fields are empty: of thousands of jobs they take a fifth of the time.
    """
    planned = site.looked.experiment
    watcher = watcher_of(planned.folder, site.read)
    settings, runs = run_rows(site)
    running = running_rows(site)
    rows = work_rows(site, running)
    return Experiment(
        id=site.id,
        name=site.name,
        folder=site.folder,
        question=planned.question,
        counts=counts_of(standing_of(row) for row in site.rows),
        needs=needs_of(site, watcher, running),
        best=[],
        valid=None,
        started=None,
        ended=None,
        settings=settings,
        tasks=task_columns(site),
        metrics=metric_columns(site, rows),
        runs=runs,
        rows=rows,
        jobs=[],
        slots=0,
        decisions=[],
        running=running[:MOST_RUNNING],
        evidence=[],
        log=[],
        actions=0,
        watcher=watcher,
        array_tasks=array_task_rows(site),
        zone=site.looked.state.zone,
    )


def page_of_chosen(site: Site, keys: Collection[str]) -> Experiment:
    """The page of a part of its work, by key: counts, needs and tables are those of this part.

    Keys that the experiment does not have are passed over. Runs and tasks without any of this work
    have no line and no column.
    """
    part = _part_of(site, keys)
    return _without_others(page_of(part), part)


def picture_of_chosen(site: Site, keys: Collection[str]) -> Experiment:
    """What a terminal shows (`picture_of`) of a part of its work, as in `page_of_chosen`."""
    part = _part_of(site, keys)
    return _without_others(picture_of(part), part)


def _part_of(site: Site, keys: Collection[str]) -> Site:
    """The site with the work of these keys alone."""
    return site.of_rows([row for row in site.looked.rows if row.key in keys])


def _without_others(page: Experiment, part: Site) -> Experiment:
    """The page without the runs and tasks that have no work in this part."""
    runs: set[str] = set()
    tasks: set[str] = set()
    for row in part.rows:
        runs.add(row.run)
        tasks.add(row.task)
    return msgspec.structs.replace(
        page,
        runs=[run for run in page.runs if run.name in runs],
        tasks=[task for task in page.tasks if task.name in tasks],
    )


def _notes(site: Site) -> Sequence[Problem]:
    """What there is to note on the experiment's page: what the look found, else looked for now."""
    if site.notes is not None:
        return site.notes
    return page_notes_of(site.looked)
