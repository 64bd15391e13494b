"""From figures to places on a chart: linear, logarithmic and time scales with ticks. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from watchkeeper.core.text.zones import zone_of
from watchkeeper.show.report.wording import count

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_STEPS = (1, 2, 5)
LOG_FROM = 10.0
"""From this ratio of the greatest to the least on, a loss is drawn on a log scale."""
_SECONDS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    3_600,
    7_200,
    10_800,
    21_600,
    43_200,
)
_DAY = 86_400


@dataclass(frozen=True)
class Scale:
    """Places the figures `least` to `greatest` between `start` and `end`. `ticks` are figures with
    the words beside them.
    """

    least: float
    greatest: float
    start: float
    end: float
    is_log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float) -> float:
        """Where a figure is; beyond the ends it is at the end, and in the middle where both ends
        are the same figure.
        """
        low, high, at = self.least, self.greatest, value
        if self.is_log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.least))
        share = 0.5
        if high > low:
            share = (at - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def value_scale(values: Sequence[float], start: float, end: float, *, most: int = 5) -> Scale:
    """A scale for figures; logarithmic where all are above 0 and the greatest is ten times the
    least.
    """
    least, greatest = min(values), max(values)
    if least > 0 and greatest / least >= LOG_FROM:
        return _log_scale(least, greatest, start, end)
    return linear_scale(least, greatest, start, end, most=most)


def linear_scale(
    least: float,
    greatest: float,
    start: float,
    end: float,
    *,
    most: int = 5,
    words: Callable[[float], str] | None = None,
) -> Scale:
    """A linear scale, with at most about `most` round ticks.

    `start` and `end` are places on the drawing; `words` says a tick, None: as a number with as many
    decimals as the distance of two ticks needs. Where both figures are the same, there is a tenth
    of room on each side.
    """
    if greatest <= least:
        room = abs(least) * 0.1 or 1.0
        least, greatest = least - room, greatest + room
    step = _step(greatest - least, most)
    first = math.ceil(least / step - 1e-9)
    last = math.floor(greatest / step + 1e-9)
    marks = [number * step for number in range(first, last + 1)]
    shown = words or _plain_words(step)
    ticks = tuple((mark, shown(mark)) for mark in marks)
    return Scale(least, greatest, start, end, ticks=ticks)


def _step(room: float, most: int) -> float:
    """The least round distance of which at most `most` fit into `room`: 1, 2, 2.5 or 5 times a
    power of ten. A billionth more or less is an error of rounding.
    """
    size = 10.0 ** math.floor(math.log10(room / most))
    return next(size * step for step in _STEPS if size * step * most >= room * (1 - 1e-9))


def _plain_words(step: float) -> Callable[[float], str]:
    """What writes the ticks of a scale: each with the decimals of the distance `step`, 2.5 with
    one, and a minus as typesetters draw it. `+ 0.0` makes 0 of -0.
    """
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if f"{step:.{decimals}f}" != f"{step:.{decimals + 1}f}".rstrip("0").rstrip("."):
        decimals += int(step < 1)
    return lambda value: f"{value + 0.0:,.{decimals}f}".replace("-", "\u2212")


def _log_scale(least: float, greatest: float, start: float, end: float) -> Scale:
    """A logarithmic scale with at most eight ticks: 1, 2 and 5 of each power of ten, over more than
    three of them the powers alone.
    """
    low = math.floor(math.log10(least))
    high = math.ceil(math.log10(greatest))
    steps = _LOG_STEPS if high - low <= 3 else (1,)
    marks: list[float] = []
    for power in range(low, high + 1):
        marks += [step * 10.0**power for step in steps]
    inside = [mark for mark in marks if least <= mark <= greatest]
    thinned = inside[:: max(1, math.ceil(len(inside) / 8))]
    ticks = tuple((mark, f"{mark:g}") for mark in thinned)
    return Scale(least, greatest, start, end, is_log=True, ticks=ticks)


def step_scale(least: float, greatest: float, start: float, end: float) -> Scale:
    """A scale of training steps. There is no half step, and no tick at one."""
    scale = linear_scale(least, greatest, start, end, most=6, words=count)
    whole = tuple(tick for tick in scale.ticks if tick[0] == round(tick[0]))
    return Scale(scale.least, scale.greatest, start, end, ticks=whole)


def time_scale(
    least: float, greatest: float, start: float, end: float, *, zone: str, most: int = 7
) -> Scale:
    """A scale of seconds since 1970, with clock times of the zone at round moments.

    `18:30`, with seconds where the ticks are less than a minute apart, and `27 Nov` where they are
    days. Over a change of the clock, the offset at the begin counts.
    """
    greatest = max(greatest, least + 1)
    room = greatest - least
    step = next((one for one in _SECONDS if room / one <= most), 0)
    if not step:
        step = _DAY * math.ceil(room / _DAY / most)
    offset = _offset(least, zone)
    form = "%H:%M"
    if step < 60:
        form = "%H:%M:%S"
    elif step >= _DAY:
        form = "%d %b"
    first = math.ceil((least + offset) / step)
    last = math.floor((greatest + offset) / step)
    marks = [number * step - offset for number in range(first, last + 1)]
    ticks = tuple((mark, _clock(mark, zone, form)) for mark in marks)
    return Scale(least, greatest, start, end, ticks=ticks)


def _offset(at: float, zone: str) -> float:
    """How many seconds the zone's clock is before UTC's at a moment."""
    offset = datetime.fromtimestamp(at, zone_of(zone)).utcoffset()
    if offset is None:
        return 0.0
    return offset.total_seconds()


def _clock(at: float, zone: str, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone(zone_of(zone)).strftime(form)
