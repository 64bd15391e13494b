"""The smoothed line, against its definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.query.series.smoothing import MOST, Average, default_smoothing

FIGURES = st.lists(
    st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]), max_size=60
)


def weighted_mean(figures: list[float], smoothing: float) -> float:
    """The definition: the newest finite value weighs 1, each one before it `smoothing` as much."""
    finite = [figure for figure in figures if math.isfinite(figure)]
    if not finite:
        return math.nan
    weights = [smoothing**age for age in reversed(range(len(finite)))]
    return math.fsum(map(float.__mul__, finite, weights)) / math.fsum(weights)


@given(figures=FIGURES, smoothing=st.sampled_from([0.0, 0.5, 0.9, 0.98, MOST]))
def test_the_smoothed_line_is_the_weighted_mean_of_what_came_before(figures, smoothing):
    """Each smoothed value is the mean of all finite values so far, without a bias to zero."""
    line = Average(smoothing).line(figures)
    for place, smooth in enumerate(line):
        expected = weighted_mean(figures[: place + 1], smoothing)
        assert smooth == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)


@given(figures=FIGURES, cut=st.integers(0, 60))
def test_smoothing_in_two_parts_is_smoothing_at_once(figures, cut):
    """What was kept of a running sum continues the line as if it had never been interrupted."""
    whole, first = Average(0.9), Average(0.9)
    whole.add(figures)
    first.add(figures[:cut])
    second = Average(0.9, first.total, first.weight)
    assert second.line(figures[cut:])[-1:] == pytest.approx(
        [whole.value][: len(figures[cut:])], nan_ok=True
    )


def test_short_lines_are_not_smoothed_and_longer_ones_more():
    """Below 500 values nothing is smoothed by default, and never by more than 0.999."""
    by_length = [default_smoothing(rows) for rows in (0, 499, 500, 2_000, 19_000, 10**6, 10**9)]
    assert by_length[:2] == [0.0, 0.0]
    assert by_length == sorted(by_length)
    assert by_length[4] == 0.98
    assert by_length[-1] == MOST
