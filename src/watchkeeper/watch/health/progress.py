"""How far a job is, by what its recorder wrote, else by what it prints: files, the same on whatever
node it runs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.disk.tails import end_as_text, last_lines
from watchkeeper.core.events import Advanced, Progressed, Stalled, StepFinished, StepStarted
from watchkeeper.core.text.figures import clock
from watchkeeper.runfolder.link import read_link
from watchkeeper.runfolder.printed import Position, bar_rate, position
from watchkeeper.runfolder.rows import decode_fields, files_of
from watchkeeper.watch.health.vitals import Recorded

# of a job's output, in which its last step is looked for: files may be of any size
TAIL_BYTES = 16_384
_PACE_ROWS = 50
_OUTPUTS = ("logs/run.log", "logs/stdout.log", "logs/stderr.log")


SILENT_S = 300.0  # without output, before that is worth a word


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is, as figures. `step` of `total` training steps; `rate_per_s` is steps per
    second and `eta_s` the seconds to the last step, as it says them; `loss` is the last of its
    training. `modified`: when `source`, a file or a recorded run's folder, last grew, in seconds
    since 1970. `stall`: what its sidecar says of a stall, "" for none. None: nobody says.
    """

    step: int | float | None = None
    total: int | None = None
    rate_per_s: float | None = None
    eta_s: float | None = None
    loss: float | None = None
    modified: float | None = None
    source: str = ""
    stall: str = ""


def figures_of(attempt_folder: Path, streams: Iterable[str]) -> Figures:
    """The figures by what the job's recorder wrote, else by what it prints.

    `attempt_folder` is the attempt's, in which the recorder leaves a link to its run; `streams` are
    the files of the job's output, "" among them for one that nobody named.
    """
    recorder = read_link(attempt_folder)
    if recorder is not None:
        figures = figures_in_run(recorder)
        if figures.step is not None:
            return figures
    return figures_in_output(streams)


def figures_in_run(folder: Path) -> Figures:
    """The figures of a recorded run: of its rows, its journal and its status file. `folder` is
    the run's.
    """
    recorded = Recorded(folder)
    recorded.look()
    here = recorded.position
    written = [time for time in (recorded.modified, _printed_at(folder)) if time is not None]
    stall = ""
    if recorded.stall is not None:
        stall = recorded.stall.words
    return Figures(
        step=here.step,
        total=here.total,
        rate_per_s=recorded.rate or _rate_in(folder),
        eta_s=recorded.eta_s,
        loss=_loss(here),
        modified=max(written, default=None),
        source=str(folder),
        stall=stall,
    )


def _printed_at(folder: Path) -> float | None:
    """When the run last logged a line, or its command printed one, in seconds since 1970; None
    where neither did.
    """
    ages = [_age(folder / name) for name in _OUTPUTS]
    newest = max(ages)
    if not newest:
        return None
    return newest


def _rate_in(folder: Path) -> float | None:
    """Steps per second over the newest rows; None where they do not say it.

    Of the file of rows that grew last, its last `_PACE_ROWS` rows: from the first of them with a
    step to the last.
    """
    newest = max(files_of(folder), key=_age, default=None)
    if newest is None:
        return None
    points = []
    for line in last_lines(newest, _PACE_ROWS, TAIL_BYTES):
        row = decode_fields(line.encode()) or {}
        if "step" in row and "time" in row:
            points.append((row["step"], row["time"]))
    if len(points) < 2:
        return None
    return _slope(points[0], points[-1])


def _slope(first: tuple[object, object], last: tuple[object, object]) -> float | None:
    """The steps between two rows over the seconds between them, each as (step, time in ISO 8601).
    None: they are no numbers or times, or do not rise.
    """
    try:
        steps = float(str(last[0])) - float(str(first[0]))
        begin, end = (datetime.fromisoformat(str(time)) for time in (first[1], last[1]))
    except ValueError:
        return None
    seconds = (end - begin).total_seconds()
    if steps <= 0 or seconds <= 0:
        return None
    return steps / seconds


def _age(path: Path) -> float:
    """When a file last grew, in seconds since 1970; 0 where it is gone."""
    status = _status(path)
    if status is None:
        return 0.0
    return status.st_mtime


def figures_in_output(streams: Iterable[str]) -> Figures:
    """The figures by the ends of a job's output files; a later file's step goes first.

    `Figures()`: no file tells a step. Bars go to standard error, which callers name last.
    """
    figures = Figures()
    for path in dict.fromkeys(filter(None, streams)):
        text = end_as_text(path, TAIL_BYTES)
        here = position(text)
        status = _status(Path(path))
        if here is None or here.step is None or status is None:
            continue
        figures = Figures(
            step=here.step,
            total=here.total,
            rate_per_s=bar_rate(text),
            loss=_loss(here),
            modified=status.st_mtime,
            source=path,
        )
    return figures


