"""The executions behind a run's curves: their files of rows, and what later ones supersede."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.events import AnyEvent, RunStarted, Unknown
from watchkeeper.query.series.shelf import Shelf
from watchkeeper.query.series.track import At, Track
from watchkeeper.query.series.tracks import FileTracks
from watchkeeper.runfolder.executions import Cut, Execution, Row, cuts
from watchkeeper.runfolder.metric_rows import ExecutionFiles, execution_files


class RowedExecution(msgspec.Struct, kw_only=True):
    """An execution with the tracks of its files. `number` is that of the attempt, from 1, or of a
    recorded run its own; `folder` is where it was recorded;
    `is_requeue`: an earlier execution worked for the same attempt; `cut` is what counts no more.
    """

    number: int
    folder: Path
    started: RunStarted | None
    boot: str
    files: list[FileTracks]
    is_requeue: bool = False
    cut: Cut = Cut(anew=False, end=math.inf, of_metric={})

    @property
    def is_cut(self) -> bool:
        """Whether a later execution supersedes anything of it."""
        cut = self.cut
        return cut.anew or bool(cut.of_metric) or cut.end < math.inf

    @property
    def has_values(self) -> bool:
        """Whether any value of any metric was read."""
        return any(file.tracks for file in self.files)

    @property
    def first_time(self) -> float | None:
        """When its first value was logged, in seconds since 1970; None without values."""
        firsts = (track.block(0)[At.FIRST_TIME] for track in self.tracks())
        return min(firsts, default=None)

    @property
    def last_time(self) -> float | None:
        """When its last value was logged, in seconds since 1970; None without values."""
        lasts = (track.block(-1)[At.TIME] for track in self.tracks())
        return max(lasts, default=None)

    def tracks(self) -> Iterator[Track]:
        """The tracks of all its files and metrics. One metric has a track in each file that has it:
        an execution whose processes all log has several.
        """
        for file in self.files:
            yield from file.tracks.values()

    def having(self, metric: str) -> list[FileTracks]:
        """Its files that have the metric; [] where none has."""
        return [file for file in self.files if metric in file.tracks]

    def end_of(self, metric: str) -> float:
        """The training step from which on a metric is superseded; infinite: it is not; minus
        infinite: all of it is.
        """
        if self.cut.anew:
            return -math.inf
        return self.cut.of_metric.get(metric, math.inf)


class RunRows(msgspec.Struct, kw_only=True):
    """All executions of a run that left rows, in the order in which they began. `is_whole` False:
    of some files only the end was read. `unreadable`: files that could not be read.
    """

    executions: list[RowedExecution]
    is_whole: bool = True
    unreadable: dict[Path, str] = {}

    @property
    def rows(self) -> int:
        """How many rows there are, also superseded ones. Where the run is not whole, those that
        were read.
        """
        count = 0
        for execution in self.executions:
            count += sum(file.rows for file in execution.files)
        return count

    @property
    def metrics(self) -> list[str]:
        """The metrics, each once, in the order in which they first occur."""
        found: dict[str, None] = {}
        for execution in self.executions:
            for file in execution.files:
                found.update(dict.fromkeys(file.tracks))
        return list(found)


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A run's folder with its journal. `number` is that of the attempt which it was recorded for;
    None: its executions are counted. `counts` False: a later attempt began the work again.
    """

    folder: Path
    events: dict[str, list[AnyEvent | Unknown]]
    number: int | None = None
    counts: bool = True


