"""Recorded runs and the runs of experiments below folders, as one list."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.words import Note
from watchkeeper.query.catalogue.entry import Entry, Extreme, Figure, Real
from watchkeeper.query.catalogue.index import Index
from watchkeeper.query.catalogue.places import Place, Places, places_below
from watchkeeper.query.catalogue.roots import Root, roots_of, run_id
from watchkeeper.query.ranking import BY_NAME, Ranking, Rankings
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS

if TYPE_CHECKING:
    from watchkeeper.query.catalogue.jobs import Jobs


class Run(msgspec.Struct, kw_only=True):
    """One run, as it is listed. `path` is its folder, as a command takes it from where one is; of
    an experiment's run that is the experiment's, and `key` names the run ("": a recorded run).
    `id` names it in an address (query/catalogue/roots.py). `name` is its own name, "" for none.
    `state` is that of `wk.load`, and of a job also waiting, cancelled, lost or unknown. Times are
    in UTC, None where not known; `inherited` are the tags of its experiment as a whole; `ranking`
    says which figures are the better ones where it lies; the rest is as in `Entry`.
    """

    path: str
    below: str
    id: str = ""
    key: str = ""
    name: str = ""
    state: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    user: str = ""
    pipeline: str = ""
    error: str = ""
    rows: int = 0
    step: Real | None = None
    total: int | None = None
    executions: int = 1
    config: dict[str, str] = {}
    figures: dict[str, Figure] = {}
    spark_metric: str = ""
    spark: tuple[Real, ...] = ()
    tags: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    attempt: str = ""
    inherited: tuple[str, ...] = ()
    ranking: Ranking = BY_NAME

    def best(self, metric: str) -> Extreme | None:
        """The best value of a metric; None where it has none, or nobody knows which end is the
        better one.
        """
        figure = self.figures.get(metric)
        if figure is None:
            return None
        return figure.best(self.ranking.better(metric))

    @property
    def label(self) -> str:
        """What names it in a table: its path below what was listed, and its key."""
        return f"{self.below} {self.key}".strip()


class Listing(msgspec.Struct):
    """What lies below some folders: recorded runs, and experiments with their runs. `experiments`:
    each one's folder, as a command takes it → what it is; `ids`: that folder → the experiment's id.
    `looked_into`: how many folders; `places`: in how many of them something was recorded, of which
    `read` have been read.
    """

    runs: list[Run] = []
    experiments: dict[str, Jobs] = {}
    ids: dict[str, str] = {}
    problems: list[Problem] = []
    looked_into: int = 0
    places: int = 0
    read: int = 0


_FEW_FIGURES = 32
OnRead = Callable[[Listing], None]
"""Is called with what has been read so far. What the recorder of a job left is a run by itself."""


def _ignore(listing: Listing) -> None:
    """What has been read so far is of no use."""


def list_runs(
    paths: Sequence[Path],
    on_read: OnRead = _ignore,
    patience: float = 0.0,
    *,
    is_brief: bool = False,
) -> Listing:
    """The recorded runs, and the runs of experiments, at and below these folders. What was read
    before and has not changed is taken from the index in the user's cache folder. `on_read` is
    called after each place. `patience`: what was read of a run that runs may be so many times older
    than reading it took; 0: it is read again whenever it has grown. `is_brief`: of the figures of
    recorded runs only losses are wanted, and the first few others whose better end is known.

    Raises:
        UsageError: a path is no folder.
    """
    listing = Listing()
    rankings = Rankings()
    tops = []
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"{path} is no folder", hint="name the folder of a run, or one above")
        real = os.path.realpath(path)
        tops.append(_Top(path=path, real=real, places=places_below(real)))
    roots = roots_of(paths)
    listing.places = sum(len(top.places.found) for top in tops)
    seen: set[str] = set()
    for top in tops:
        reader = _Reader(listing, roots, top, Index(top.real, patience))
        reader.is_alone = len(paths) == 1
        reader.is_brief = is_brief
        reader.rankings = rankings
        reader.read(seen, on_read)
    listing.runs = with_recorders(listing.runs)
    listing.problems += rankings.problems
    return listing


class _Top(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that was asked for: as it was typed, as it really is, and what lies below it."""

    path: Path
    real: str
    places: Places


