"""The smoothed line: an exponential moving average without the bias of its beginning. Pure.

After `n` finite values it is the weighted mean of these, the newest with weight 1, the one before
with `smoothing`, and so on. NaN and infinities are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MOST = 0.999
FEWEST_ROWS = 500
"""Of fewer values nothing is smoothed by default."""
_STEPS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, MOST)
_PARTS = 380
"""By default the average spans one such part of the values."""


def default_smoothing(rows: int) -> float:
    """The smoothing of a line of this many values: from 0 to 0.999."""
    if rows < FEWEST_ROWS:
        return 0.0
    wanted = 1 - _PARTS / rows
    return max((step for step in _STEPS if step <= wanted), default=0.0)


class Average:
    """The running sum behind the smoothed line: `total` over `weight`. `smoothing` is below 1."""

    def __init__(self, smoothing: float, total: float = 0.0, weight: float = 0.0) -> None:
        self.smoothing = smoothing
        self.total = total
        self.weight = weight

    @property
    def value(self) -> float:
        """The smoothed value; NaN before the first finite one."""
        if self.weight:
            return self.total / self.weight
        return math.nan

    def add(self, figures: Sequence[float]) -> None:
        """Take values in, without their smoothed line."""
        if not math.isfinite(sum(figures)):
            figures = list(filter(math.isfinite, figures))
        smoothing = self.smoothing
        total = self.total
        for figure in figures:
            total = smoothing * total + figure
        self.total = total
        faded = smoothing ** len(figures)
        self.weight = faded * self.weight + (1.0 - faded) / (1.0 - smoothing)

    def line(self, figures: Sequence[float]) -> list[float]:
        """Take values in; the smoothed value after each."""
        smoothing = self.smoothing
        total, weight = self.total, self.weight
        smooth = []
        value = self.value
        for figure in figures:
            if figure - figure == 0.0:
                total = smoothing * total + figure
                weight = smoothing * weight + 1.0
                value = total / weight
            smooth.append(value)
        self.total, self.weight = total, weight
        return smooth
