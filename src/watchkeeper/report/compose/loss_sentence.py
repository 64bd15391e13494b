"""One sentence on a loss curve: what its first and last figures do not say. Pure; the rules stand
beside their constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]
"""(training step, loss); the loss may be NaN or infinite."""

# A long curve is read as the medians of this many equal parts: single values are noise.
SEGMENTS = 10
QUARTERS = 4  # of the way, at whose ends a milestone stands
FEWEST = 3  # values, below which there is no curve
FELL = 0.02  # of the first loss: a smaller fall is none
LOST = 0.5  # of the fall, lost again at the end: the curve has turned
# of the fall: what is still to come on a plateau, and what the last fifth must bring to be falling
# still
LEFT = 0.05
ROSE = 0.05  # of the lowest validation loss: so much above it at the end is a rise


def reading(train: Sequence[Point], val: Sequence[Point] = ()) -> str:
    """Say in one sentence how the loss went: it plateaued, diverged, is still falling, or was never
    logged.

        the training loss plateaued from about step 50 on
        diverged: the training loss is not finite from step 900 on
        the validation loss was logged only 2 times: too few values to describe a curve

    `train` and `val` are points in any order. Where there is a training loss the sentence is on
    that, and the validation loss only adds that it rose again.
    """
    if train:
        name, curve = "the training loss", sorted(train)
    elif val:
        name, curve = "the validation loss", sorted(val)
    else:
        return "no loss was ever logged"
    for step, loss in curve:
        if not math.isfinite(loss):
            return f"diverged: {name} is not finite from step {step:.0f} on"
    if len(curve) < FEWEST:
        times = "1 time" if len(curve) == 1 else f"{len(curve)} times"
        return f"{name} was logged only {times}: too few values to describe a curve"
    sentence = f"{name} {_shape(_parts(curve))}"
    if train:
        sentence += _validation(sorted(val))
    return sentence


def milestones(train: Sequence[Point]) -> list[Point]:
    """Return the losses at the quarters of the way, each as it was logged: the last value at or
    before the quarter's step. Empty: the curve has fewer than eight values, and its ends say as
    much.

    A curve from step 0 to 12000 has them at 3000, 6000 and 9000. Where values lie far apart, two
    quarters may share one, which is given once.
    """
    curve = [point for point in sorted(train) if math.isfinite(point[0])]
    if len(curve) < 2 * QUARTERS:
        return []
    first, last = curve[0][0], curve[-1][0]
    points: list[Point] = []
    for quarter in range(1, QUARTERS):
        mark = first + (last - first) * quarter / QUARTERS
        reached = [point for point in curve if point[0] <= mark]
        # Of several values at one step, the first.
        points.append(max(reached, key=lambda point: point[0]))
    return list(dict.fromkeys(points))


def _parts(curve: Sequence[Point]) -> list[Point]:
    """Return the curve itself, or its segments: (last step, median loss) of each.

    A curve of twenty values or more is cut into ten parts with equally many values.
    """
    if len(curve) < 2 * SEGMENTS:
        return list(curve)
    size = len(curve) / SEGMENTS
    parts = []
    for number in range(SEGMENTS):
        piece = curve[round(number * size) : round((number + 1) * size)]
        losses = sorted(loss for _, loss in piece)
        parts.append((piece[-1][0], losses[len(losses) // 2]))
    return parts


def _shape(parts: Sequence[Point]) -> str:
    """Say how a curve went. The first of these that is true: it diverged, never fell, turned, was
    still falling, plateaued.

    `parts` has at least three points, in order of the steps, and all losses are finite.
    """
    losses = [loss for _, loss in parts]
    first, last, low = losses[0], losses[-1], min(losses)
    turned = parts[losses.index(low)][0]
    fall = first - low
    # `abs`: a loss may be negative, as a log-likelihood is
    if last > first + FELL * abs(first):
        return f"diverged after step {turned:.0f}: it ended above where it started"
    if fall <= FELL * abs(first):
        return "never fell: it ended about where it started"
    if last > low + LOST * fall:
        return f"turned after step {turned:.0f}: it lost more than half of its fall again"
    fifth = losses[-1 - max(1, len(losses) // 5)] - last
    if fifth >= LEFT * fall:
        share = 100 * fifth / fall
        return f"was still falling at the end: the last fifth brought {share:.0f} % of the fall"
    settled = next(step for step, loss in parts if loss <= low + LEFT * fall)
    return f"plateaued from about step {settled:.0f} on"


def _validation(val: Sequence[Point]) -> str:
    """Say what the validation loss adds: that it rose again, or was not always finite. "": nothing,
    or there are too few values.
    """
    finite = [(step, loss) for step, loss in val if math.isfinite(loss)]
    if len(finite) < len(val):
        return "; the validation loss was not always finite"
    if len(finite) < FEWEST:
        return ""
    best, low = min(finite, key=lambda point: point[1])
    if finite[-1][1] > low + ROSE * abs(low):
        return (
            f"; the validation loss was lowest at step {best:.0f} and has risen since: "
            "overfitting from there on"
        )
    return ""