class _Reader:
    """Reads what lies below one folder into a listing."""

    def __init__(self, listing: Listing, roots: Sequence[Root], top: _Top, index: Index) -> None:
        self._listing = listing
        self._roots = roots
        self._top = top
        self._index = index
        self.is_alone = True
        """Whether no other folder was named."""
        self.is_brief = False
        self.rankings = Rankings()

    def read(self, seen: set[str], on_read: OnRead) -> None:
        """Read all of it; `seen` are the folders that are listed already."""
        places = self._top.places
        self._listing.problems += places.problems
        self._listing.looked_into += places.looked_into
        for place in places.found:
            if place.path not in seen:
                seen.add(place.path)
                self._add(place)
            self._listing.read += 1
            on_read(self._listing)
        self._index.save()

    def _add(self, place: Place) -> None:
        """Add an experiment with its runs, a recorded run, or both."""
        typed = _typed(self._top.path, place.below)
        below = typed
        if self.is_alone:
            below = place.below or Path(self._top.real).name
        name = _id_of(place.path, self._roots)
        ranking = self.rankings.of_real(place.path)
        if place.is_experiment:
            for job in _jobs_of(place, typed, below, name, self._listing):
                job.ranking = ranking
                self._listing.runs.append(job)
        entry = _entry(place, self._index, self._listing.problems)
        if entry is not None:
            run = _run(entry, typed, below)
            if self.is_brief:
                run.figures = _first_figures(entry.figures, ranking)
            run.id, run.ranking = name, ranking
            self._listing.runs.append(run)


def _first_figures(figures: dict[str, Figure], ranking: Ranking) -> dict[str, Figure]:
    """The losses, and the first others whose better end is known: of up to 32 figures all; of more
    each loss, and others until 32 are kept.
    """
    if len(figures) <= _FEW_FIGURES:
        return figures
    kept: dict[str, Figure] = {}
    for name, figure in figures.items():
        is_loss = name in TRAIN_LOSS or name in VAL_LOSS
        if is_loss or (len(kept) < _FEW_FIGURES and ranking.better(name)):
            kept[name] = figure
    return kept


def _id_of(path: str, roots: Sequence[Root]) -> str:
    """The id of a place: by the root that it is, or lies in. "": it lies in none."""
    for root in roots:
        if path == root.real:
            return root.id_of("")
        if path.startswith(f"{root.real.rstrip('/')}/"):
            return root.id_of(path[len(root.real.rstrip("/")) + 1 :])
    return ""


def _jobs_of(place: Place, typed: str, below: str, name: str, listing: Listing) -> Iterator[Run]:
    """The runs of an experiment, which is added to the listing."""
    from watchkeeper.query.catalogue.jobs import read_jobs  # not where there is no experiment

    jobs = read_jobs(Path(place.path), listing.problems)
    if jobs is None:
        return
    listing.experiments[typed] = jobs
    listing.ids[typed] = name
    for job in jobs.jobs:
        run = _run(job.entry, typed, below)
        run.id = run_id(name, job.key)
        run.key, run.state, run.attempt = job.key, job.state, job.attempt
        run.inherited = tuple(jobs.words.tags)
        yield run


def with_recorders(runs: Sequence[Run]) -> list[Run]:
    """The runs, where what the recorder of a job left belongs to the job's own line.

        a job `r8`, and the recorded run out/r8 that its attempt left → the job, with rows and curve

    Both name the folder of the attempt. A recorded run without its job in the list stays.
    """
    attempts = {run.attempt for run in runs if run.key and run.attempt}
    recorded: dict[str, list[Run]] = {}
    kept = []
    for run in runs:
        if run.key or run.attempt not in attempts:
            kept.append(run)
        else:
            recorded.setdefault(run.attempt, []).append(run)
    return [reduce(_with_recorded, recorded.get(run.attempt, ()), run) for run in kept]


