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
        ([1.0], [], "logged only 1 time:"),
        ([1.0, 0.9], [], "logged only 2 times:"),
        (FALLING, [], "still falling at the end"),
        (SETTLED, [], "plateaued from about step"),
        ([1.0] * 40, [], "never fell"),
        ([2.0, 1.0, 0.5, 0.6, 3.0], [], "diverged after step 30: it ended above where it started"),
        ([2.0, 1.0, 0.5, 1.2, 1.6], [], "turned after step 30"),
        (
            [2.0, 1.0, math.nan, math.nan],
            [],
            "diverged: the training loss is not finite from step 30 on",
        ),
        (SETTLED, [1.0, 0.6, 0.9], "lowest at step 20 and has risen since"),
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


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([1.0, 1.0, 1.02], "never fell: it ended about where it started"),
        ([1.0, 1.0, 1.03], "diverged after step 10: it ended above where it started"),
        ([-1.0, -1.0, -0.97], "diverged after step 10: it ended above where it started"),
        ([100.0, 99.0, 98.0], "never fell: it ended about where it started"),
        ([1.0, 0.5, 0.76], "turned after step 20: it lost more than half of its fall again"),
        ([1.0, 0.5, 0.75], "plateaued from about step 20 on"),
        ([1.0, 0.5, 0.0], "was still falling at the end: the last fifth brought 50 % of the fall"),
        ([2.0, 1.0, 0.05, 0.0, 0.0], "plateaued from about step 30 on"),
        ([2.0, 1.0, 0.2, 0.1, 0.0], "was still falling at the end: the last fifth brought 5 %"),
        ([2.0, 0.0] + [0.0] * 7 + [0.09], "plateaued from about step 20 on"),
    ],
)
def test_the_shape_is_judged_by_shares_of_the_fall(losses, says):
    """Each rule holds up to its own constant and not beyond: 2 % of the first loss, half and 5 % of
    the fall.
    """
    assert reading(curve(losses)).startswith(f"the training loss {says}")


def test_a_long_curve_is_read_by_the_medians_of_ten_parts():
    """From twenty values on a single spike changes nothing; below, each value counts."""
    short, long = [1.0] * 18 + [9.0], [1.0] * 19 + [9.0]
    assert "diverged" in reading(curve(short))
    assert "never fell" in reading(curve(long + [1.0] * 10))
    falling = [3.0 - step / 10 for step in range(21)]
    assert reading(curve(falling)).endswith("the last fifth brought 21 % of the fall")


@pytest.mark.parametrize(
    ("val", "says"),
    [
        ([1.0, 0.5], ""),
        ([1.0, 0.5, 0.525], ""),
        (
            [1.0, 0.5, 0.53],
            "; the validation loss was lowest at step 20 and has risen since: overfitting from "
            "there on",
        ),
        ([-1.0, -2.0, -1.95], ""),
        ([1.0, math.inf, 0.9, 0.8], "; the validation loss was not always finite"),
    ],
)
def test_the_validation_loss_is_named_where_it_says_more(val, says):
    """A rise above 5 % of the lowest, or a value that is not finite; two values say nothing."""
    assert reading(curve([1.0] * 3), curve(val)).endswith("where it started" + says)


def test_a_validation_loss_alone_is_read_like_the_training_loss():
    """Without a training loss the sentence describes the validation loss; any order will do."""
    points = curve([3.0, 1.0, 1.0])
    said = reading([], points[::-1])
    assert said == "the validation loss plateaued from about step 20 on"


def test_milestones_ignore_steps_that_are_not_finite_and_repeat_nothing():
    """A step that is no number has no place on the way; one value that stands for two quarters is
    named once; of several at a step the first counts.
    """
    curve = [(0.0, float(n)) for n in range(7)] + [(100.0, 1.0), (math.nan, 2.0)]
    assert milestones(curve) == [(0.0, 0.0)]
    assert milestones([(10.0, 5.0)] * 8) == [(10.0, 5.0)]
    shifted = [(float(step), step / 10) for step in range(100, 180, 10)]
    assert milestones(shifted) == [(110.0, 11.0), (130.0, 13.0), (150.0, 15.0)]
