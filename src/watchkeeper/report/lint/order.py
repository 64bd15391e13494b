"""Neighbours in a list that should stand oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from watchkeeper.report.runlog.dates import Stamp

T = TypeVar("T")


def misplaced(dated: Sequence[tuple[Stamp, T]]) -> list[tuple[T, T]]:
    """Each one that is older than the one above it: the one above, and itself."""
    pairs = []
    for (before, above), (after, below) in pairwise(dated):
        gap = before.seconds_until(after)
        if gap is not None and gap < 0:
            pairs.append((above, below))
    return pairs


def is_reversed(dated: Sequence[object], pairs: Sequence[object]) -> bool:
    """Whether all stand newest first, where `pairs` are the misplaced ones."""
    return len(pairs) > 1 and len(pairs) == len(dated) - 1
