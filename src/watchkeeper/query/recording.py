"""`wk.load`: recorded runs, read back from their folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import Problem, UsageError, WatchkeeperError
from watchkeeper.core.events import AnyEvent, Number, RunEnded, RunStarted, Unknown
from watchkeeper.core.events.choose import all_of, with_code
from watchkeeper.core.words import Words, words_of
from watchkeeper.query.columns import Column, PlacedRow, columns_of
from watchkeeper.report.notebook import Curve, Line, runs_html
from watchkeeper.runfolder.columns.held import Row
from watchkeeper.runfolder.executions import cuts
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS
from watchkeeper.runfolder.metric_rows import RecordedExecution, recorded_executions, value_of
from watchkeeper.runfolder.search import run_folders
from watchkeeper.runfolder.values import Metric

if TYPE_CHECKING:
    import pandas
    import polars

_MOST_NAMES = 8
"""Names that an error or a `repr` lists."""
_CURVE_METRICS = 3
"""Metrics that a notebook draws."""


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded run as its folder has it. `started` and `ended` are those of its last execution
    under its first pipeline; `ended` is None while that runs, and after a death. `lives` says
    whether its process does; None: that cannot be seen from here.
    """

    name: str
    folder: Path
    started: RunStarted | None
    ended: RunEnded | None
    lives: bool | None
    events: tuple[AnyEvent | Unknown, ...]
    rows: tuple[PlacedRow, ...]
    journal: journal.Journal


class Recording:
    """One recorded run or several, as `wk.load` returns them.

    It is a sequence of its runs, each a `Recording` again: `len(recording)`, `for run in
    recording`, `recording[0]`, `recording["name"]`. What belongs to one run (`config`, `state` …)
    is an error where there are several. In a notebook it shows itself.
    """

    def __init__(self, runs: Sequence[RecordedRun], problems: Sequence[Problem] = ()) -> None:
        self._runs = tuple(runs)
        self.problems = list(problems)
        """What could not be read: damaged lines, files and folders without permission."""

    @property
    def names(self) -> list[str]:
        """The runs' names: their paths below the folder that was loaded, or that folder's name."""
        return [run.name for run in self._runs]

    @property
    def rows(self) -> list[Row]:
        """The metric rows, run by run, in the order written. A row that a later execution did again
        is among them only if `load` was called with `all_rows`.
        """
        return [placed.row for run in self._runs for placed in run.rows]

    @property
    def events(self) -> list[AnyEvent | Unknown]:
        """The journal's events, run by run; each writer's in the order written. Those of a kind
        that this version does not know are `Unknown`.
        """
        return [event for run in self._runs for event in run.events]

    @property
    def name(self) -> str:
        """The run's name.

        Raises:
            UsageError: there are several runs. So do the properties that follow.
        """
        return self._only().name

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._only().folder

    @property
    def run_id(self) -> str:
        """The run's id; "" if its journal does not say."""
        started = self._only().started
        if started is None:
            return ""
        return started.run_id

    @property
    def state(self) -> str:
        """How the run stands: `finished`, `failed` and `interrupted` are what it wrote at its end.

        Without an end it is `running`, `died` (its process is gone and wrote no end), or `not
        ended` where that cannot be told, as from another machine.
        """
        return state_of(self._only())

    @property
    def started(self) -> datetime | None:
        """When the run's last execution began, in UTC; None if its journal does not say."""
        started = self._only().started
        if started is None:
            return None
        return started.time

    @property
    def last(self) -> dict[str, Metric]:
        """The last value of each metric, and the last training step as `step`.

            {"step": 2000, "train_loss": 0.031, "val_loss": 0.044}

        Each metric's own last row counts: that of `val_loss` may be earlier than that of `step`.
        """
        last: dict[str, Metric] = {}
        for placed in self._only().rows:
            if placed.row.step is not None:
                last["step"] = placed.row.step
            for name, value in placed.row.metrics.items():
                if value is not None:
                    last[name] = value
        return last

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that the run was started with; {} for none."""
        started = self._only().started
        if started is None:
            return {}
        return started.config

    @property
    def tags(self) -> list[str]:
        """The run's tags, sorted: those of `start_run` and of `watchkeeper tag`."""
        return self._words().tags

    @property
    def notes(self) -> list[str]:
        """What `watchkeeper note` wrote of the run, oldest first."""
        return [note.text for note in self._words().notes]

    @property
    def totals(self) -> dict[str, Number]:
        """The run's totals; {} for none, or before its end."""
        ended = self._only().ended
        if ended is None:
            return {}
        return ended.totals

    @cached_property
    def columns(self) -> list[Column]:
        """The rows as columns: `run`, `pipeline`, `execution` (from 1), `time`, `step`, and one per
        metric. They are made once, at the first use.
        """
        return columns_of([placed for run in self._runs for placed in run.rows])

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame, with the columns of `columns`.

        A number that a row lacks is NaN, like one that was NaN; whole numbers with gaps are
        `Int64`.

        Raises:
            UsageError: pandas is not installed.
        """
        from watchkeeper.query import frames

        return frames.to_pandas(self.columns)

    def to_polars(self) -> polars.DataFrame:
        """The rows as a polars DataFrame, with the columns of `columns`. What a row lacks is null.

        Raises:
            UsageError: polars is not installed.
        """
        from watchkeeper.query import frames

        return frames.to_polars(self.columns)

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self._runs)

    def __iter__(self) -> Iterator[Recording]:
        """Its runs, each as a `Recording` of one."""
        return (Recording([run]) for run in self._runs)

    def __getitem__(self, run: int | str) -> Recording:
        """One run, by its place from 0, by its name, or by its folder's name.

        Raises:
            KeyError: none is called that, or several are.
            IndexError: there are not so many.
        """
        if isinstance(run, int):
            return Recording([self._runs[run]])
        matching = [one for one in self._runs if run in (one.name, one.folder.name)]
        if len(matching) != 1:
            raise KeyError(f"{len(matching)} runs are called {run!r}; there are {self._listed()}")
        return Recording(matching)

    def __repr__(self) -> str:
        """`<Recording: 2 runs (r8, r16), 4,000 rows>`."""
        rows = sum(len(run.rows) for run in self._runs)
        return f"<Recording: {len(self)} runs ({self._listed()}), {rows:,} rows>"

    def _repr_html_(self) -> str:
        """What a notebook shows in its place: IPython calls this where the last line of a cell is a
        recording.
        """
        return runs_html([_line_of(run) for run in self._runs])

    def _words(self) -> Words:
        """The tags and the notes on the run itself, which a journal keeps under the key ""."""
        return words_of(self._only().journal.events).get("", Words())

    def _only(self) -> RecordedRun:
        """The one run.

        Raises:
            UsageError: there are several.
        """
        if len(self._runs) == 1:
            return self._runs[0]
        raise UsageError(
            f"{len(self._runs)} runs were loaded: {self._listed()}",
            hint=f"choose one of them, as in recording[{self._runs[0].name!r}]",
        )

    def _listed(self) -> str:
        """The runs' names for a message: `r8, r16`, and `…` behind the eighth."""
        names = self.names[:_MOST_NAMES]
        if len(self._runs) > _MOST_NAMES:
            names.append("…")
        return ", ".join(names)


