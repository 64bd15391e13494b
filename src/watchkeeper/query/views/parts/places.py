"""One row for each experiment and for the recorded runs side by side in each folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core.state import State
from watchkeeper.core.text.masks import masked
from watchkeeper.core.words import Note, Words
from watchkeeper.query.catalogue.entry import Extreme
from watchkeeper.query.catalogue.listing import Run
from watchkeeper.query.ranking import joined
from watchkeeper.query.views.counts import counts_of, settled
from watchkeeper.query.views.pages import PlaceRow, RunningRow
from watchkeeper.query.views.parts.needs import MOST_KEYS
from watchkeeper.query.views.parts.site import Site, at_step, counted, standing_of
from watchkeeper.query.views.shared import Best, Need
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS
from watchkeeper.watch.health.judge import ALARMS

BAD = ("failed", "died", "interrupted")
"""The states of recorded runs that need a person."""
_SIGNS = {"failed": "failed", "died": "died"}


def urgency(place: PlaceRow) -> tuple[int, float]:
    """What places are sorted by: those with something failed first, then those under way; of each
    the newest first.
    """
    rank = 2
    if any(place.counts.get(state) for state in (*BAD, "unknown")):
        rank = 0
    elif place.done < place.total:
        rank = 1
    age = 0.0
    if place.last is not None:
        age = -place.last.timestamp()
    return rank, age


# ── experiments


def place_of(site: Site, words: Words, runs: Sequence[Run]) -> PlaceRow:
    """The row of an experiment.

    `runs` are its runs as they are listed, with their figures; `words` are the tags and notes that
    people gave it.
    """
    counts = counts_of(standing_of(row) for row in site.rows)
    return PlaceRow(
        id=site.id,
        name=site.name,
        folder=site.folder,
        kind="experiment",
        what=_what(site),
        counts=counts,
        done=settled(counts),
        total=sum(counts.values()),
        best=_best_result(runs),
        last=_last_event(site.looked.state),
        tags=tuple(words.tags),
        note=_last_note(words.notes),
    )


def _what(site: Site) -> str:
    """What an experiment consists of: `6 runs, 3 tasks, 1 control`. A control, the base model that
    is evaluated and not trained, is not counted among the runs.
    """
    controls: set[str] = set()
    runs: set[str] = set()
    tasks: set[str] = set()
    for item in site.looked.experiment.items:
        runs.add(item.run)
        tasks.add(item.task)
        if item.control:
            controls.add(item.run)
    tasks.discard("")  # that of a training
    kinds = ((len(runs - controls), "run"), (len(tasks), "task"), (len(controls), "control"))
    return ", ".join(counted(count, noun) for count, noun in kinds if count)


def _last_event(state: State) -> datetime | None:
    """When something was last heard of one of its jobs; None before the first submission."""
    times: list[datetime] = []
    for attempt in state.attempts():
        events = filter(None, (attempt.intended, attempt.judged, attempt.assessed))
        times += [event.time for event in events]
    return max(times, default=None)


def _best_result(runs: Sequence[Run]) -> Best | None:
    """The best figure of the first task's first metric; else of a training's loss. None: there is
    no figure, or nobody knows which is better.

    The names of evaluations' figures have a blank, between task and metric.
    """
    results = [name for run in runs for name in run.figures if " " in name]
    if not results:
        return _best_of(runs)
    best = _leader(runs, results[0])
    if best is None or best.step is None:
        return best
    # Of an evaluation, what counts its figures are epochs.
    return msgspec.structs.replace(best, epoch=int(best.step), step=None)


# ── recorded runs


def groups_of(runs: Sequence[Run]) -> list[list[Run]]:
    """The recorded runs, those of one folder together. The runs of experiments, which have a key,
    are left out.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if not run.key:
            groups.setdefault(str(PurePosixPath(run.path).parent), []).append(run)
    return list(groups.values())


def place_of_recorded(runs: Sequence[Run]) -> PlaceRow:
    """The row of recorded runs side by side in one folder (one of `groups_of`), or of the only one
    there.
    """
    counts = counts_of(run.state for run in runs)
    folder = str(PurePosixPath(runs[0].path).parent)
    times: list[datetime] = []
    for run in runs:
        times += [time for time in (run.started, run.ended) if time is not None]
    place = PlaceRow(
        id=runs[0].id.rpartition("/")[0],
        name=_group_name(runs[0], folder),
        folder=folder,
        kind="runs",
        what=counted(len(runs), "recorded run"),
        counts=counts,
        done=settled(counts),
        total=len(runs),
        best=_best_of(runs),
        last=max(times, default=None),
        ids=tuple(run.id for run in runs[:MOST_KEYS]),
    )
    if len(runs) == 1:
        return _alone(place, runs[0])
    return place


def _alone(place: PlaceRow, run: Run) -> PlaceRow:
    """The place of a run that is alone in its folder."""
    what = "recorded run"
    if run.executions > 1:
        what = f"recorded run, {run.executions} attempts"
    return msgspec.structs.replace(
        place,
        id=run.id,
        name=run.label,
        folder=run.path,
        kind="run",
        what=what,
        step=run.step,
        total_steps=run.total,
        attempt=run.executions,
        tags=run.tags,
        note=_last_note(run.notes),
        ids=(),
    )


def _last_note(notes: Sequence[Note]) -> str:
    """The newest note; "" for none."""
    if notes:
        return notes[-1].text
    return ""