def _with_recorded(job: Run, recorded: Run) -> Run:
    """A job's line with what its recorder knows: figures step by step, and the program's words."""
    return msgspec.structs.replace(
        job,
        figures={**job.figures, **recorded.figures},
        config=job.config or recorded.config,
        spark_metric=recorded.spark_metric,
        spark=recorded.spark,
        rows=recorded.rows,
        step=recorded.step,
        total=recorded.total,
        executions=recorded.executions,
        name=recorded.name,
        pipeline=recorded.pipeline,
        tags=tuple(sorted({*job.tags, *recorded.tags})),
        notes=tuple(sorted([*job.notes, *recorded.notes], key=lambda note: note.time)),
    )


def _typed(path: Path, below: str) -> str:
    """The folder as the user would type it: of `r8` below `night` that is `night/r8`, below `.` it
    is `r8`.
    """
    if not below:
        return str(path)
    if str(path) == ".":
        return below
    return f"{path}/{below}"


def _entry(place: Place, index: Index, problems: list[Problem]) -> Entry | None:
    """What a place's files say of its recorded run; None where there is none. What is wrong with
    them is added to `problems`, and such a run is read anew each time.
    """
    if place.is_experiment and not place.has_rows:
        return None
    known = index.get(place)
    if known is not None:
        return known.entry
    from watchkeeper.query.catalogue.reader import read_entry  # not where nothing has changed

    began = time.monotonic()
    entry, faults = read_entry(Path(place.path))
    problems += faults
    if not faults:
        index.put(place, entry, time.monotonic() - began)
    return entry


def _run(entry: Entry, path: str, below: str) -> Run:
    """An entry as it is listed: `path` as a command takes it, `below` as a table shows it. The
    attempt's folder is without links, since a job and its recorder may name it in two ways.
    """
    attempt = ""
    if entry.attempt:
        attempt = os.path.realpath(entry.attempt)
    return Run(
        path=path,
        below=below,
        name=entry.name,
        state=entry.state,
        started=entry.started,
        ended=entry.ended,
        user=entry.user,
        pipeline=entry.pipeline,
        error=entry.error,
        rows=entry.rows,
        step=entry.step,
        total=entry.total,
        executions=entry.executions,
        config=entry.config,
        figures=entry.figures,
        spark_metric=entry.spark_metric,
        spark=entry.spark,
        tags=entry.tags,
        notes=entry.notes,
        attempt=attempt,
    )


def varying(runs: Sequence[Run]) -> list[str]:
    """The settings that are not the same in all runs, those of most runs first. A setting that only
    some of the runs have is not the same; runs without any configuration do not count.
    """
    counts: dict[str, int] = {}
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.config.items():
            counts[key] = counts.get(key, 0) + 1
            values.setdefault(key, set()).add(value)
    configured = sum(bool(run.config) for run in runs)
    differing = [key for key in counts if len(values[key]) > 1 or counts[key] < configured]
    return sorted(differing, key=lambda key: -counts[key])


def metrics_of(runs: Sequence[Run]) -> list[str]:
    """The metrics, losses first, then those of most runs."""
    counts: dict[str, int] = {}
    for run in runs:
        for metric in run.figures:
            counts[metric] = counts.get(metric, 0) + 1
    losses = [name for name in (*TRAIN_LOSS, *VAL_LOSS) if name in counts]
    others = [name for name in counts if name not in losses]
    return [*losses, *sorted(others, key=lambda name: -counts[name])]


def newest_first(runs: Sequence[Run]) -> list[Run]:
    """The runs, by their last start; one whose journal names no start comes last."""
    begun = [run for run in runs if run.started is not None]
    rest = [run for run in runs if run.started is None]
    return [*sorted(begun, key=_start, reverse=True), *rest]


def _start(run: Run) -> datetime:
    """When a run began that has begun."""
    assert run.started is not None
    return run.started


def names_in(run: Run) -> Iterator[str]:
    """Every name that a condition may use of a run."""
    yield from run.config
    yield from run.figures
