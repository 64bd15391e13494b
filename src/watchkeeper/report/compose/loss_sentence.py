"""A sentence on a loss curve that its first and last figures do not say. Pure; the rules stand at
their constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]
"""(training step, loss); the loss may be no finite number."""

SEGMENTS = 10  # a long curve is read as the medians of so many equal parts: single values are noise
QUARTERS = 4  # of the way, at whose ends a milestone stands
FEWEST = 3  # values, below which there is no curve
FELL = 0.02  # of the first loss: a smaller fall is none
LOST = 0.5  # of the fall, lost again at the end: the curve has turned
# of the fall: what is still to come on a plateau, and what the last fifth must bring to be falling
# still
LEFT = 0.05
ROSE = 0.05  # of the lowest validation loss: so much above it at the end is a rise


def reading(train: Sequence[Point], val: Sequence[Point] = ()) -> str:
    """What the curve says, in one sentence: that it plateaued, diverged, is falling still, or was
    never logged.
    """
    if not train and not val:
        return "no loss was ever logged"
    if train:
        name = "the training loss"
    else:
        name = "the validation loss"
    curve = sorted(train or val)
    wrong = next((step for step, loss in curve if not math.isfinite(loss)), None)
    if wrong is not None:
        return f"diverged: {name} is no finite number from step {wrong:.0f} on"
    if len(curve) < FEWEST:
        return (
            f"{name} was logged {len(curve)} time{'s' if len(curve) > 1 else ''} only: too "
            "seldom to say how it went"
        )
    return f"{name} {_shape(_parts(curve))}{_validation(sorted(val)) if train else ''}"


def milestones(train: Sequence[Point]) -> list[Point]:
    """The losses at the quarters of the way, each as it was logged there: the last value at or
    before the quarter's step. A curve of fewer than eight values has none, since its ends say as
    much.
    """
    curve = [point for point in sorted(train) if math.isfinite(point[0])]
    if len(curve) < 2 * QUARTERS:
        return []
    first, last = curve[0][0], curve[-1][0]
    marks = [first + (last - first) * part / QUARTERS for part in range(1, QUARTERS)]
    found = [
        max((point for point in curve if point[0] <= mark), key=lambda point: point[0])
        for mark in marks
    ]
    return list(dict.fromkeys(found))


def _parts(curve: Sequence[Point]) -> list[Point]:
    """The curve itself, or its segments: (last step, median loss) of each."""
    if len(curve) < 2 * SEGMENTS:
        return list(curve)
    size = len(curve) / SEGMENTS
    pieces = [curve[round(i * size) : round((i + 1) * size)] for i in range(SEGMENTS)]
    return [(piece[-1][0], sorted(loss for _, loss in piece)[len(piece) // 2]) for piece in pieces]


def _shape(parts: Sequence[Point]) -> str:
    losses = [loss for _, loss in parts]
    first, last, low = losses[0], losses[-1], min(losses)
    turned = parts[losses.index(low)][0]
    fall = first - low
    if last > first + FELL * abs(first):
        return f"diverged after step {turned:.0f}: it ended above where it began"
    if fall <= FELL * abs(first):
        return "never fell: it ended about where it began"
    if last > low + LOST * fall:
        return (
            f"turned after step {turned:.0f}: more than half of what it had fallen was lost again"
        )
    fifth = losses[-1 - max(1, len(losses) // 5)] - last
    if fifth >= LEFT * fall:
        return (
            f"was still falling at the end: its last fifth brought {100 * fifth / fall:.0f} % "
            "of the fall"
        )
    settled = next(step for step, loss in parts if loss <= low + LEFT * fall)
    return f"plateaued from about step {settled:.0f} on"


def _validation(val: Sequence[Point]) -> str:
    finite = [(step, loss) for step, loss in val if math.isfinite(loss)]
    if len(finite) < len(val):
        return "; the validation loss was no finite number at times"
    if len(finite) < FEWEST:
        return ""
    best, low = min(finite, key=lambda point: point[1])
    if finite[-1][1] > low + ROSE * abs(low):
        return (
            f"; the validation loss was lowest at step {best:.0f} and rose since, so that it "
            "overfits from there"
        )
    return ""
