"""Charts of a report: what is drawn where, and what is said of it."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.query.views.pages import JobBar
from watchkeeper.show.report.drawing.curves import WIDTH, Curve, chart, strip
from watchkeeper.show.report.drawing.jobs_chart import jobs_chart
from watchkeeper.show.report.drawing.loss_chart import runs_drawn
from watchkeeper.show.report.drawing.scales import linear_scale, time_scale, value_scale

REAL = st.floats(-1e12, 1e12)
BEGIN = datetime(2026, 11, 27, 18, 34, 55, tzinfo=UTC)


def drawing(markup):
    """The SVG as a tree: what is no XML fails here."""
    return ET.fromstring(markup)


@given(st.lists(REAL, min_size=1, max_size=20))
def test_every_figure_is_placed_between_the_ends(values):
    """No figure leaves the chart, equal figures lie together, and there are a few ticks in it."""
    scale = value_scale(values, 200.0, 10.0)
    assert all(10 <= scale.place(value) <= 200 for value in values)
    assert len(scale.ticks) <= 13
    room = (scale.greatest - scale.least) * 1e-6
    ticks = [value for value, _ in scale.ticks]
    assert all(scale.least - room <= value <= scale.greatest + room for value in ticks)


@pytest.mark.parametrize(
    ("series", "runs", "words"),
    [
        (6, 6, "6 runs"),
        (20, 45, "20 of 45 runs"),
        (45, 45, "20 of 45 runs"),
        (20, 5_000, "20 of 5,000 runs"),
        (3, 6, "3 of 6 runs"),
    ],
)
def test_a_chart_of_many_runs_says_how_many_it_draws(series, runs, words):
    """What has no line is counted, so that nobody takes the chart for all runs."""
    assert runs_drawn(dict.fromkeys(map(str, range(series))), runs) == words


def test_ticks_are_round_and_their_words_are_exact():
    """A linear scale has ticks of 1, 2, 2.5 or 5, with as many decimals as they need."""
    assert [words for _, words in linear_scale(0, 1, 0, 100).ticks] == [
        "0.0", "0.2", "0.4", "0.6", "0.8", "1.0",
    ]  # fmt: skip
    assert [words for _, words in linear_scale(0, 24_000, 0, 1).ticks][-1] == "20,000"
    assert [words for _, words in value_scale([0.1, 30], 0, 1).ticks] == [
        "0.1", "0.2", "0.5", "1", "2", "5", "10", "20",
    ]  # fmt: skip


def test_a_time_axis_has_round_clocks_of_the_zone():
    """Ticks are at whole steps of the zone's own clock."""
    begin = BEGIN.timestamp()
    words = [text for _, text in time_scale(begin, begin + 13, 0, 1, zone="UTC").ticks]
    assert words == [
        "18:34:56",
        "18:34:58",
        "18:35:00",
        "18:35:02",
        "18:35:04",
        "18:35:06",
        "18:35:08",
    ]
    day = [text for _, text in time_scale(begin, begin + 86_400, 0, 1, zone="Asia/Kolkata").ticks]
    assert all(text.endswith(":00") for text in day)


def test_a_line_breaks_at_a_gap_and_at_what_is_not_finite():
    """A gap is no line across it."""
    curve = Curve("a", 0, [1, 2, None, 3, 4], [1.0, 2.0, None, 2.0, math.inf])
    tree = drawing(chart([curve], title="t"))
    (path,) = (one for one in tree.iter("path") if "line" in one.get("class"))
    assert path.get("d").count("M") == 2
    assert tree.get("role") == "img" and tree.get("aria-label") == "t"


def test_lines_differ_by_dash_and_not_only_by_colour():
    """The lines of one chart have a dash each; superseded rows are pale and have no label."""
    curves = [Curve(f"r{n}", n, [1, 2], [1.0, n + 2.0]) for n in range(4)]
    pale = Curve("", 0, [1, 2], [5.0, 6.0], is_pale=True)
    tree = drawing(chart([*curves, pale], title="t"))
    lines = [one for one in tree.iter("path") if "line" in one.get("class")]
    assert len({one.get("stroke-dasharray") for one in lines[:4]}) == 4
    assert lines[4].get("class") == "line pale"


def test_names_at_the_ends_do_not_cover_one_another():
    """Lines that end together have their names one above the other."""
    curves = [Curve(f"r{n}", n, [1, 2], [1.0, 2.0]) for n in range(5)]
    tree = drawing(chart(curves, title="t"))
    places = sorted(float(one.get("y")) for one in tree.iter("text") if "name" in one.get("class"))
    assert all(below - above >= 11.9 for above, below in itertools.pairwise(places))


def test_a_chart_of_nothing_is_none_and_one_row_is_a_point():
    """No rows draw nothing; one row is a ring, and no invisible line."""
    assert chart([], title="t") is None
    assert strip([Curve("a", 0, [None], [None])], name="a") is None
    assert len(list(drawing(chart([Curve("a", 0, [5], [0.5])], title="t")).iter("circle"))) == 1


def test_a_hostile_name_is_words_in_a_chart():
    """A metric's name cannot become an element of the drawing."""
    name = "</svg><script>alert(1)</script>"
    tree = drawing(strip([Curve(name, 0, [1, 2], [1.0, 2.0])], name=name))
    assert not list(tree.iter("script"))
    assert tree.find("title").text.startswith(name)


def bar(run, start, end, *, queued=0.0, standing="done", label="clean 0"):
    return JobBar(
        key=f"{run}/{label}", run=run, phase="evaluation", label=label, attempt=1, execution=1,
        standing=standing, state=standing, queued=BEGIN + timedelta(seconds=queued),
        started=BEGIN + timedelta(seconds=start), ended=BEGIN + timedelta(seconds=end),
    )  # fmt: skip


def test_jobs_of_one_run_share_lanes_where_they_do_not_overlap():
    """Jobs at once lie in two lanes, one after another in one; a failed bar has a cross."""
    bars = [bar("a", 0, 4), bar("a", 5, 8), bar("a", 2, 6), bar("b", 1, 3, standing="failed")]
    tree = drawing(jobs_chart(bars, now=BEGIN, zone="UTC", title="t"))
    boxes = list(tree.iter("rect"))
    assert len({box.get("y") for box in boxes}) == 3
    assert all(float(box.get("x")) + float(box.get("width")) <= WIDTH for box in boxes)
    (failed,) = (group for group in tree.iter("g") if group.get("class") == "bar failed")
    assert failed.find("path").get("class") == "cross"


@pytest.mark.parametrize("count", [0, 1])
def test_jobs_that_never_started_have_no_band(count):
    """A job that waits is no bar."""
    waiting = [JobBar(key="a", run="a", phase="p", label="t", attempt=1, execution=1,
                      standing="to do", state="pending")] * count  # fmt: skip
    assert jobs_chart(waiting, now=BEGIN, zone="UTC", title="t") is None


def test_of_many_runs_those_that_failed_are_shown():
    """Of more than 60 runs the chart keeps 60, the failed ones among them."""
    bars = [bar(f"r{n}", n, n + 1) for n in range(70)]
    bars.append(bar("bad", 1, 2, standing="failed"))
    tree = drawing(jobs_chart(bars, now=BEGIN, zone="UTC", title="t"))
    assert len(list(tree.iter("rect"))) == 60
    assert any(one.text == "bad" for one in tree.iter("text"))
