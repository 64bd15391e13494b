"""What needs a person, and where everything stands: the experiments and groups of recorded runs
below folders.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core.errors import Problem, WatchkeeperError
from watchkeeper.core.settings import load
from watchkeeper.core.state import Attempt, State
from watchkeeper.core.words import Note
from watchkeeper.launch.plan import Selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query import copies
from watchkeeper.query.catalogue.jobs import Jobs
from watchkeeper.query.catalogue.listing import Listing, Run
from watchkeeper.query.catalogue.needs import Best, Need, Overview, PlaceRow
from watchkeeper.query.ranking import joined
from watchkeeper.query.rows import Row
from watchkeeper.query.status import Standing, look
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS
from watchkeeper.watch.health.judge import ALARMS

MOST_KEYS = 50
"""Of one need."""
BAD = ("failed", "died", "interrupted")
"""The states of recorded runs that need a person."""
_SETTLED = frozenset({"done", "not needed", "finished"})
_STATES = {"to do": "waiting"}
_LAST_LINE = "last line: "
_MASKED = re.compile(r"0x[0-9a-f]+|/[^\s'\",:]+|\d+", re.IGNORECASE)


class _Part(msgspec.Struct, frozen=True):
    place: PlaceRow
    needs: list[Need]


def overview(listing: Listing) -> Overview:
    """Look at each experiment once, and put recorded runs of one folder together."""
    problems: list[Problem] = []
    parts: list[_Part] = []
    for folder, jobs in listing.experiments.items():
        runs = [run for run in listing.runs if run.path == folder and run.key]
        try:
            parts.append(_of_experiment(folder, jobs, runs))
            problems += copies.notes(jobs.experiment.folder, jobs.state)
        except WatchkeeperError as error:
            problems.append(Problem(where=folder, message=str(error), hint=error.hint))
    groups: dict[str, list[Run]] = {}
    for run in listing.runs:
        if not run.key:
            groups.setdefault(str(PurePosixPath(run.path).parent), []).append(run)
    parts += [_of_recorded(runs) for runs in groups.values()]
    needs = [need for part in parts for need in part.needs]
    needs.sort(key=lambda need: _KINDS.index(need.kind))
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.place.counts)
    places = [part.place for part in parts]
    places.sort(key=_urgency)
    return Overview(needs=needs, places=places, counts=dict(counts), problems=problems)


_KINDS = ("failed", "unhealthy", "unknown", "late", "unwatched")


def _urgency(place: PlaceRow) -> tuple[int, float]:
    """Places with something failed first, then those under way; of each the newest first."""
    rank = 2
    if any(place.counts.get(state) for state in (*BAD, "unknown")):
        rank = 0
    elif any(state not in _SETTLED for state in place.counts):
        rank = 1
    age = 0.0
    if place.last is not None:
        age = -place.last.timestamp()
    return rank, age


# ── experiments


def _of_experiment(folder: str, jobs: Jobs, runs: Sequence[Run]) -> _Part:
    settings = load(jobs.experiment.folder, acts=False)
    standing = look(jobs.experiment, Selection(gate=settings.gate, rules=Rules.of(settings)))
    # An array is one piece of work: its tasks are part of its row.
    rows = [row for row in standing.rows if row.array_task is None]
    counts = Counter(_STATES.get(row.standing, row.standing) for row in rows)
    name = jobs.experiment.name
    place = PlaceRow(
        name=name,
        folder=folder,
        kind="experiment",
        counts=dict(counts),
        done=sum(counts[state] for state in _SETTLED),
        total=len(rows),
        best=_best_result(runs),
        last=_last_event(jobs.state),
        tags=tuple(jobs.words.tags),
        note=_last_note(jobs.words.notes),
    )
    needs = [
        *_failures(rows, jobs.state, name, folder),
        *_alarms(rows, name, folder),
        *_unknown(rows, name, folder),
        *_late(jobs.state, name, folder),
        *_unwatched(standing, counts, name, folder),
    ]
    return _Part(place, needs)


def _failures(rows: Sequence[Row], state: State, name: str, folder: str) -> Iterator[Need]:
    """What failed, by phase and cause, with what waits for it."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.standing == "failed":
            cause = _masked(_cause_of(row, state))
            groups.setdefault((row.phase, cause), []).append(row)
    blocked = sum(row.standing == "blocked" for row in rows)
    for (phase, _), failed in groups.items():
        cause = _cause_of(failed[-1], state)
        if phase == "preparation" and blocked:
            cause += f"; {blocked} blocked"
        what = "training"
        if phase == "evaluation":
            what = "evaluation"
        ends = [_ended(state.run(row.key).latest) for row in failed]
        yield Need(
            kind="failed",
            count=len(failed),
            line=f"{_counted(len(failed), what)} failed",
            cause=cause,
            place=name,
            folder=folder,
            keys=[row.key for row in failed[:MOST_KEYS]],
            last=max((end for end in ends if end is not None), default=None),
            command=f"watchkeeper run {folder} --retry-failed",
        )


