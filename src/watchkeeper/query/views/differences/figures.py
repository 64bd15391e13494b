"""The figures of compared runs: every metric, total and result, each with its last, least and
greatest value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.query.catalogue.curves import plain
from watchkeeper.query.catalogue.entry import Entry, Extreme, Figure
from watchkeeper.query.catalogue.index import Index
from watchkeeper.query.catalogue.jobs import read_jobs
from watchkeeper.query.catalogue.places import place_at
from watchkeeper.query.catalogue.reader import read_entry
from watchkeeper.query.recording import read_run
from watchkeeper.report.compare.sides import Side, value_of
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS
from watchkeeper.runfolder.metric_rows import value_of as number_in

_ENDS = {"end_train_loss": "train_loss", "end_val_loss": "val_loss"}


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one run. `recorder` is the folder of its rows, None for none; `results`
    are the names of evaluations' figures, whose steps are epochs.
    """

    entry: Entry = Entry()
    figures: Mapping[str, Figure] = {}
    results: frozenset[str] = frozenset()
    recorder: Path | None = None


class Measures:
    """Reads what was measured, each experiment once. `problems` are of what cannot be read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._judged: dict[str, Mapping[str, Mapping[str, Figure]]] = {}

    def recorded(self, folder: Path) -> Measured:
        """What was measured of a recorded run: nothing, where no run was recorded in the folder or
        it cannot be read.
        """
        entry = entry_at(folder, self.problems)
        if entry is None:
            return Measured()
        return Measured(entry=entry, figures=entry.figures, recorder=folder)

    def of(self, side: Side) -> Measured:
        """What was measured of a run that is compared: by the files of a recorded run, by the
        verdicts and the recorder of an experiment's. What only its side knows, as totals, counts as
        the last.
        """
        measured = Measured()
        if side.origin == "recorded":
            measured = self.recorded(Path(side.where))
        elif side.origin == "experiment":
            measured = self._of_job(side)
        figures = {**measured.figures, **_only_in(side, measured.figures)}
        results = measured.results
        if side.origin == "log":
            results = frozenset(side.at)
        return msgspec.structs.replace(measured, figures=figures, results=results)

    def _of_job(self, side: Side) -> Measured:
        """What the verdicts on a run's jobs say, and the recorder of its training.

        The names of evaluations' figures are a task and a metric, `capitalization accuracy`; those
        of a recorder have no space.
        """
        judged = self._in_experiment(side.where).get(side.key, {})
        recorded = Measured()
        if side.recorder:
            recorded = self.recorded(Path(side.recorder))
        return Measured(
            entry=recorded.entry,
            figures=_joined(judged, recorded.figures),
            results=frozenset(name for name in judged if " " in name),
            recorder=recorded.recorder,
        )

    def _in_experiment(self, folder: str) -> Mapping[str, Mapping[str, Figure]]:
        """Key → the figures of the run's jobs; {} where the experiment cannot be read."""
        if folder not in self._judged:
            figures: dict[str, Mapping[str, Figure]] = {}
            jobs = read_jobs(Path(folder), self.problems)
            if jobs is not None:
                for job in jobs.jobs:
                    figures[job.key] = job.entry.figures
            self._judged[folder] = figures
        return self._judged[folder]


def _joined(judged: Mapping[str, Figure], recorded: Mapping[str, Figure]) -> dict[str, Figure]:
    """The figures of a job's verdict and of its recorder, which names losses in its own way: where
    it has `train/loss`, the verdict's `train_loss` would be the same curve a second time.
    """
    figures = {**judged, **recorded}
    for ours, names in (("train_loss", TRAIN_LOSS), ("val_loss", VAL_LOSS)):
        if ours not in recorded and any(name in recorded for name in names):
            figures.pop(ours, None)
    return figures


def last_values(measured: Measured) -> dict[str, Extreme]:
    """The last value of each metric, with its step, which is None where the row had none."""
    values: dict[str, Extreme] = {}
    for name, figure in measured.figures.items():
        values[name] = Extreme(figure.last, figure.last_step)
    return values


def values_at(measured: Measured, step: float) -> dict[str, Extreme]:
    """The values at a training step: of each metric the last row at or before it, with its step.

    {} of a run without rows of its own: a verdict knows only the last figures.
    """
    run = None
    if measured.recorder is not None:
        run, _ = read_run(measured.recorder, "", all_rows=False, is_alone=False)
    if run is None:
        return {}
    values: dict[str, Extreme] = {}
    for placed in run.rows:
        at = number_in(placed.row.step)
        if at is None or at > step:
            continue
        for metric, value in placed.row.metrics.items():
            number = number_in(value)
            if number is not None:
                values[metric] = Extreme(number, plain(at))
    return values


def _only_in(side: Side, figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """The figures that the side has and the others do not: totals, and those of a run log.

    They are single values, which are the last, the least and the greatest at once.
    """
    has_losses = not figures.keys().isdisjoint((*TRAIN_LOSS, *VAL_LOSS))
    more: dict[str, Figure] = {}
    for name, number in side.metrics.items():
        if name in _ENDS and has_losses:
            continue
        ours = _ENDS.get(name, name)
        if ours not in figures:
            value = value_of(number)
            at = _epoch(side.at.get(name, ""))
            more[ours] = Figure(value, at, value, at, value, at)
    return more


def _epoch(text: str) -> int | None:
    """The epoch that a run log names for a figure; None where it names none."""
    if text.isdecimal():
        return int(text)
    return None


def entry_at(folder: Path, problems: list[Problem]) -> Entry | None:
    """What a folder's files say of its recorded run, from the index where they have not changed;
    None where there is none. What cannot be read is added to `problems`.
    """
    top = os.path.realpath(folder)
    place = place_at(top)
    if place is None or not place.has_rows:
        return None
    index = Index(top)
    known = index.get(place)
    if known is not None:
        return known.entry
    entry, faults = read_entry(folder)
    problems += faults
    if not faults:
        index.put(place, entry)
        index.save()
    return entry
