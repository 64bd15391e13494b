"""What the charts and the run log are drawn from, by the modules that draw them."""

from __future__ import annotations

import pytest


@pytest.fixture
def say(open_page, still_server):
    """`say(module, function, …)` → what a function of one of the pages' modules returns."""
    page = open_page(still_server.address)
    call = "async ([file, name, args]) => (await import(`/static/${file}.js`))[name](...args)"
    return lambda module, name, *arguments: page.evaluate(call, [module, name, list(arguments)])


def line(xs, values, **more):
    """A line of an attempt as the server gives it; None is a gap."""
    names = ("x", "min", "max", "smooth", "n", "other")
    columns = dict.fromkeys(names, values) | {"x": xs, "n": [1] * len(xs)}
    return {"metric": "loss", "attempt": 1, "superseded": False, "bad": [], **columns, **more}


def test_a_line_breaks_at_each_gap(say):
    """A gap ends a part, and a part never holds a place without a value of `x`."""
    parts = say("chart", "partsOfLine", line([1, 2, None, 5, None, None, 9], [1, 2, 0, 5, 0, 0, 9]))
    assert [part["x"] for part in parts] == [[1, 2], [5], [9]]
    assert [part["smooth"] for part in parts] == [[1, 2], [5], [9]]
    assert say("chart", "partsOfLine", line([], [])) == []


def test_the_cursor_finds_the_nearest_row(say):
    """On either side of a gap, before the first row and behind the last."""
    rows = line([1, 2, None, 8, 9], [0.1, 0.2, None, 0.8, 0.9])
    places = {-5: 1, 1.4: 1, 4.9: 2, 5.1: 8, 8.6: 9, 100: 9}
    assert {x: say("chart", "columnNear", rows, x)["x"] for x in places} == places
    assert say("chart", "columnNear", line([], []), 3) is None


def test_what_was_done_again_is_not_read_at_the_cursor(say):
    """Where two attempts have the same step, the newest counts; superseded rows never do."""
    lines = [
        line([7, 8], [1.0, 1.1], superseded=True),
        line([8, 9], [2.0, 2.1], attempt=2),
        line([8, 9], [3.0, 3.1], attempt=3),
    ]
    assert say("chart", "columnAt", {"lines": lines}, 8)["smooth"] == 3.0
    assert say("chart", "columnAt", {"lines": lines[:1]}, 8) is None


def test_ticks_of_a_logarithmic_scale_lie_within_it(say):
    """A short range has many ticks, a long one the powers of ten."""
    assert say("chart", "logTicks", 0.35, 3.4) == [0.4, 0.5, 0.7, 1, 1.5, 2, 3]
    assert say("chart", "logTicks", 1e-3, 1e4) == [10.0**power for power in range(-3, 5)]


def test_figures_of_an_axis_are_short_and_none_is_a_nought(say):
    """Three digits, however large or small."""
    shown = {0.0002: "2e\u22124", 0.361: "0.361", 18543: "18.5 k", 2_500_000: "2.5 M", 0: "0"}
    for value, text in shown.items():
        assert say("chart", "tickText", value) == text


def strip(name, xs, last):
    """A figure of the machine at these seconds."""
    return {"name": name, "unit": "GiB", "x": xs, "step": xs, "value": xs, "last": last}


def test_what_the_machine_did_since_is_added_to_its_strips(say):
    """A strip keeps what it had and takes its last value from the answer; a new one is taken as
    it is.
    """
    fresh = [strip("CPU", [3], 3), strip("GPU 0 busy", [3], 3)]
    assert say("curves", "joinStrips", [strip("CPU", [1, 2], 2)], fresh) == [
        strip("CPU", [1, 2, 3], 3),
        strip("GPU 0 busy", [3], 3),
    ]
