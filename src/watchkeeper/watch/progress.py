"""How far a job is, from what its recorder wrote; on whatever node it runs, the files are the same."""

from __future__ import annotations

from pathlib import Path

import msgspec

from watchkeeper.core import journal
from watchkeeper.core.events import Advanced, Progressed, Stalled, StepFinished, StepStarted
from watchkeeper.core.words import clock


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


def _words(event: Progressed) -> str:
    done = f"{event.done:,}" + (f"/{event.total:,}" if event.total is not None else "")
    rate = f", {event.rate_per_s:.3g} {event.unit}/s" if event.rate_per_s is not None else f" {event.unit}"
    left = f", {clock(event.eta_s)} left" if event.eta_s is not None else ""
    return f"{event.what} {done}{rate}{left}"