def load(*paths: str | os.PathLike[str], all_rows: bool = False) -> Recording:
    """Read recorded runs back: each path is a run's folder, or a folder with runs below it.

    Rows that a later execution of the same run did again are left out, as in every view.
    `all_rows` keeps them; the column `execution` tells them apart.

    Raises:
        UsageError: no path was given, one is not there, or there is no recorded run.
        NewerJournalError: the only run was recorded by a newer version.
    """
    if not paths:
        raise UsageError("no folder was given", hint='as in wk.load("artifacts/training")')
    places = [Path(path) for path in paths]
    runs: list[RecordedRun] = []
    problems: list[Problem] = []
    seen: set[Path] = set()
    for place in places:
        if not place.is_dir():
            raise UsageError(f"{place} is no folder", hint="name the folder of a run, or one above")
        folders, unreadable = run_folders(place)
        problems += unreadable
        for folder in folders:
            real = folder.resolve()
            if real in seen:
                # A run may lie below two of the paths, as in load("out", "out/r8").
                continue
            seen.add(real)
            name = _name_of(folder, place, is_alone=len(places) == 1)
            run, faults = read_run(folder, name, all_rows=all_rows, is_alone=len(folders) == 1)
            problems += faults
            if run is not None:
                runs.append(run)
    if not runs:
        listed = ", ".join(map(str, places))
        raise UsageError(
            f"no recorded run is in {listed}",
            hint=(
                "a run's folder has .watchkeeper/metrics; start_run and `watchkeeper exec` make it"
            ),
        )
    return Recording(runs, problems)


def _name_of(folder: Path, place: Path, *, is_alone: bool) -> str:
    """The name of a run: its path below the place that was loaded.

        load("out"):          out/sweep/r8 → `sweep/r8`      out itself → `out`
        load("out", "older"): out/sweep/r8 → `out/sweep/r8`

    `is_alone`: one place was loaded. Of several, each name begins with its place's own.
    """
    below = folder.relative_to(place).as_posix()
    if below == ".":
        return place.resolve().name
    if is_alone:
        return below
    return f"{place.resolve().name}/{below}"


def read_run(
    folder: Path, name: str, *, all_rows: bool, is_alone: bool
) -> tuple[RecordedRun | None, list[Problem]]:
    """A run and what could not be read of it; None where no run was recorded in the folder.

    `name` is how its rows and the run are called. Without `all_rows`, what a later execution did
    again is left out. `is_alone`: it is the only run that was asked for.

    Raises:
        WatchkeeperError: the journal cannot be read and the run `is_alone`; else that is a problem.
    """
    try:
        read = journal.read(folder / layout.JOURNAL)
    except WatchkeeperError as error:
        if is_alone:
            raise
        return None, [
            Problem(where=str(folder), message=str(error), hint=error.hint, code="unreadable")
        ]
    recorded, problems = recorded_executions(folder, read.events)
    run = run_of(folder, name, read, tuple(_placed(name, recorded, all_rows=all_rows)))
    if run.started is None and not recorded:
        return None, []
    return run, [*read.problems, *problems]


