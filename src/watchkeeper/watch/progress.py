"""How far a job is, by what its recorder wrote, else by what it prints: files, the same on whatever node it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from watchkeeper.core import journal
from watchkeeper.core.events import Advanced, Progressed, Stalled, StepFinished, StepStarted
from watchkeeper.core.tails import end_as_text
from watchkeeper.core.trainlog import Position, position
from watchkeeper.core.words import clock

TAIL_BYTES = 16_384  # of a job's output, in which its last step is looked for: files may be of any size


SILENT_S = 300.0  # without output, before that is worth a word


class _Word(msgspec.Struct, frozen=True):
    """What is read here of `recorder.json`: where the recorder keeps its run folder."""

    folder: str


def progress_of(attempt_folder: Path) -> str:
    """The job's outermost loop and its step, as its recorder last said them, and whether its sidecar sees a stall; "" where
    there is none, or nobody said anything.
    """
    try:
        word = msgspec.json.decode((attempt_folder / "recorder.json").read_bytes(), type=_Word)
    except (OSError, msgspec.DecodeError):
        return ""
    step, loop, stall = "", "", ""
    for events in journal.read(Path(word.folder) / ".watchkeeper" / "journal").events.values():
        for event in events:
            if isinstance(event, StepStarted):
                step = event.step
            elif isinstance(event, StepFinished):
                step = ""
            elif isinstance(event, Progressed) and event.depth == 0:
                loop = "" if event.ended else _words(event)
            elif isinstance(event, Stalled):
                stall = f"STALLED since {event.since:%Y-%m-%d %H:%M:%S} UTC: {event.cause}"
            elif isinstance(event, Advanced):
                stall = ""
    return "; ".join(filter(None, [stall, step, loop]))


def progress_in_output(paths: Iterable[str], now: float) -> str:
    """How far the job's output says it is, `step 20/300, loss 5.66`, and since when it has printed nothing, where that is
    long; "" where there is nothing to say. Bars go to standard error, losses may to the other: what either says counts, the
    later file's step first. `now` is the time of the files' clock, in seconds.
    """
    named = [Path(path) for path in paths if path]
    found = [position(end_as_text(path, TAIL_BYTES)) for path in named]
    return ", ".join(filter(None, [_where(one for one in found if one is not None), _silence(named, now)]))


def _silence(paths: Iterable[Path], now: float) -> str:
    ages = [now - status.st_mtime for path in paths if (status := _status(path)) is not None]
    return f"nothing printed for {clock(min(ages))}" if ages and min(ages) >= SILENT_S else ""


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _where(found: Iterable[Position]) -> str:
    known = list(found)
    steps = [one for one in known if one.step is not None]
    if not steps:
        return ""
    last = steps[-1]
    loss = last.loss or next((one.loss for one in known if one.loss), None)
    epoch = f"epoch {last.epoch}, " if last.epoch is not None else ""
    total = f"/{last.total:,}" if last.total is not None else ""
    return f"{epoch}step {last.step:,}{total}" + (f", loss {loss}" if loss else "")


def _words(event: Progressed) -> str:
    done = f"{event.done:,}" + (f"/{event.total:,}" if event.total is not None else "")
    rate = f", {event.rate_per_s:.3g} {event.unit}/s" if event.rate_per_s is not None else f" {event.unit}"
    left = f", {clock(event.eta_s)} left" if event.eta_s is not None else ""
    return f"{event.what} {done}{rate}{left}"
