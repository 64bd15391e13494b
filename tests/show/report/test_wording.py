"""Figures, sizes, durations and times as a report shows them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from watchkeeper.show.report.wording import Clock, count, duration, figure, figures, size


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9533, "0.9533"),
        (0.95333333, "0.9533"),
        (0.9, "0.9"),
        (1.35334, "1.353"),
        (123.456, "123.5"),
        (12345.678, "12,346"),
        (-0.5, "\u22120.5"),
        (0.0000031, "3.10e\u221206"),
        (450, "450"),
        (float("nan"), "nan"),
        ("NaN", "NaN"),
        (None, ""),
    ],
)
def test_a_metric_has_four_digits_and_never_more_than_recorded(value, shown):
    """Four decimals below 1, else four significant digits; what is not known is nothing."""
    assert figure(value) == shown


def test_one_column_has_one_number_of_decimals():
    """The figures of a column line up at the point; words and gaps stay what they are."""
    assert figures([0.9, 0.9533, None, 1.5]) == ["0.9000", "0.9533", "", "1.5000"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0, "0.0 s"),
        (1.44, "1.4 s"),
        (13, "13 s"),
        (99, "99 s"),
        (120, "2 min"),
        (3_600, "1 h"),
        (57_840, "16 h 4 min"),
        (90_000, "1 d 1 h"),
        (9_000_000, "104 d 4 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, shown):
    """Seconds, minutes, hours, days: the two greatest that are not 0."""
    assert duration(seconds) == shown


def test_counts_and_sizes_have_separators_and_units():
    """Thousands are separated, sizes have a unit of 1,000."""
    assert (count(24_000), count(None)) == ("24,000", "")
    shown = ("0 B", "820 B", "4.1 kB", "1.5 MB", "400 GB", "")
    assert tuple(map(size, (0, 820, 4_100, 1_500_000, 4 * 10**11, None))) == shown


def test_times_are_those_of_the_journals_zone():
    """A span names the zone, the day once where it is one, and only what is known."""
    clock = Clock("Europe/Berlin")
    start = datetime(2026, 11, 27, 17, 34, 55, tzinfo=UTC)
    end = datetime(2026, 11, 27, 17, 35, 8, tzinfo=UTC)
    later = datetime(2026, 11, 28, 0, 0, tzinfo=UTC)
    assert clock.span(start, end) == "27 November 2026, 18:34:55 to 18:35:08 CET"
    assert clock.span(start, later).endswith("to 28 November 2026, 01:00:00 CET")
    assert clock.span(start, None) == "since 27 November 2026, 18:34:55 CET"
    assert (clock.span(None, None), clock.minute(None)) == ("", "")
    assert Clock("No/Where").time(start) == "17:34:55"