def _cause_of(row: Row, state: State) -> str:
    """Why a job failed, in one clause: the last line of its errors, else the first reason of its
    verdict.
    """
    latest = state.run(row.key).latest
    why = row.why
    if latest is not None and latest.judged is not None:
        why = latest.judged.why
    _, found, line = why.partition(_LAST_LINE)
    if found:
        return line.partition("; nothing at ")[0]
    return why.partition("; ")[0] or row.state


def _counted(count: int, what: str) -> str:
    if count == 1:
        return f"1 {what}"
    return f"{count} {what}s"


def _masked(text: str) -> str:
    """A cause without what differs from job to job: numbers, addresses, paths."""
    lines = text.strip().splitlines() or [""]
    return _MASKED.sub("#", lines[-1])


def _ended(attempt: Attempt | None) -> datetime | None:
    if attempt is None or attempt.judged is None:
        return None
    return attempt.judged.time


def _alarms(rows: Sequence[Row], name: str, folder: str) -> Iterator[Need]:
    for row in rows:
        if row.health in ALARMS:
            yield Need(
                kind="unhealthy",
                count=1,
                line=f"{row.key} is {row.health}",
                cause=row.health_why,
                place=name,
                folder=folder,
                keys=[row.key],
                command=f"watchkeeper status {folder}",
            )


def _unknown(rows: Sequence[Row], name: str, folder: str) -> Iterator[Need]:
    unknown = [row for row in rows if row.standing == "unknown"]
    if unknown:
        yield Need(
            kind="unknown",
            count=len(unknown),
            line=f"{_counted(len(unknown), 'job')}: state unknown",
            cause=unknown[-1].why,
            place=name,
            folder=folder,
            keys=[row.key for row in unknown[:MOST_KEYS]],
            command=f"watchkeeper status {folder}",
        )


def _late(state: State, name: str, folder: str) -> Iterator[Need]:
    """The jobs whose last step will not come before their time limit."""
    late = [
        attempt
        for attempt in state.active
        if attempt.assessed is not None and attempt.assessed.fits is False
    ]
    if late:
        assert late[-1].assessed is not None
        yield Need(
            kind="late",
            count=len(late),
            line=f"{len(late)} will not end in time",
            cause=late[-1].assessed.note or late[-1].assessed.why,
            place=name,
            folder=folder,
            keys=[attempt.key for attempt in late[:MOST_KEYS]],
            last=late[-1].assessed.time,
            command=f"watchkeeper status {folder}",
        )


def _unwatched(standing: Standing, counts: Counter[str], name: str, folder: str) -> Iterator[Need]:
    """That jobs run or wait, and nobody watches them."""
    if not standing.active or not standing.watcher.startswith("Nobody watches"):
        return
    waiting = counts["waiting"]
    cause = f"{_counted(standing.active, 'job')} under way"
    if waiting:
        cause += f", {waiting} not submitted"
    cause += f": watchkeeper run {folder}"
    yield Need(
        kind="unwatched",
        count=standing.active,
        line="nobody watches",
        cause=cause,
        place=name,
        folder=folder,
        keys=[],
        command=f"watchkeeper run {folder}",
    )


