"""Numbers, durations and times of the pages, by the module that every page shows them with."""

from __future__ import annotations

import pytest

NOON = 1_795_867_200_000  # 2026-11-28T12:00:00Z
MINUTE = 60_000
DAY = 86_400_000


@pytest.fixture
def say(open_page, still_server):
    """`say("agoText", …)` → what the function of format.js returns."""
    page = open_page(still_server.address)
    call = "async ([name, args]) => (await import('/static/format.js'))[name](...args)"
    return lambda name, *arguments: page.evaluate(call, [name, list(arguments)])


def test_a_metric_has_four_decimals_below_one_and_else_four_digits(say):
    """Never more decimals than were recorded, a minus of its width, and no unknown as a nought."""
    shown = {0.95333: "0.9533", 0.7: "0.7", 12.3456: "12.35", 18350: "18,350", -0.5: "\u22120.5"}
    for value, text in shown.items():
        assert say("numberText", value) == text
    assert say("numberText", None) == ""
    assert say("numberText", "nan") == "nan"
    assert say("numberText", 0.0000123) == "1.2e\u22125"


def test_a_column_has_one_number_of_decimals(say):
    """The value that needs most decides, and text in the column does not."""
    assert say("columnDecimals", [1.3533, 0.361, 0.9145]) == 4
    assert say("columnDecimals", [0.7, 0, 1]) == 1
    assert say("columnDecimals", [None, "nan"]) == 0


def test_a_duration_has_two_units_at_most(say):
    """Seconds, minutes, hours and days; "" where it is not known."""
    shown = {1.4: "1.4 s", 13: "13 s", 2640: "44 min", 57840: "16 h 4 min", 93600: "1 d 2 h"}
    for seconds, text in shown.items():
        assert say("durationText", seconds) == text
    assert say("durationText", None) == ""
    assert say("durationText", 3600) == "1 h"


def test_a_time_is_an_age_for_an_hour_and_then_the_clock_of_the_journal(say):
    """An age in seconds or minutes, the clock, yesterday with the clock, and then the day."""
    ages = {
        4_000: "4 s ago",
        44 * MINUTE: "44 min ago",
        90 * MINUTE: "11:30",
        20 * 60 * MINUTE: "yesterday 17:00",
        3 * DAY: "25 Nov",
        400 * DAY: "24 Oct 2025",
    }
    for age, text in ages.items():
        assert say("agoText", NOON - age, NOON, "Europe/Oslo") == text
    assert say("exactText", NOON, "Europe/Oslo") == "2026-11-28T13:00:00+01:00 Europe/Oslo"
    assert say("clockText", NOON, "Nowhere/Unknown") == "12:00"
