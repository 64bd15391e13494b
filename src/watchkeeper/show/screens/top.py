"""The picture of `top`: counts, what runs, what happened lately, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from watchkeeper.query.views.pages import Overview, RunningRow
from watchkeeper.query.views.recent import Happened, newest
from watchkeeper.show.listing.grid import Column, grid, one_line
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens import words
from watchkeeper.show.screens.happened import happened_lines
from watchkeeper.show.screens.running import (
    DROP_EVIDENCE,
    DROP_EXPERIMENT,
    DROP_HEALTH,
    ends_in,
    health_words,
    marked,
    progress_columns,
)
from watchkeeper.show.text import width
from watchkeeper.watch.health.judge import ALARMS

MOST_EVENTS = 5
_LEAST_NAME = 8
_FRAME = 6  # lines around runs and events: heading, header, keys and rules
_NOT_COUNTED = ("blocked",)
_KEYS = "↑↓ choose  ⏎ open  l log  n note  c cancel  r retry  / filter  ? keys  q quit"
_FEW_KEYS = "↑↓ choose  ⏎ open  ? keys  q quit"
_IN_ASCII = str.maketrans({"↑": "up/", "↓": "down", "⏎": "Enter"})
_REVERSE, _PLAIN = "\x1b[7m", "\x1b[27m"


class TopPicture(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn. `height` in lines, None for as many as it takes; `chosen`: the number of a
    row, None for none; `rows` are the runs that are shown, of all that run; `foot` stands in the
    place of the keys, where there is one.
    """

    overview: Overview
    rows: Sequence[RunningRow]
    happened: Sequence[Happened] = ()
    height: int | None = None
    chosen: int | None = None
    filter: str = ""
    foot: Sequence[str] = ()


def top_lines(picture: TopPicture, screen: Screen, now: datetime) -> list[str]:
    """The picture, in at most its height."""
    rule = screen.rule * min(screen.room, 120)
    table, events = _shares(picture)
    runs = _runs(picture, table, screen, now)
    lines = [*_heading(picture, screen, now), rule, *runs, rule]
    recent = newest(picture.happened, events)
    if recent:
        lines += [*happened_lines(recent, screen, now), rule]
    return [*lines, *(picture.foot or [keys_line(screen)])]


def _shares(picture: TopPicture) -> tuple[int, int]:
    """How many lines runs and events get. Runs come first, but three lines stay for events."""
    if picture.height is None:
        return len(picture.rows), MOST_EVENTS
    room = max(2, picture.height - _FRAME - max(0, len(picture.foot) - 1))
    events = min(3, len(picture.happened), room - 1)
    table = max(1, min(len(picture.rows), room - events))
    return table, max(0, room - table)


def _heading(picture: TopPicture, screen: Screen, now: datetime) -> list[str]:
    """`night   7 failed  3 running  110 done`, and the time at the right."""
    time = f"{now:%H:%M:%S}"
    counts = words.people_counts(picture.overview.counts)
    parts = [f"{count:,} {one}" for one, count in counts.items() if one not in _NOT_COUNTED]
    reading = picture.overview.reading
    if reading.done < reading.total:
        parts.append(f"{reading.done:,} of {reading.total:,} read")
    if picture.filter:
        parts.append(f"/{picture.filter}")
    text = one_line(picture.overview.name) + "   " + "  ".join(parts)
    line_width = min(screen.room, 120)
    text = screen.cut(text, max(1, line_width - len(time) - 2))
    return [text + " " * (line_width - width(text) - len(time)) + time]


def keys_line(screen: Screen) -> str:
    """What the keys do, as much of it as there is room for."""
    for keys in (_KEYS, _FEW_KEYS):
        shown = keys
        if not screen.is_utf8:
            shown = keys.translate(_IN_ASCII)
        if width(shown) <= screen.room:
            return shown
    return screen.cut("? keys  q quit", screen.room)


# ── what runs


def _runs(picture: TopPicture, most: int, screen: Screen, now: datetime) -> list[str]:
    """The header and a line for each run, the chosen one in reverse, with those around it."""
    rows = picture.rows
    if not rows:
        return [screen.cut(_nothing(picture), screen.room)]
    first = 0
    if picture.chosen is not None:
        first = max(0, min(picture.chosen - most // 2, len(rows) - most))
    shown = rows[first : first + most]
    header, _, *lines = grid(_columns(shown, screen, now), screen).splitlines()
    if picture.chosen is not None:
        number = picture.chosen - first
        lines[number] = f"{_REVERSE}{lines[number]}{_PLAIN}"
    return [header, *lines]


def _nothing(picture: TopPicture) -> str:
    """Why there is no run to show."""
    if picture.filter:
        return f"nothing that runs matches {one_line(picture.filter)!r}"
    return "nothing runs"


def _columns(rows: Sequence[RunningRow], screen: Screen, now: datetime) -> list[Column]:
    """Name, experiment, progress and end; where there is room also health and evidence."""
    names = Column(header="run", cells=[row.key for row in rows], least=_LEAST_NAME, wide=10)
    places = Column(
        header="in",
        cells=[row.experiment for row in rows],
        least=_LEAST_NAME,
        drop=DROP_EXPERIMENT,
    )
    left = Column(header="left", cells=list(map(_left, rows)), right=True)
    if not screen.is_wide:
        return [names, places, *progress_columns(rows, screen, bar=10, spark=10), left]
    health = Column(header="health", cells=list(map(health_words, rows)), drop=DROP_HEALTH)
    left.cells = [ends_in(row, is_wide=False) for row in rows]
    left.wide = 6
    evidence = Column(
        header="evidence",
        cells=[_evidence(row, now) for row in rows],
        right=True,
        drop=DROP_EVIDENCE,
    )
    progress = progress_columns(rows, screen, bar=14, spark=20)
    return [names, places, health, *progress, left, evidence]


def _left(row: RunningRow) -> str:
    """`49m`, `!16h`; of a run that is not well, how it is."""
    if row.health in ALARMS:
        return f"!{row.health}"
    if row.progress.eta_s is None:
        return ""
    return marked(words.tight_span(row.progress.eta_s), row).replace("! ", "!")


def _evidence(row: RunningRow, now: datetime) -> str:
    """How old the newest observation is."""
    if row.evidence is None:
        return ""
    return words.age(row.evidence.at, now)