def _last_event(state: State) -> datetime | None:
    """When something was last heard of one of its jobs."""
    times = [
        event.time
        for run in state.runs.values()
        for attempt in run.attempts.values()
        for event in (attempt.intended, attempt.judged, attempt.assessed)
        if event is not None
    ]
    return max(times, default=None)


def _best_result(runs: Sequence[Run]) -> Best | None:
    """The best figure of the first task's first metric; else of a training's loss."""
    results = [name for run in runs for name in run.figures if " " in name]
    if not results:
        return _best_of(runs)
    return _leader(runs, results[0])


# ── recorded runs


def _of_recorded(runs: Sequence[Run]) -> _Part:
    counts = Counter(run.state for run in runs)
    folder = str(PurePosixPath(runs[0].path).parent)
    name = _group_name(runs[0], folder)
    times = [time for run in runs for time in (run.started, run.ended) if time is not None]
    place = PlaceRow(
        name=name,
        folder=folder,
        kind="runs",
        counts=dict(counts),
        done=counts["finished"],
        total=len(runs),
        best=_best_of(runs),
        last=max(times, default=None),
    )
    if len(runs) == 1:
        place = _alone(place, runs[0])
        name, folder = place.name, place.folder
    return _Part(place, list(_bad_runs(runs, name, folder)))


def _alone(place: PlaceRow, run: Run) -> PlaceRow:
    """The place of a run that is alone in its folder."""
    return msgspec.structs.replace(
        place,
        name=run.label,
        folder=run.path,
        kind="run",
        step=run.step,
        tags=run.tags,
        note=_last_note(run.notes),
    )


def _last_note(notes: Sequence[Note]) -> str:
    if notes:
        return notes[-1].text
    return ""


def _group_name(run: Run, folder: str) -> str:
    """What the folder of a run is called: by its path below what was listed, else its own name."""
    above = str(PurePosixPath(run.below).parent)
    if above == ".":
        return Path(folder).resolve().name
    return above


def _bad_runs(runs: Sequence[Run], name: str, folder: str) -> Iterator[Need]:
    """The recorded runs that ended badly, by state and cause."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.state in BAD:
            groups.setdefault((run.state, _masked(run.error)), []).append(run)
    for (state, _), bad in groups.items():
        verb = state
        if state == "interrupted":
            verb = "were interrupted" if len(bad) > 1 else "was interrupted"
        ends = [run.ended for run in bad if run.ended is not None]
        yield Need(
            kind="failed",
            count=len(bad),
            line=f"{_counted(len(bad), 'run')} {verb}",
            cause=bad[0].error,
            place=name,
            folder=folder,
            keys=[run.path for run in bad[:MOST_KEYS]],
            last=max(ends, default=None),
            command=f"watchkeeper ls {folder} --state {state}",
        )


def _best_of(runs: Sequence[Run]) -> Best | None:
    """The best of the validation loss, else of another metric whose better end is known."""
    names = dict.fromkeys(name for run in runs for name in run.figures)
    ranking = joined(run.ranking for run in runs)
    ranked = [name for name in names if ranking.better(name)]
    first = [name for name in VAL_LOSS if name in ranked]
    last = [name for name in TRAIN_LOSS if name in ranked]
    others = [name for name in ranked if name not in (*first, *last)]
    for metric in (*first, *others, *last):
        return _leader(runs, metric)
    return None


def _leader(runs: Sequence[Run], metric: str) -> Best | None:
    """The run with the best figure: of those that finished, where one of them has it."""
    sign = joined(run.ranking for run in runs).sign(metric)
    having = [(run, run.best(metric)) for run in runs]
    known = [(run, best.value) for run, best in having if best is not None]
    good = [(run, value) for run, value in known if run.state == "finished"]
    among = good or known
    if not among or not sign:
        return None
    run, value = max(among, key=lambda pair: sign * pair[1])
    return Best(metric=metric, value=value, run=f"{run.path} {run.key}".rstrip())
