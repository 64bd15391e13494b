"""How many training steps are planned: a loop counts only where its items are training steps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from watchkeeper.core.events import CadenceSet, Progressed
from watchkeeper.runfolder.planned_steps import PlannedSteps

AT = datetime(2026, 3, 1, tzinfo=UTC)


def loop(done, step, *, total=1000, depth=0, what="train"):
    """What is written of a loop at one time."""
    return Progressed(
        time=AT, writer="w", seq=0, what=what, done=done, unit="it", elapsed_s=60.0,
        total=total, depth=depth, training_step=step,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "total"),
    [
        ([loop(0, None), loop(120, 120)], 1000),
        ([loop(0, None), loop(129, 120)], 1000),
        ([loop(500, 500), loop(620, 620)], 1000),
        ([loop(500, None), loop(620, 620)], 1000),
        ([loop(0, None)], None),
        ([loop(0, None), loop(120, None)], None),
        ([loop(0, None), loop(1, 120)], None),
        ([loop(0, None), loop(120, 100)], None),
        ([loop(0, 110), loop(120, 110)], None),
        ([loop(0, 500), loop(120, 620)], None),
        ([loop(0, None), loop(120, 120, depth=1)], None),
        ([loop(0, None, total=None), loop(120, 120, total=None)], None),
        ([loop(0, None), loop(120, 120, what="other")], None),
    ],
    ids=[
        "each step logged",
        "every tenth step logged",
        "continued, after rows",
        "continued, before its first row",
        "not begun",
        "no step logged",
        "over epochs",
        "steps fall behind",
        "an evaluation between steps",
        "counted from where it was continued",
        "an inner loop",
        "without a length",
        "two loops",
    ],
)
def test_a_loop_says_the_total_if_its_items_are_training_steps(events, total):
    """The length of a loop is the run's total only where steps and items advance together."""
    planned = PlannedSteps()
    for event in events:
        planned.take(event)
    assert planned.total == total


def test_a_cadence_says_the_total():
    """What a program says itself of its length counts."""
    planned = PlannedSteps()
    planned.take(CadenceSet(time=AT, writer="w", seq=0, total=300))
    assert planned.total == 300
