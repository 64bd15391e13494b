"""Figures and times as a table shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

_WEEK = timedelta(days=6)
_DIGITS = 4


def figures(values: Sequence[float | None]) -> list[str]:
    """One column of a metric, all with the same number of decimals: four below 1, else four
    significant digits, never more than were recorded. None is "".
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    decimals = _decimals(finite)
    return [_figure(value, decimals) for value in values]


def _decimals(values: Sequence[float]) -> int:
    """How many decimals a column has."""
    largest = max(map(abs, values), default=0.0)
    most = _DIGITS
    if largest >= 1:
        most = max(0, _DIGITS - len(str(int(largest))))
    recorded = 0
    for value in values:
        recorded = max(recorded, _recorded_decimals(value))
        if recorded >= most:
            return most
    return recorded


def _recorded_decimals(value: float) -> int:
    if isinstance(value, int) or value == int(value):
        return 0
    digits, _, exponent = repr(value).partition("e")
    return max(0, len(digits.partition(".")[2]) - int(exponent or 0))


def _figure(value: float | None, decimals: int) -> str:
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    if value and not round(value, decimals):
        return f"{value:.2g}"
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    return f"{value:,.{decimals}f}"


def when(time: datetime | None, now: datetime) -> str:
    """`11 s ago`, `44 min ago`, `06:05`, `Thu 17:45`, `25 Nov`, `2024-11-25`: in the zone of `now`;
    "" for None.
    """
    if time is None:
        return ""
    local = time.astimezone(now.tzinfo)
    age_s = (now - local).total_seconds()
    if 0 <= age_s < 60:
        return f"{age_s:.0f} s ago"
    if 0 <= age_s < 3600:
        return f"{age_s / 60:.0f} min ago"
    if local.date() == now.date():
        return f"{local:%H:%M}"
    if timedelta() <= now - local < _WEEK:
        return f"{local:%a %H:%M}"
    if local.year == now.year:
        return f"{local.day} {local:%b}"
    return f"{local:%Y-%m-%d}"
