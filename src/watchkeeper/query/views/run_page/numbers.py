"""Figures as a page has them."""

from __future__ import annotations

import math

from watchkeeper.query.views.shared import Real
from watchkeeper.runfolder.values import spell

_MOST_WHOLE = 2**53  # a float above it is no count


def plain(value: float | None) -> Real | None:
    """A whole number as an integer, so that it is shown as one; None for what is no number.

        400.0 → 400     0.5 → 0.5     NaN → None     infinity → infinity

    A float of 2**53 or more stays one: it may stand for several integers.
    """
    if value is None:
        return None
    if math.isnan(value):
        return None
    if abs(value) < _MOST_WHOLE and value == int(value):
        return int(value)
    return value


def spelled(value: float | None) -> Real | str | None:
    """A figure, or the name of what is not finite: `NaN`, `Infinity`, `-Infinity`. None stays."""
    if value is None or math.isfinite(value):
        return plain(value)
    return spell(value)
