"""Which figure of a metric is the better one, by the metric's name."""

from __future__ import annotations

from watchkeeper.report.compare.direction import is_less_better
from watchkeeper.runfolder.executions import is_measured


def is_ranked(metric: str) -> bool:
    """Whether a metric's name says which figures are the better ones."""
    return is_less_better(metric) or is_measured(metric)


def sign_of(metric: str) -> int:
    """1 where more is better, -1 where less is, 0 where nobody knows: such a metric has no best."""
    if is_less_better(metric):
        return -1
    if is_measured(metric):
        return 1
    return 0
