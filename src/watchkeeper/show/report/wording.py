"""Figures, durations and times as the pages show them. Pure; the rules are those of format.js."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from watchkeeper.core.text.zones import zone_of

MINUS = "\u2212"
_MOST_DECIMALS = 4
_DAY = 1_440
"""Minutes."""
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")

Figure = int | float | str | None


def figure(value: Figure) -> str:
    """A metric: four decimals below 1, else four significant digits, never more than recorded.
    "" for None.
    """
    return figures([value])[0]


def figures(values: Sequence[Figure]) -> list[str]:
    """The metrics of one column, with one number of decimals: the most that any of them has alone.

    `[0.95, 0.9533, None]` → `["0.9500", "0.9533", ""]`. Texts, NaN and infinity stand as they are.
    """
    wanted = [_decimals(value) for value in values if _is_real(value)]
    decimals = max(wanted, default=0)
    return [_figure(value, decimals) for value in values]


def _is_real(value: Figure) -> bool:
    """Whether the value is a finite number, which decimals can be counted of."""
    return isinstance(value, int | float) and math.isfinite(value)


def _decimals(value: Figure) -> int:
    """How many decimals the value is shown with, on its own. Zeros at the end were not recorded:
    0.5 has one.
    """
    assert isinstance(value, int | float)
    if isinstance(value, int):
        return 0
    most = _MOST_DECIMALS
    if abs(value) >= 1:
        whole = len(str(int(abs(value))))
        most = max(0, _MOST_DECIMALS - whole)
    recorded = f"{value:.{most}f}".rstrip("0").partition(".")[2]
    return len(recorded)


def _figure(value: Figure, decimals: int) -> str:
    """One metric with `decimals` decimals. One so small that all of them would be 0 is written as
    `3.10e−06`.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace("-", MINUS)
    if value and abs(value) < 0.5 * 10**-_MOST_DECIMALS:
        return f"{value:.2e}".replace("-", MINUS)
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def count(value: float | None) -> str:
    """A count or a step, thousands separated; "" for None."""
    if value is None:
        return ""
    return f"{value:,.0f}".replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """A duration in two units at most: `1.4 s`, `13 s`, `16 h 4 min`; "" for None."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < _DAY:
        return _two_units(minutes, 60, "h", "min")
    return _two_units(round(minutes / 60), 24, "d", "h")


def _two_units(amount: int, per: int, big: str, small: str) -> str:
    """An amount in a large and a small unit, `per` of which make a large one: `16 h 4
    min`, `16 h`.
    """
    whole, rest = divmod(amount, per)
    if rest:
        return f"{whole:,} {big} {rest} {small}"
    return f"{whole:,} {big}"


def size(count_of_bytes: int | None) -> str:
    """A size: `4.1 MB`, `820 B`; "" for None. Units are of 1,000, as those of disks are."""
    if count_of_bytes is None:
        return ""
    value = float(count_of_bytes)
    unit = 0
    while value >= 1000 and unit < len(_SIZES) - 1:
        value /= 1000
        unit += 1
    decimals = 0
    if unit and value < 100:
        decimals = 1
    return f"{value:.{decimals}f} {_SIZES[unit]}"


class Clock:
    """Times as the journal's zone has them."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._zone = zone_of(zone)

    def time(self, at: datetime | None) -> str:
        """`18:34:55`; "" for None."""
        return self._shown(at, "%H:%M:%S")

    def minute(self, at: datetime | None) -> str:
        """`27 Nov 18:34`; "" for None."""
        if at is None:
            return ""
        here = at.astimezone(self._zone)
        return f"{here.day} {here:%b %H:%M}"

    def day(self, at: datetime) -> str:
        """`27 November 2026`."""
        here = at.astimezone(self._zone)
        return f"{here.day} {here:%B %Y}"

    def name(self, at: datetime) -> str:
        """What the zone is called then: `UTC`, `CET`."""
        return at.astimezone(self._zone).tzname() or self.zone

    def span(self, start: datetime | None, end: datetime | None) -> str:
        """`27 November 2026, 18:34:55 to 18:35:08 UTC`; what is not known is left out."""
        if start is None:
            return ""
        name = self.name(start)
        if end is None:
            return f"since {self.day(start)}, {self.time(start)} {name}"
        if self.day(start) == self.day(end):
            return f"{self.day(start)}, {self.time(start)} to {self.time(end)} {name}"
        return f"{self.day(start)}, {self.time(start)} to {self.day(end)}, {self.time(end)} {name}"

    def _shown(self, at: datetime | None, form: str) -> str:
        """A time in the zone of the page, in a form of `strftime`; "" for None."""
        if at is None:
            return ""
        return at.astimezone(self._zone).strftime(form)
