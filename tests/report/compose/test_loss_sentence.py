"""What is said of a loss curve."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.report.compose.loss_sentence import milestones, reading


def curve(losses):
    """Steps 10, 20, … with these losses."""
    return [(10.0 * (index + 1), loss) for index, loss in enumerate(losses)]


FALLING = [2.0 - 0.01 * i for i in range(100)]
SETTLED = [0.5 + 1.5 * 0.8**i for i in range(100)]


@pytest.mark.parametrize(
    ("train", "val", "says"),
    [
        ([], [], "no loss was ever logged"),
        ([1.0], [], "logged 1 time only"),
        ([1.0, 0.9], [], "logged 2 times only"),
        (FALLING, [], "still falling at the end"),
        (SETTLED, [], "plateaued from about step"),
        ([1.0] * 40, [], "never fell"),
        ([2.0, 1.0, 0.5, 0.6, 3.0], [], "diverged after step 30: it ended above where it began"),
        ([2.0, 1.0, 0.5, 1.2, 1.6], [], "turned after step 30"),
        (
            [2.0, 1.0, math.nan, math.nan],
            [],
            "diverged: the training loss is no finite number from step 30 on",
        ),
        (SETTLED, [1.0, 0.6, 0.9], "lowest at step 20 and rose since"),
        ([], [3.0, 2.0, 1.0], "the validation loss was still falling"),
    ],
)
def test_the_sentence_says_what_the_figures_do_not(train, val, says):
    """Each shape of a curve has its own sentence."""
    assert says in reading(curve(train), curve(val))


@given(st.lists(st.floats(), max_size=60), st.lists(st.floats(), max_size=20))
def test_any_curve_has_one_sentence(train, val):
    """Whatever was logged, the reading is one line and no error."""
    said = reading(curve(train), curve(val))
    assert said and "\n" not in said


def test_milestones_are_logged_values_at_the_quarters_of_the_way():
    """Each is a value as it was logged, at or before its quarter; a short curve has none."""
    curve = [(float(step), 10.0 - step / 100) for step in range(0, 801, 100)]
    assert milestones(curve) == [(200.0, 8.0), (400.0, 6.0), (600.0, 4.0)]
    assert milestones(curve[:7]) == []
    assert milestones([]) == []
