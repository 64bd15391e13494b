"""What a chart shows of a run's rows."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.query.series.recorded import line_of, losses, read, rows_file, write_rows
from watchkeeper.core.errors import UsageError
from watchkeeper.query.series.smoothing import Average
from watchkeeper.query.views.charts import Chart, series_of

FINITE = st.floats(-1000, 1000).map(lambda value: round(value, 3))


@given(
    figures=st.lists(FINITE, min_size=1, max_size=300),
    width=st.integers(1, 40),
    smoothing=st.sampled_from([0.0, 0.9]),
)
def test_columns_hold_the_extremes_the_count_and_the_smoothed_value(figures, width, smoothing):
    """No value is lost in a column: all are counted, and its least, greatest and last smoothed one
    are those of exactly the values since the column before.
    """
    with TemporaryDirectory() as folder:
        write_rows(rows_file(Path(folder)), losses(figures))
        line = line_of(Path(folder), width=width, smoothing=smoothing)
    smooth = Average(smoothing).line(figures)
    assert sum(line.n) == len(figures)
    assert len(line.x) <= 2 * width
    begin = 0
    for column, n in enumerate(line.n):
        part = figures[begin : begin + n]
        begin += n
        assert line.x[column] == begin - 1
        assert (line.min[column], line.max[column]) == (min(part), max(part))
        assert line.smooth[column] == pytest.approx(smooth[begin - 1], rel=1e-6, abs=1e-6)


def test_few_rows_are_shown_themselves(tmp_path):
    """Up to two rows a column, each row is a point of its own."""
    write_rows(rows_file(tmp_path), losses([3.0, 2.0, 1.0]))
    line = line_of(tmp_path, width=100)
    assert (line.x, line.min, line.n) == ([0, 1, 2], [3.0, 2.0, 1.0], [1, 1, 1])


def test_one_row_is_a_point(tmp_path):
    """A run with a single row has a line of one point."""
    write_rows(rows_file(tmp_path), losses([0.5]))
    line = line_of(tmp_path)
    assert (line.x, line.min, line.max, line.smooth, line.n) == ([0], [0.5], [0.5], [0.5], [1])


def test_what_is_not_finite_is_marked_and_never_drawn(tmp_path):
    """NaN and infinities stand in `bad` by their place, and in no column."""
    write_rows(rows_file(tmp_path), losses([1.0, math.nan, math.inf, 2.0]))
    line = line_of(tmp_path)
    assert line.bad == [1, 2]
    assert (line.x, line.min) == ([0, 3], [1.0, 2.0])


def test_a_line_of_nothing_but_nan_has_only_marks(tmp_path):
    """A metric that was never finite has no point, and says where it was logged."""
    write_rows(rows_file(tmp_path), losses([math.nan] * 5))
    line = line_of(tmp_path)
    assert (line.x, line.bad) == ([], [0, 1, 2, 3, 4])


def test_a_line_breaks_at_a_pause_on_the_time_axis_alone(tmp_path):
    """A pause of a minute that is ten times the median breaks a line over time, none over steps."""
    rows = losses([1.0] * 5) + [(300 + row[0], row[1] + 5, row[2]) for row in losses([1.0] * 5)]
    write_rows(rows_file(tmp_path), rows)
    assert line_of(tmp_path, axis="time").min.count(None) == 1
    assert None not in line_of(tmp_path, axis="step").min


def test_slow_rows_are_no_pause(tmp_path):
    """Where two minutes between rows are the rule, they break nothing."""
    write_rows(rows_file(tmp_path), losses([1.0] * 9, pause=120.0))
    assert None not in line_of(tmp_path, axis="time").min


def test_steps_that_go_back_are_drawn_from_left_to_right(tmp_path):
    """A second pass over the same steps in one process makes the band wider, and loses no row."""
    write_rows(rows_file(tmp_path), losses([1.0, 2.0, 3.0]) + losses([5.0, 6.0, 7.0]))
    line = line_of(tmp_path)
    assert line.x == sorted(line.x)
    assert sum(line.n) == 6


def test_a_zoom_has_the_values_of_its_range_smoothed_by_all_before(tmp_path):
    """Smoothing runs over all rows before the range is cut out."""
    figures = [float(step % 7) for step in range(100)]
    write_rows(rows_file(tmp_path), losses(figures))
    line = line_of(tmp_path, begin=40, end=60, smoothing=0.9)
    assert (line.x[0], line.x[-1]) == (40, 60)
    assert line.smooth[0] == pytest.approx(Average(0.9).line(figures)[40], rel=1e-6)


def test_columns_stay_while_a_run_grows(tmp_path):
    """What was drawn is not drawn anew for a few more rows: only the last column changes."""
    path = rows_file(tmp_path)
    rows = losses([float(step % 5) for step in range(1010)])
    write_rows(path, rows[:1000])
    before = line_of(tmp_path, width=50, smoothing=0)
    write_rows(path, rows[1000:])
    after = line_of(tmp_path, width=50, smoothing=0)
    assert after.x[: len(before.x) - 1] == before.x[:-1]
    assert after.n[: len(before.n) - 1] == before.n[:-1]


def test_metrics_that_the_run_lacks_have_no_line(tmp_path):
    """A chart of an unknown metric is empty, and no error."""
    write_rows(rows_file(tmp_path), losses([1.0]))
    assert series_of(read(tmp_path), Chart(metrics=["accuracy"])).lines == []


@pytest.mark.parametrize(
    "asked",
    [
        {"width": 0},
        {"width": 2001},
        {"smoothing": 1.0},
        {"smoothing": -0.1},
        {"begin": 2, "end": 1},
    ],
)
def test_a_chart_that_cannot_be_made_is_refused(asked):
    """Columns, smoothing and range have bounds, and the error says which."""
    with pytest.raises(UsageError) as error:
        Chart(metrics=["loss"], **asked)
    assert error.value.hint
