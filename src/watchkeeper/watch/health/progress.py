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
    """The figures by what the job's recorder wrote, else by what it prints."""
    recorder = read_link(attempt_folder)
    if recorder is not None:
        figures = figures_in_run(recorder)
        if figures.step is not None:
            return figures
    return figures_in_output(streams)


def figures_in_run(folder: Path) -> Figures:
    """The figures of a recorded run: of its rows, its journal and its status file."""
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
    """When the run last logged a line, or its command printed one; None where neither did."""
    ages = [_age(folder / name) for name in _OUTPUTS]
    return max(ages) or None


def _rate_in(folder: Path) -> float | None:
    """Steps per second over the newest rows; None where they do not say it."""
    newest = max(files_of(folder), key=_age, default=None)
    if newest is None:
        return None
    rows = [
        decode_fields(line.encode()) or {} for line in last_lines(newest, _PACE_ROWS, TAIL_BYTES)
    ]
    points = [(row["step"], row["time"]) for row in rows if "step" in row and "time" in row]
    if len(points) < 2:
        return None
    return _slope(points[0], points[-1])


def _slope(first: tuple[object, object], last: tuple[object, object]) -> float | None:
    """The steps between two rows over the seconds between them."""
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
    """When a file last grew; 0 where it is gone."""
    status = _status(path)
    if status is None:
        return 0.0
    return status.st_mtime


def figures_in_output(streams: Iterable[str]) -> Figures:
    """The figures by the ends of a job's output files; a later file's step goes first."""
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
    """The loss as a number; None where it is none that is finite."""
    try:
        loss = float(here.loss or "nan")
    except ValueError:
        return None
    if math.isfinite(loss):
        return loss
    return None


def progress_of(attempt_folder: Path) -> str:
    """The job's outermost loop and its step, as its recorder last said them, and whether its
    sidecar sees a stall; "" where there is none, or nobody said anything.
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
                if event.ended:
                    loop = ""
                else:
                    loop = _words(event)
            elif isinstance(event, Stalled):
                stall = f"STALLED since {event.since:%Y-%m-%d %H:%M:%S} UTC: {event.cause}"
            elif isinstance(event, Advanced):
                stall = ""
    return "; ".join(filter(None, [stall, step, loop]))


def progress_in_output(paths: Iterable[str], now: float) -> str:
    """How far the job's output says it is, `step 20/300, loss 5.66, 6.6/s, 0:42 left`, and since
    when it has printed nothing, where that is long; "" where there is nothing to say. Bars go to
    standard error, losses may to the other: what either says counts, the later file's step first.
    `now` is the time of the files' clock, in seconds.
    """
    named = [Path(path) for path in paths if path]
    ends = [end_as_text(path, TAIL_BYTES) for path in named]
    positions = [one for one in map(position, ends) if one is not None]
    rate = next(filter(None, map(bar_rate, reversed(ends))), None)
    return ", ".join(
        filter(None, [_where(positions), _pace(positions, rate), _silence(named, now)])
    )


def _pace(positions: Sequence[Position], rate: float | None) -> str:
    """The bar's own rate, and what is left at it; of an epoch, what is left of that."""
    last = next((one for one in reversed(positions) if one.step is not None), None)
    if rate is None or last is None or last.step is None or last.total is None:
        return ""
    if last.epoch is None:
        end = "left"
    else:
        end = "left of the epoch"
    return f"{rate:.3g}/s, {clock(max(0.0, (last.total - last.step) / rate))} {end}"


def _silence(paths: Iterable[Path], now: float) -> str:
    ages = [now - status.st_mtime for path in paths if (status := _status(path)) is not None]
    if ages and min(ages) >= SILENT_S:
        return f"nothing printed for {clock(min(ages))}"
    return ""


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _where(positions: Iterable[Position]) -> str:
    known = list(positions)
    steps = [one for one in known if one.step is not None]
    if not steps:
        return ""
    last = steps[-1]
    loss = last.loss or next((one.loss for one in known if one.loss), None)
    if last.epoch is not None:
        epoch = f"epoch {last.epoch}, "
    else:
        epoch = ""
    if last.total is not None:
        total = f"/{last.total:,}"
    else:
        total = ""
    return f"{epoch}step {last.step:,}{total}" + (f", loss {loss}" if loss else "")


def _words(event: Progressed) -> str:
    done = f"{event.done:,}" + (f"/{event.total:,}" if event.total is not None else "")
    if event.rate_per_s is not None:
        rate = f", {event.rate_per_s:.3g} {event.unit}/s"
    else:
        rate = f" {event.unit}"
    if event.eta_s is not None:
        left = f", {clock(event.eta_s)} left"
    else:
        left = ""
    return f"{event.what} {done}{rate}{left}"
