"""How far a run is and how it does, as figures: by its watcher's last word, else by its rows."""

from __future__ import annotations

import bisect
import math
import statistics
import time
from datetime import UTC, datetime
from operator import sub
from pathlib import Path

import msgspec

from watchkeeper.core.events import (
    Advanced,
    Assessed,
    RunStarted,
    Stalled,
)
from watchkeeper.query.series.executions import RunRows
from watchkeeper.query.series.figures import figure_of
from watchkeeper.query.series.reader import pieces
from watchkeeper.query.series.shelf import end_of_rows
from watchkeeper.query.series.tracks import FileTracks
from watchkeeper.query.views.charts import loss_names
from watchkeeper.query.views.run_page.numbers import plain
from watchkeeper.query.views.run_page.subject import Subject
from watchkeeper.query.views.shared import Progress, Real
from watchkeeper.runfolder.planned_steps import PlannedSteps

_RATE_ROWS = 512  # the last ones, of which the rate is taken
_RATE_S = 60.0
_SILENT_S = 120.0  # without a row, before that is worth a word
_SILENT_PAUSES = 10
_NOTHING_SEEN = Assessed(
    time=datetime.min.replace(tzinfo=UTC),
    writer="",
    seq=0,
    key="",
    phase="preparation",
    attempt=0,
    health="unknown",
)


def progress_of(subject: Subject, rows: RunRows, *, is_running: bool) -> Progress:
    """The last training step that counts, of how many; and of a run under way, how fast it is and
    when it ends. The watcher's last word counts where no row was recorded.

        step 400 of 2,000, train_loss 0.31; 2 steps a second, 800 s left, 3,600 s to the time limit

    What is not known is None.

    Raises:
        OSError: a file of rows can no longer be read.
    """
    assessed = _assessed(subject)
    if assessed is None:
        assessed = _NOTHING_SEEN
    train, val = loss_names(rows.metrics)
    name = train or val
    step = _last_step(rows, name)
    if step is None:
        step = assessed.step
    total = _total(subject) or assessed.total
    progress = Progress(step=step, total=total, loss=_last_loss(rows, name), loss_name=name)
    if not is_running:
        return progress
    rate = _rate(rows) or assessed.rate_per_s
    return msgspec.structs.replace(
        progress,
        rate_per_s=rate,
        eta_s=_time_left(step, total, rate),
        limit_s=_limit(subject),
        fits=assessed.fits,
    )


def health_of(subject: Subject, rows: RunRows) -> tuple[str, str]:
    """How a run under way does, and by what that is seen; ("", "") where nothing says.

    The watcher's word counts first, then the sidecar's; else the rows: without one for two minutes,
    or for ten times the usual pause where that is longer, the run is `silent`.
    """
    assessed = _assessed(subject)
    if assessed is not None:
        return assessed.health, assessed.why
    stall = open_stall(subject)
    if stall is not None:
        return "stalled", stall.cause
    last = _last_file(rows)
    if last is None:
        return "", ""
    limit = max(_SILENT_S, _SILENT_PAUSES * _median_pause(last))
    if time.time() - last.newest_time > limit:
        return "silent", f"no row for more than {limit:.0f} s"
    return "advancing", ""


def open_stall(subject: Subject) -> Stalled | None:
    """The stall that the sidecar of the last execution sees; None: none, or it has advanced since,
    or was started again.
    """
    stall: Stalled | None = None
    for event in subject.newest_events:
        if isinstance(event, Stalled):
            stall = event
        elif isinstance(event, Advanced | RunStarted):
            stall = None
    return stall


def _assessed(subject: Subject) -> Assessed | None:
    """The watcher's last word on the newest attempt while it is under way; None: it has none, as of
    a run without a watcher.
    """
    latest = subject.latest
    if latest is None or not latest.active:
        return None
    return latest.assessed


def _last_step(rows: RunRows, loss_name: str) -> Real | None:
    """The last training step that counts: of the loss, else of any metric, where that is the
    greatest. None: no row has a step. `loss_name` is "" of a run that logs no loss.
    """
    names = rows.metrics
    if loss_name:
        names = [loss_name]
    steps: list[float] = []
    for name in names:
        last = figure_of(rows, name).last
        if last is not None and not math.isnan(last[0]):
            steps.append(last[0])
    return plain(max(steps, default=None))


def _last_loss(rows: RunRows, name: str) -> float | None:
    """The last loss; None where there is none, or where it is not finite."""
    last = figure_of(rows, name).last
    if last is None:
        return None
    _, loss = last
    if not math.isfinite(loss):
        return None
    return loss


def _total(subject: Subject) -> int | None:
    """How many training steps are planned, as the newest attempt last said it; None: it did not."""
    planned = PlannedSteps()
    for event in subject.newest_events:
        planned.take(event)
    return planned.total


def _rate(rows: RunRows) -> float | None:
    """Training steps a second over the last minute of rows; None where that cannot be seen: there
    is one row, or the step did not rise.

        step 280 at 12:00:00, step 400 at 12:01:00 → 2.0
    """
    last = _last_file(rows)
    if last is None:
        return None
    ends = _last_rows(last.path)
    if not ends:
        return None
    second, step = ends[-1]
    begin = bisect.bisect_left(ends, (second - _RATE_S, -math.inf))
    seconds = second - ends[begin][0]
    done = step - ends[begin][1]
    if seconds <= 0 or done <= 0:
        return None
    return done / seconds


def _last_rows(path: Path) -> list[tuple[float, float]]:
    """The seconds of the last rows, each with its training step, in order of time. Rows without a
    step are left out; [] where the file cannot be read.
    """
    ends: set[tuple[float, float]] = set()
    try:
        for piece in pieces(path, end_of_rows(path, _RATE_ROWS)):
            for values in piece.metrics.values():
                ends.update(zip(values.times, values.steps, strict=True))
    except OSError:
        return []
    return sorted(end for end in ends if not math.isnan(end[1]))


def _last_file(rows: RunRows) -> FileTracks | None:
    """The file that was written to last, of the last execution; None: it has no values yet."""
    if not rows.executions:
        return None
    files = [file for file in rows.executions[-1].files if file.tracks]
    return max(files, key=lambda file: file.newest_time, default=None)


def _median_pause(file: FileTracks) -> float:
    """The median pause between the last rows, in seconds; 0 of a single row."""
    times = [second for second, _ in _last_rows(file.path)]
    pauses: list[float] = list(map(sub, times[1:], times))
    return statistics.median(pauses or [0.0])


def _time_left(step: Real | None, total: Real | None, rate: float | None) -> float | None:
    """Seconds to the last training step: of step 400 of 2,000 at 2 a second 800. None where one of
    the three is not known; 0 where more steps were done than planned.
    """
    if step is None or total is None or not rate:
        return None
    return max(0.0, (total - step) / rate)


def _limit(subject: Subject) -> float | None:
    """Seconds to the time limit of the job, 0 once it has passed; None: it has none, or nobody
    says.
    """
    facts = subject.facts
    if facts is None or facts.ends_by is None:
        return None
    return max(0.0, (facts.ends_by - datetime.now(UTC)).total_seconds())
