"""How far a job is, by what its recorder wrote, else by what it prints: files, the same on whatever node it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from watchkeeper.core import journal
from watchkeeper.core.events import Advanced, Progressed, Stalled, StepFinished, StepStarted
from watchkeeper.core.trainlog import position
from watchkeeper.core.words import clock

TAIL_BYTES = 16_384  # of a job's output, in which its last step is looked for: files may be of any size


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


def progress_in_output(paths: Iterable[str]) -> str:
    """How far the job's output says it is, `step 20/300, loss 5.66`; "" where it names no step. Bars go to standard error,
    losses may to the other: what either says counts, the later file's step first.
    """
    found = [position(_tail(Path(path))) for path in paths if path]
    steps = [one for one in found if one is not None and one.step is not None]
    if not steps:
        return ""
    last = steps[-1]
    loss = last.loss or next((one.loss for one in found if one is not None and one.loss), None)
    epoch = f"epoch {last.epoch}, " if last.epoch is not None else ""
    total = f"/{last.total:,}" if last.total is not None else ""
    return f"{epoch}step {last.step:,}{total}" + (f", loss {loss}" if loss else "")


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _words(event: Progressed) -> str:
    done = f"{event.done:,}" + (f"/{event.total:,}" if event.total is not None else "")
    rate = f", {event.rate_per_s:.3g} {event.unit}/s" if event.rate_per_s is not None else f" {event.unit}"
    left = f", {clock(event.eta_s)} left" if event.eta_s is not None else ""
    return f"{event.what} {done}{rate}{left}"