def _loss(here: Position) -> float | None:
    """The loss as a number; None where it is none that is finite, or none was printed."""
    try:
        loss = float(here.loss or "nan")
    except ValueError:
        return None
    if not math.isfinite(loss):
        return None
    return loss


def progress_of(attempt_folder: Path) -> str:
    """The job's outermost loop and its step, as its recorder last said them, and whether its
    sidecar sees a stall; "" where there is none, or nobody said anything.

        01_train; train 400/12,000, 3.2 step/s, 1:00:25 left
        STALLED since 2026-03-11 15:20:00 UTC: waits for the GPU; 01_train

    Here a step is a stage of a pipeline. `attempt_folder` is the attempt's, in which the recorder
    leaves a link to its run.
    """
    folder = read_link(attempt_folder)
    if folder is None:
        return ""
    step, loop, stall = "", "", ""
    for events in journal.read(folder / layout.JOURNAL, is_evidence=True).events.values():
        for event in events:
            if isinstance(event, StepStarted):
                step = event.step
            elif isinstance(event, StepFinished):
                step = ""
            elif isinstance(event, Progressed) and event.depth == 0:
                loop = ""
                if not event.ended:
                    loop = _words(event)
            elif isinstance(event, Stalled):
                stall = f"STALLED since {event.since:%Y-%m-%d %H:%M:%S} UTC: {event.cause}"
            elif isinstance(event, Advanced):
                stall = ""
    return "; ".join(filter(None, [stall, step, loop]))


def progress_in_output(paths: Iterable[str], now: float) -> str:
    """How far the job's output says it is, and since when it has printed nothing, where that is
    long.

        step 20/300, loss 5.66, 6.6/s, 0:42 left
        step 20/300, nothing printed for 12:00

    Bars go to standard error, losses may go to the other: what either says counts, the later file's
    step first. `now` is the time of the files' clock, in seconds since 1970. "": there is nothing
    to say.
    """
    named = [Path(path) for path in paths if path]
    ends = [end_as_text(path, TAIL_BYTES) for path in named]
    positions = [one for one in map(position, ends) if one is not None]
    rate = next(filter(None, map(bar_rate, reversed(ends))), None)
    return ", ".join(
        filter(None, [_where(positions), _pace(positions, rate), _silence(named, now)])
    )


def _pace(positions: Sequence[Position], rate: float | None) -> str:
    """The bar's own rate, and what is left at it; of an epoch, what is left of that.

        6.6/s, 0:42 left
        6.6/s, 0:42 left of the epoch

    "": there is no rate, no step, or no total.
    """
    steps = [position for position in positions if position.step is not None]
    if rate is None or not steps:
        return ""
    last = steps[-1]
    if last.step is None or last.total is None:
        return ""
    end = "left"
    if last.epoch is not None:
        end = "left of the epoch"
    left = max(0.0, (last.total - last.step) / rate)
    return f"{rate:.3g}/s, {clock(left)} {end}"


def _silence(paths: Iterable[Path], now: float) -> str:
    """Since when none of the files has grown, `nothing printed for 12:00`, where that is as long as
    `SILENT_S`; else "". Files that are not there do not count.

    `now` is by the files' clock, in seconds since 1970.
    """
    ages = []
    for path in paths:
        status = _status(path)
        if status is not None:
            ages.append(now - status.st_mtime)
    if not ages or min(ages) < SILENT_S:
        return ""
    return f"nothing printed for {clock(min(ages))}"


def _status(path: Path) -> os.stat_result | None:
    """What the filesystem says of a file; None: it is gone, or cannot be looked at."""
    try:
        return path.stat()
    except OSError:
        return None


def _where(positions: Iterable[Position]) -> str:
    """The last step that was reported, with its loss: `epoch 2, step 30/40, loss 1.5`. "": none is.

        stdout    loss 1.5
        stderr    12%|█▏ | 34/300 [00:05<00:40, 6.6it/s]      `step 34/300, loss 1.5`

    Where the line of the step has no loss, the first loss of any of the files stands for it.
    """
    known = list(positions)
    steps = [position for position in known if position.step is not None]
    if not steps:
        return ""
    last = steps[-1]
    words = f"step {last.step:,}"
    if last.epoch is not None:
        words = f"epoch {last.epoch}, {words}"
    if last.total is not None:
        words += f"/{last.total:,}"
    losses = [position.loss for position in known if position.loss]
    if last.loss:
        words += f", loss {last.loss}"
    elif losses:
        words += f", loss {losses[0]}"
    return words


def _words(event: Progressed) -> str:
    """How far a loop is: `train 400/12,000, 3.2 step/s, 1:00:25 left`, or `files 12 files` where
    neither a total nor a rate is known.
    """
    words = f"{event.what} {event.done:,}"
    if event.total is not None:
        words += f"/{event.total:,}"
    if event.rate_per_s is not None:
        words += f", {event.rate_per_s:.3g} {event.unit}/s"
    else:
        words += f" {event.unit}"
    if event.eta_s is not None:
        words += f", {clock(event.eta_s)} left"
    return words
