"""The jobs of an experiment on a time axis, as SVG: a band per run, its lanes packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from watchkeeper.query.views.pages import JobBar
from watchkeeper.show.report.drawing.curves import WIDTH, shortened
from watchkeeper.show.report.drawing.scales import Scale, time_scale
from watchkeeper.show.report.markup import Markup, tag

_LEFT = 110.0
_LANE = 15.0
_BAR = 12.0
_AXIS = 22.0
_LABEL_PER_CHARACTER = 5.6
_MOST_NAME = 18
MOST_RUNS = 60

Lanes = list[list[JobBar]]


def jobs_chart(bars: Sequence[JobBar], *, now: datetime, zone: str, title: str) -> Markup | None:
    """The executions with a start; None where there is none. What runs still ends at `now`. Of more
    than 60 runs, those that failed come first.

    `title` is its sentence for those who do not see it; times are those of `zone`.
    """
    started = [_until(bar, now) for bar in bars if bar.started is not None]
    if not started:
        return None
    bands = _bands(started)
    last = max(_end(bar) for bar in started)
    first = min(_beginning(bar) for bar in started)
    across = time_scale(first, last, _LEFT, WIDTH, zone=zone)
    height = _AXIS + sum(_height(lanes) for lanes in bands.values())
    return tag(
        "svg",
        tag("title", title),
        [_tick(across, tick, height) for tick in across.ticks],
        _drawn_bands(bands, across),
        class_="chart",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_label=title,
    )


def _until(bar: JobBar, now: datetime) -> JobBar:
    """The bar of a job that runs, up to now; any other as it is."""
    if bar.ended is None and bar.standing == "running":
        return msgspec.structs.replace(bar, ended=now)
    return bar


def _bands(bars: Sequence[JobBar]) -> dict[str, Lanes]:
    """Run → its bars in lanes, in the order in which the runs are met. Of more than 60 runs, those
    that failed come first.
    """
    runs: dict[str, Lanes] = {}
    for bar in bars:
        runs.setdefault(bar.run, [])
    if len(runs) > MOST_RUNS:
        failed = {bar.run for bar in bars if bar.standing == "failed"}
        ordered = sorted(runs, key=lambda run: run not in failed)
        runs = {run: [] for run in ordered[:MOST_RUNS]}
    for bar in sorted(bars, key=_start):
        if bar.run in runs:
            _put(bar, runs[bar.run])
    return runs


def _put(bar: JobBar, lanes: Lanes) -> None:
    """Put a bar into the first lane that is free when it starts, else into a new one."""
    for lane in lanes:
        if _end(lane[-1]) <= _start(bar):
            lane.append(bar)
            return
    lanes.append([bar])


def _seconds(at: datetime | None) -> float:
    """Seconds since 1970; 0 for None."""
    if at is None:
        return 0.0
    return at.timestamp()


def _start(bar: JobBar) -> float:
    return _seconds(bar.started)


def _beginning(bar: JobBar) -> float:
    """When it was queued; where nobody says, when it started."""
    return min(_start(bar), _seconds(bar.queued or bar.started))


def _end(bar: JobBar) -> float:
    return _seconds(bar.ended) or _start(bar)


def _height(lanes: Lanes) -> float:
    return len(lanes) * _LANE + 4


def _tick(across: Scale, tick: tuple[float, str], height: float) -> list[Markup]:
    """A moment: a line through all bands, and its words at the foot."""
    at, words = tick
    x = across.place(at)
    return [
        tag("line", x1=x, x2=x, y1=0.0, y2=height - _AXIS, class_="rule"),
        tag(
            "text", words, x=min(x, WIDTH - 24), y=height - 6, class_="quiet", text_anchor="middle"
        ),
    ]


def _drawn_bands(bands: dict[str, Lanes], across: Scale) -> Iterator[Markup]:
    """Each run's name over its lanes, with a line above."""
    top = 0.0
    for run, lanes in bands.items():
        yield tag("line", x1=0.0, x2=WIDTH, y1=top, y2=top, class_="rule")
        yield tag("text", shortened(run, _MOST_NAME), x=0.0, y=top + 13)
        for number, lane in enumerate(lanes):
            yield from _drawn_lane(lane, top + 2 + number * _LANE, across)
        top += _height(lanes)
    yield tag("line", x1=0.0, x2=WIDTH, y1=top, y2=top, class_="rule")


def _drawn_lane(lane: Sequence[JobBar], y: float, across: Scale) -> Iterator[Markup]:
    """The bars of one lane, from `y` down, each behind a thin line for the time in the queue. That
    line begins where the bar before ends: an attempt may be queued while another runs.
    """
    before = 0.0
    for bar in lane:
        queued = max(_beginning(bar), before)
        start, end = across.place(_start(bar)), across.place(_end(bar))
        if queued < _start(bar):
            middle = y + _BAR / 2
            thin = {"x1": across.place(queued), "x2": start, "y1": middle, "y2": middle}
            yield tag("line", **thin, class_="queued")
        yield _drawn_bar(bar, start, max(end - start, 1.5), y)
        before = _end(bar)


def _drawn_bar(bar: JobBar, x: float, wide: float, y: float) -> Markup:
    """One bar, with its word where there is room for it, and a cross where it failed: colour alone
    would not say so in print.
    """
    word = bar.label
    if bar.attempt > 1:
        word = f"{bar.label} {bar.attempt}"
    name = bar.standing.replace(" ", "-")
    shown = None
    if wide > len(word) * _LABEL_PER_CHARACTER + 6:
        shown = tag("text", word, x=x + 4, y=y + _BAR - 3, class_="inside")
    cross = None
    if bar.standing == "failed":
        shape = f"M{x + 2:.1f} {y + 3:.1f}l6 6m0 -6l-6 6"
        cross = tag("path", d=shape, class_="cross")
        shown = None
    return tag(
        "g",
        tag("title", f"{bar.key}, attempt {bar.attempt}: {bar.state}"),
        tag("rect", x=x, y=y, width=max(wide - 0.8, 1.0), height=_BAR),
        cross,
        shown,
        class_=f"bar {name}",
    )
