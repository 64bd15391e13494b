"""The runs of an experiment as `ls` lists them: from its journal, and what the recorders of its
jobs left.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import ExperimentError, Problem, WatchkeeperError
from watchkeeper.core.events import Judged, Number, Opened, RunItem
from watchkeeper.core.journal import Journal
from watchkeeper.core.state import Attempt, State, fold
from watchkeeper.core.words import Words, words_of
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.plan import WELL
from watchkeeper.query.catalogue.entry import Entry, Figure
from watchkeeper.query.catalogue.experiment_runs import ExperimentRun, runs_of, settings_of
from watchkeeper.reading import settings as flatten

# The outcome of a job → the state as `ls` says it; any other is said by its own name.
_STATES = {"done": "finished", "failed but good": "finished", "invalid": "failed"}
_WAITING = ("PENDING", "")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an experiment. `attempt` is the folder of the newest attempt at its training, ""
    for none: what its recorder left belongs to it.
    """

    key: str
    state: str
    entry: Entry
    attempt: str = ""


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment with its runs that were submitted, or of which somebody said something. `words`
    are on it as a whole, `read` is its journal.
    """

    experiment: Experiment
    read: Journal
    state: State
    jobs: list[Job]
    words: Words


def read_jobs(folder: Path, problems: list[Problem]) -> Jobs | None:
    """The runs of an experiment; None where it cannot be read, which is added to `problems`.

    A run that was never submitted is listed only where somebody gave it a tag or a note.
    """
    try:
        experiment = experiments.read(folder)
        read = journal.read(experiment.folder / layout.JOURNAL)
    except WatchkeeperError as error:
        problems.append(_unreadable(folder, error))
        return None
    problems += read.problems
    state = fold(read.events)
    words = words_of(read.events)
    reader = flatten.Reader()
    jobs = []
    for run in runs_of(experiment, state):
        if _newest(run) is not None or run.name in words:
            jobs.append(_job(run, read, words.get(run.name, Words()), reader))
    jobs += _noted_evaluations(experiment, state, read, words)
    return Jobs(
        experiment=experiment,
        read=read,
        state=state,
        jobs=jobs,
        words=words.get("", Words()),
    )


def _unreadable(folder: Path, error: WatchkeeperError) -> Problem:
    """That an experiment cannot be read, with the first of the problems in its description as the
    hint.
    """
    hint = error.hint
    if isinstance(error, ExperimentError) and error.problems:
        hint = str(error.problems[0])
    return Problem(
        where=str(folder), message=str(error), hint=hint, severity="warning", code="bad-experiment"
    )


def _newest(run: ExperimentRun) -> Attempt | None:
    """The newest attempt at its training, else at the first of its evaluations that has one; None
    where there is none.
    """
    if run.trained is not None:
        return run.trained
    for item in run.items:
        latest = run.state.run(item.key).latest
        if latest is not None:
            return latest
    return None


def _job(run: ExperimentRun, read: Journal, words: Words, reader: flatten.Reader) -> Job:
    """One run as it is listed: its state, its settings, and the figures of its training and of its
    evaluations.
    """
    newest = _newest(run)
    settings, _ = settings_of(run.experiment, run.name, run.intended, run.snapshot, reader)
    figures = {**_losses(run), **_results(run)}
    entry = _entry_of(newest, read, words)
    entry = msgspec.structs.replace(entry, config=settings, figures=figures)
    attempt = ""
    if run.trained is not None:
        place = layout.attempt_folder(run.experiment.folder, run.trained.key, run.trained.number)
        attempt = os.path.realpath(place)
    return Job(key=run.name, state=_state(newest), entry=entry, attempt=attempt)


def _entry_of(attempt: Attempt | None, read: Journal, words: Words) -> Entry:
    """Times, user and words of a job. The scheduler's times outweigh those at which it was
    submitted and judged; `attempt` None: there is none yet.
    """
    entry = Entry(tags=tuple(words.tags), notes=tuple(words.notes))
    if attempt is None:
        return entry
    started, user = _submission(attempt, read)
    ended = None
    error = ""
    if attempt.judged is not None:
        ended = attempt.judged.time
        if attempt.judged.outcome not in WELL:
            error = attempt.judged.why
    if attempt.seen is not None:
        started = attempt.seen.facts.started or started
        ended = attempt.seen.facts.ended or ended
    return msgspec.structs.replace(entry, started=started, ended=ended, user=user, error=error)


def _submission(attempt: Attempt, read: Journal) -> tuple[datetime | None, str]:
    """When the attempt's job was submitted, and by whom; (None, "") where it was not.

    Whoever opened the journal file that holds the submission is its user.
    """
    for submitted in attempt.submissions.values():
        first = read.events[submitted.writer][0]
        user = ""
        if isinstance(first, Opened):
            user = first.user
        return submitted.time, user
    return None, ""


def _state(attempt: Attempt | None) -> str:
    """The state of an attempt as `ls` says it: `waiting`, `running`, `unknown`, or its outcome, as
    `finished`. None: there was none.
    """
    if attempt is None:
        return "waiting"
    if attempt.judged is not None:
        return _STATES.get(attempt.judged.outcome, attempt.judged.outcome)
    if attempt.state in _WAITING:
        return "waiting"
    if attempt.state == "UNKNOWN":
        return "unknown"
    return "running"


def _losses(run: ExperimentRun) -> Mapping[str, Figure]:
    """The last losses of its training, by its verdict: `train_loss` and `val_loss`, those that are
    known. {} before it has ended.
    """
    learned = run.learned
    if learned is None:
        return {}
    losses = {"train_loss": learned.last_train_loss, "val_loss": learned.last_val_loss}
    figures = {}
    for name, loss in losses.items():
        if loss is not None:
            figures[name] = Figure(_number(loss), learned.final_step)
    return figures


def _results(run: ExperimentRun) -> Mapping[str, Figure]:
    """The figures of its evaluations, `TASK METRIC`: of the last epoch and of the best. The steps
    are epochs.
    """
    found: dict[str, list[tuple[int | None, float]]] = {}
    for item in run.items:
        judged = _verdict(run.state.run(item.key).latest)
        if item.phase != "evaluation" or judged is None:
            continue
        for metric, value in judged.metrics.items():
            if metric == "samples":
                continue
            values = found.setdefault(f"{item.task} {metric}", [])
            values.append((item.epoch, _number(value)))
    return {name: _over_epochs(values) for name, values in found.items()}


def _figures(item: RunItem, judged: Judged) -> Mapping[str, Figure]:
    """The figures of one evaluation, `TASK METRIC`; the step of each is the evaluation's epoch."""
    figures = {}
    for metric, value in judged.metrics.items():
        if metric != "samples":
            name = f"{item.task} {metric}"
            figures[name] = _over_epochs([(item.epoch, _number(value))])
    return figures


