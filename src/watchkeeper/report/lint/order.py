"""Neighbours in a list that should stand oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from watchkeeper.report.runlog.dates import Stamp

T = TypeVar("T")


def misplaced(dated: Sequence[tuple[Stamp, T]]) -> list[tuple[T, T]]:
    """Each one that is older than the one above it: the one above, and itself.

    `dated` are times with whatever stands there, from top to bottom. Two times whose order cannot
    be known, such as a day and a time within it, are in order.
    """
    pairs = []
    for (before, above), (after, below) in pairwise(dated):
        gap = before.seconds_until(after)
        if gap is not None and gap < 0:
            pairs.append((above, below))
    return pairs


def is_reversed(dated: Sequence[object], pairs: Sequence[object]) -> bool:
    """Whether all stand newest first, where `pairs` are the misplaced ones of `dated`.

    Two in the wrong order are a mistake, not a way to keep a log.
    """
    gaps = len(dated) - 1
    return len(pairs) > 1 and len(pairs) == gaps
