"""Events as lines of `top`: when, a glyph, what, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import msgspec

from watchkeeper.core.events import (
    Advanced,
    Assessed,
    Checkpoint,
    Detached,
    Judged,
    Noted,
    Number,
    RunEnded,
    RunStarted,
    Stalled,
    Vanished,
)
from watchkeeper.query.views.recent import Happened
from watchkeeper.show.listing.grid import one_line
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens import words
from watchkeeper.show.text import width
from watchkeeper.watch.verdict.judge import LAST_LINE

_WELL = ("done", "failed but good")
_ENDS = {"finished": "done", "failed": "failed", "interrupted": "failed"}


class News(msgspec.Struct, frozen=True):
    """What is said of an event: the kind of its glyph, of whom, what, and why ("": no more)."""

    kind: str
    name: str
    what: str
    why: str = ""


def happened_lines(happened: Sequence[Happened], screen: Screen, now: datetime) -> list[str]:
    """A line for each event; the reasons stand below one another where there is room."""
    lines = []
    for one in happened:
        news = news_of(one)
        room = min(screen.room, 120)
        if screen.is_wide and news.why:
            room = room // 2 + 7
        text = f"{words.clock(one.event.time, now)}  {screen.glyph(news.kind)} "
        text = screen.cut(text + _named(news, room - width(text), screen), room)
        if screen.is_wide and news.why:
            text += " " * (room + 2 - width(text)) + one_line(news.why)
        lines.append(screen.paint_glyphs(screen.cut(text, screen.room)))
    return lines


def _named(news: News, room: int, screen: Screen) -> str:
    """Of whom and what; of a name that has no room, its end."""
    name, what = one_line(news.name), one_line(news.what)
    left = max(8, room - width(what) - 1)
    kept = name[-left:]
    while width(kept) > left:
        kept = kept[1:]
    if kept != name:
        dots = screen.cut("....", 3)[-1:]
        kept = dots + kept[1:]
    return f"{kept} {what}"


def news_of(happened: Happened) -> News:
    """What an event says to a person: its glyph, whom it is about, what happened, and why."""
    write = _WRITERS[type(happened.event)]
    news = write(happened.name, happened.event)
    if happened.is_whole is None:
        return news
    whole = {True: "whole", False: "not whole"}[happened.is_whole]
    return msgspec.structs.replace(news, why=f"{whole}, {news.why}")


def _judged(name: str, event: Judged) -> News:
    """How a job ended."""
    name = f"{name}/{event.key}"
    if event.outcome in _WELL:
        return News("done", name, "done")
    if event.outcome == "unknown":
        return News("unknown", name, "state unknown", event.why)
    _, _, line = event.why.partition(LAST_LINE)
    reason = line.partition("; nothing at ")[0] or event.why
    return News("failed", name, event.outcome, reason)


def _assessed(name: str, event: Assessed) -> News:
    """That a job is not well, or is again."""
    name = f"{name}/{event.key}"
    if event.alarm == "over":
        return News("running", name, "advances again")
    return News("warning", name, f"{event.health}{_at(event.step)}", event.why)


def _stalled(name: str, event: Stalled) -> News:
    """That a run makes no progress."""
    return News("warning", name, f"stalled{_at(event.training_step)}", event.cause)


def _advanced(name: str, event: Advanced) -> News:
    """That a run makes progress again."""
    return News("running", name, "advances again", f"after {words.span(event.stalled_s)}")


def _checkpoint(name: str, event: Checkpoint) -> News:
    """That a run saved a checkpoint."""
    files = words.counted(len(event.files), "file")
    what = f"checkpoint {PurePosixPath(event.path).name}"
    return News("running", name, what, files)


def _vanished(name: str, event: Vanished) -> News:
    """That a run's process is gone."""
    return News("failed", name, f"died{_at(event.training_step)}", event.cause)


def _started(name: str, event: RunStarted) -> News:
    """That a run began, or began again."""
    if event.execution > 1:
        return News("running", name, "started again", f"execution {event.execution}")
    return News("running", name, "started")


def _ended(name: str, event: RunEnded) -> News:
    """How a recorded run ended."""
    return News(_ENDS[event.status], name, event.status, event.error)


def _detached(name: str, event: Detached) -> News:
    """That a watcher left."""
    return News("warning", name, "is watched by nobody", event.why)


def _noted(name: str, event: Noted) -> News:
    """That somebody wrote a note."""
    key = "/".join(filter(None, [name, event.key]))
    return News("waiting", key, "note", event.text)


def _at(step: Number | None) -> str:
    """` at step 12,000`; "" where that is not known."""
    if not isinstance(step, int | float):
        return ""
    return f" at step {step:,}"


_WRITERS: dict[type, Callable[[str, Any], News]] = {
    Judged: _judged,
    Assessed: _assessed,
    Stalled: _stalled,
    Advanced: _advanced,
    Checkpoint: _checkpoint,
    Vanished: _vanished,
    RunStarted: _started,
    RunEnded: _ended,
    Detached: _detached,
    Noted: _noted,
}