def _group_name(run: Run, folder: str) -> str:
    """What the folder of a run is called: by its path below what was listed, else its own name.

    `sweep/lr` of runs in `night/sweep/lr`, where `night` was listed.
    """
    above = str(PurePosixPath(run.below).parent)
    if above == ".":
        return Path(folder).resolve().name
    return above


def needs_of_recorded(runs: Sequence[Run], place: PlaceRow) -> Iterator[Need]:
    """The recorded runs that ended badly, by state and cause; nothing for a group that is well.

    Causes are the same if they differ only in numbers, paths and the like: one need for a hundred
    runs out of memory. `place` is the row of the group.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.state in BAD:
            groups.setdefault((run.state, masked(run.error)), []).append(run)
    for (state, _), bad in groups.items():
        yield _bad_end(state, bad, place)


def heard_of(place: PlaceRow, running: Sequence[RunningRow]) -> PlaceRow:
    """The place with the newest that is known of what runs in it.

    `running` are the rows of its runs under way, whose files were read just now; of a run alone in
    its folder the step is theirs, too.
    """
    times = [row.evidence.at for row in running if row.evidence is not None]
    last = max(filter(None, [*times, place.last]), default=None)
    place = msgspec.structs.replace(place, last=last)
    if place.kind != "run" or not running:
        return place
    progress = running[0].progress
    return msgspec.structs.replace(
        place,
        step=progress.step or place.step,
        total_steps=progress.total or place.total_steps,
    )


def unhealthy_recorded(running: Sequence[RunningRow], place: PlaceRow) -> Iterator[Need]:
    """The recorded runs that stand still while they run, a need for each."""
    for row in running:
        if row.health not in ALARMS:
            continue
        at = None
        if row.evidence is not None:
            at = row.evidence.at
        yield Need(
            kind="unhealthy",
            count=1,
            line=f"1 run {row.health}",
            why=row.why,
            experiment=place.name,
            id=place.id,
            folder=place.folder,
            subject=PurePosixPath(row.key).name,
            keys=[row.key],
            ids=[row.id],
            first=at,
            last=at,
            command=f"watchkeeper status {shlex.quote(place.folder)}",
        )


def _bad_end(state: str, runs: Sequence[Run], place: PlaceRow) -> Need:
    """The need of recorded runs that ended alike. Its cause is what the newest of them met."""
    newest = max(runs, key=_age)
    ends = [run.ended for run in runs if run.ended is not None]
    return Need(
        kind="failed",
        count=len(runs),
        line=f"{counted(len(runs), 'run')} {_verb(state, len(runs))}",
        cause=newest.error,
        why=at_step(newest.step, newest.total),
        experiment=place.name,
        id=place.id,
        folder=place.folder,
        subject=_subject(runs, place),
        keys=[run.path for run in runs[:MOST_KEYS]],
        ids=[run.id for run in runs[:MOST_KEYS]],
        first=min(ends, default=None),
        last=max(ends, default=None),
        command=f"watchkeeper ls {shlex.quote(place.folder)} --state {state}",
    )


def _age(run: Run) -> float:
    """When it was last heard of, in seconds; 0 where nobody knows."""
    time = run.ended or run.started
    if time is None:
        return 0.0
    return time.timestamp()


def _verb(state: str, count: int) -> str:
    """What happened to so many runs: `failed`, `died`, `was interrupted`."""
    if state != "interrupted":
        return state
    if count == 1:
        return "was interrupted"
    return "were interrupted"


def _subject(runs: Sequence[Run], place: PlaceRow) -> str:
    """Whom a need is about: the run's folder, or `3 of 12 runs`."""
    if len(runs) == 1:
        return PurePosixPath(runs[0].path).name
    return f"{len(runs):,} of {place.total:,} runs"


# ── the best


def _best_of(runs: Sequence[Run]) -> Best | None:
    """The best of the validation loss, else of another metric whose better end is known. None:
    there is no such metric.
    """
    ranking = joined(run.ranking for run in runs)
    names: dict[str, None] = {}
    for run in runs:
        names.update(dict.fromkeys(run.figures))
    metric = _deciding([name for name in names if ranking.better(name)])
    if not metric:
        return None
    return _leader(runs, metric)


def _deciding(metrics: Sequence[str]) -> str:
    """The metric by which runs are compared: a validation loss, else one that is no loss, else a
    training loss, which says least of a model; "" for none.
    """
    for name in VAL_LOSS:
        if name in metrics:
            return name
    for name in metrics:
        if name not in TRAIN_LOSS:
            return name
    for name in TRAIN_LOSS:
        if name in metrics:
            return name
    return ""


def _leader(runs: Sequence[Run], metric: str) -> Best | None:
    """The run with the best figure: of those that finished, where one of them has it.

    None: no run has the metric, or nobody knows which end of it is better. Of equal figures the
    first run's counts.
    """
    sign = joined(run.ranking for run in runs).sign(metric)
    known: list[tuple[Run, Extreme]] = []
    finished: list[tuple[Run, Extreme]] = []
    for run in runs:
        best = run.best(metric)
        if best is None:
            continue
        known.append((run, best))
        if run.state == "finished":
            finished.append((run, best))
    among = finished or known
    if not among or not sign:
        return None
    run, best = max(among, key=lambda pair: sign * pair[1].value)
    name = run.key or PurePosixPath(run.path).name
    return Best(metric=metric, value=best.value, run=name, id=run.id, step=best.step)