def _verdict(attempt: Attempt | None) -> Judged | None:
    """The verdict on an evaluation that left a good result; None for any other."""
    if attempt is None:
        return None
    judged = attempt.judged
    if judged is None or judged.outcome not in WELL:
        return None
    return judged


def _over_epochs(values: list[tuple[int | None, float]]) -> Figure:
    """One figure of the values at several epochs: the last one's, the least, the greatest. A result
    without an epoch, that of a base model, comes before all others.
    """
    last_epoch, last = max(values, key=_epoch_of)
    finite = [(epoch, value) for epoch, value in values if math.isfinite(value)]
    if not finite:
        return Figure(last, last_epoch)
    least_epoch, least = min(finite, key=lambda value: value[1])
    greatest_epoch, greatest = max(finite, key=lambda value: value[1])
    return Figure(last, last_epoch, least, least_epoch, greatest, greatest_epoch)


def _epoch_of(value: tuple[int | None, float]) -> int:
    """The epoch of a value; -1 for none."""
    epoch, _ = value
    if epoch is None:
        return -1
    return epoch


def _number(value: Number) -> float:
    """A figure of an event as a float: those that JSON has no number for are texts, as "NaN"."""
    return float(value)


def _noted_evaluations(
    experiment: Experiment, state: State, read: Journal, words: Mapping[str, Words]
) -> Iterator[Job]:
    """The evaluations that have tags or notes of their own."""
    for item in experiment.items:
        if item.phase != "evaluation" or item.key not in words:
            continue
        latest = state.run(item.key).latest
        entry = _entry_of(latest, read, words[item.key])
        judged = _verdict(latest)
        if judged is not None:
            entry = msgspec.structs.replace(entry, figures=_figures(item, judged))
        yield Job(key=item.key, state=_state(latest), entry=entry)