def run_of(
    folder: Path, name: str, read: journal.Journal, rows: tuple[PlacedRow, ...]
) -> RecordedRun:
    """The run that a folder's journal describes, with rows that were read of it. Of a journal
    without a start, its `started` and `ended` are None.
    """
    events = tuple(all_of(read.events))
    started = training_start(events)
    return RecordedRun(
        name=name,
        folder=folder,
        started=started,
        ended=_ended(events, started),
        lives=_lives(read, started),
        events=events,
        rows=rows,
        journal=read,
    )


def training_start(events: Sequence[AnyEvent | Unknown]) -> RunStarted | None:
    """The start of the last execution under the run's first pipeline: an evaluation that was
    recorded in the same folder later is not what the folder was begun for. None: no start is there.

        train 09:00, train 11:00 (resumed), eval 12:00 → the start of 11:00
    """
    starts = [event for event in events if isinstance(event, RunStarted)]
    if not starts:
        return None
    starts.sort(key=lambda start: start.time)
    pipeline = starts[0].pipeline
    same = [start for start in starts if start.pipeline == pipeline]
    return with_code(same[-1], events)


def _ended(events: Sequence[AnyEvent | Unknown], started: RunStarted | None) -> RunEnded | None:
    """The end that belongs to a start: the same process wrote both. None: it wrote none, or there
    is no start.
    """
    if started is None:
        return None
    for event in events:
        if isinstance(event, RunEnded) and event.writer == started.writer:
            return event
    return None


def _lives(read: journal.Journal, started: RunStarted | None) -> bool | None:
    """Whether the process of this start lives; None if that cannot be seen from here, or if its
    file of the journal is closed: sealed, or read to its end by another process.
    """
    if started is None:
        return None
    return journal.unsealed(read).get(started.writer)


def state_of(run: RecordedRun) -> str:
    """How the run stands: `finished`, `failed`, `interrupted`, `running`, `died` or `not ended`."""
    if run.ended is not None:
        return run.ended.status
    if run.lives is None:
        return "not ended"
    if run.lives:
        return "running"
    return "died"


def _placed(
    name: str, recorded: Sequence[RecordedExecution], *, all_rows: bool
) -> Iterator[PlacedRow]:
    """The rows in order, without what later executions did again unless `all_rows`.

        execution 1: steps 1 to 500     execution 2, resumed at 401: steps 401 to 900
        → steps 1 to 400 of execution 1, 401 to 900 of execution 2

    A row of which only some metrics were logged again keeps the others.
    """
    superseded = cuts([one.execution for one in recorded])
    for number, (one, cut) in enumerate(zip(recorded, superseded, strict=True), 1):
        pipeline = one.execution.pipeline
        for row, figures in zip(one.rows, one.execution.rows, strict=True):
            if all_rows:
                yield PlacedRow(name, pipeline, number, row)
                continue
            kept = {
                metric: value
                for metric, value in row.metrics.items()
                if cut.keeps(figures.step, metric, is_figure=metric in figures.metrics)
            }
            if len(kept) == len(row.metrics) and not cut.anew:
                yield PlacedRow(name, pipeline, number, row)
            elif kept:
                yield PlacedRow(name, pipeline, number, msgspec.structs.replace(row, metrics=kept))


def _line_of(run: RecordedRun) -> Line:
    """What a notebook shows of a run: its state, the last figure of each metric, and a few curves.

    Values that are no figures, as texts, are left out. A row without a step stands in its curve at
    its place among the rows, from 0.
    """
    figures: dict[str, list[tuple[float, float]]] = {}
    last: dict[str, float] = {}
    for number, placed in enumerate(run.rows):
        step = value_of(placed.row.step)
        place: float = number
        if step is not None:
            place = step
        for metric, value in placed.row.metrics.items():
            figure = value_of(value)
            if figure is not None:
                last[metric] = figure
                figures.setdefault(metric, []).append((place, figure))
    curves = [Curve(metric, figures[metric]) for metric in _drawn(figures)]
    return Line(name=run.name, state=state_of(run), rows=len(run.rows), last=last, curves=curves)


def _drawn(figures: Mapping[str, Sequence[object]]) -> list[str]:
    """The metrics that are drawn: losses first, then as recorded; none of a single row. At most
    three: of `lr`, `val_loss`, `train_loss`, `grad_norm` those are `train_loss`, `val_loss`, `lr`.
    """
    losses = [name for name in (*TRAIN_LOSS, *VAL_LOSS) if name in figures]
    others = [name for name in figures if name not in losses]
    drawn = [name for name in (*losses, *others) if len(figures[name]) > 1]
    return drawn[:_CURVE_METRICS]