def read_run_rows(recorded: Sequence[Recorded], shelf: Shelf, *, waits: bool) -> RunRows:
    """The executions of a run that lies in these folders, in the order of its attempts. `waits`:
    read all rows, however long that takes; else of a long file that is new, the end.

    An experiment's run may have a folder for each attempt, a recorded run has one. Each execution
    has what later ones supersede of it in its `cut`:

        attempt 1: steps 1 to 500     attempt 2, from the checkpoint at 400: steps 401 to 900
        → the `cut` of attempt 1 begins at step 401 of each metric that attempt 2 logged

    A folder that does not count is cut as a whole. A file that cannot be read is one of the run's
    `unreadable`.
    """
    run = RunRows(executions=[])
    attempts: set[str] = set()
    for one in recorded:
        for execution in execution_files(one.folder, one.events):
            number = _number_of(execution, one, len(run.executions) + 1)
            rowed = RowedExecution(
                number=number,
                folder=one.folder,
                started=execution.started,
                boot=execution.boot,
                files=_tracks_of(execution, run, shelf, waits=waits),
            )
            attempt = _attempt_of(rowed)
            rowed.is_requeue = attempt in attempts
            if attempt:
                attempts.add(attempt)
            run.executions.append(rowed)
            if not one.counts:
                rowed.cut = Cut(anew=True, end=-math.inf, of_metric={})
    _set_cuts([one for one in run.executions if not one.cut.anew])
    return run


def _number_of(execution: ExecutionFiles, recorded: Recorded, count: int) -> int:
    """The number of an execution's attempt: by its own word, else by its folder's attempt.

    Its own word is the folder of the attempt, `.watchkeeper/runs/KEY/2`, which two attempts that
    record into one folder do not share. `count` is its number where executions are counted.
    """
    if recorded.number is None:
        return count
    if execution.started is not None:
        own = Path(execution.started.attempt).name
        if own.isdecimal() and len(own) < 10:
            return int(own)
    return recorded.number


def _tracks_of(
    execution: ExecutionFiles, run: RunRows, shelf: Shelf, *, waits: bool
) -> list[FileTracks]:
    """The tracks of an execution's files. A file that cannot be read is noted in the run, and the
    others count.
    """
    tracks = []
    for path in execution.files:
        try:
            look = shelf.look(path, waits=waits)
        except OSError as error:
            run.unreadable[path] = error.strerror or str(error)
            continue
        run.is_whole = run.is_whole and look.is_whole
        tracks.append(look.file)
    return tracks


def _attempt_of(execution: RowedExecution) -> str:
    """The folder of the attempt that an execution worked for, `/exp/.watchkeeper/runs/r8/2`; "" for
    none, as of a run that was started without a scheduler.
    """
    if execution.started is None:
        return ""
    return execution.started.attempt


def _set_cuts(executions: Sequence[RowedExecution]) -> None:
    """Find what later executions supersede, of those that left values, and set it as their `cut`.

    `executions` are in the order in which they began. One without values supersedes nothing: it
    may have ended before its first step.
    """
    valued = [one for one in executions if one.has_values]
    if len(valued) < 2:
        return  # nothing is later than the only one
    found = cuts(list(map(_outline, valued)))
    for execution, cut in zip(valued, found, strict=True):
        execution.cut = cut


def _outline(execution: RowedExecution) -> Execution:
    """The execution by its first step of each metric: nothing else decides what supersedes it.

    Of a million rows a few are made, one for each file and metric; their figures do not matter.
    """
    rows: list[Row] = []
    for file in execution.files:
        for metric, track in file.tracks.items():
            rows.append(Row(_first_step(track), {metric: 0.0}))
    ended = None
    if execution.files:
        ended = execution.files[0].last_time
    started = execution.started
    if started is None:
        return Execution(rows=rows, ended=ended, boot=execution.boot)
    return Execution(
        rows=rows,
        pipeline=started.pipeline,
        began=started.time.timestamp(),
        ended=ended,
        boot=execution.boot,
        attempt=started.attempt,
    )


def _first_step(track: Track) -> float | None:
    """The least training step of a track; None where no value has one. A step may go back within
    a track: each block begins with its own least.
    """
    steps = [step for step in track.column(At.FIRST_STEP) if not math.isnan(step)]
    return min(steps, default=None)
