"""Times and dates in the spellings of people."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.report.runlog.dates import moment, opening, runtime, stamp

DAY = date(2026, 3, 11)


def at(hour: int, minute: int, day: int = 11, *, utc: bool = False) -> datetime:
    """A time of that month."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC if utc else None)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-11 15:00 UTC", at(15, 0, utc=True)),
        ("2026/03/11 15:00 UTC", at(15, 0, utc=True)),
        ("2026-03-11, 15:00", at(15, 0)),
        ("2026-03-11 3:05 PM", at(15, 5)),
        ("2026/03/11 12:05 am", at(0, 5)),
        ("Mar 11, 2026 15:00", at(15, 0)),
        ("11 March 2026, 15:00 UTC", at(15, 0, utc=True)),
        ("20260311_150500", at(15, 5)),
        ("15:42 UTC", at(15, 42, utc=True)),
        ("03-11 15:42", at(15, 42)),
        ("2026-03-11 24:00 UTC", at(0, 0, 12, utc=True)),
    ],
)
def test_a_time_is_read_in_any_spelling(text: str, time: datetime) -> None:
    """Slashes, names of months, halves of the day, a compact form; a time of day alone is of the
    day that is known.
    """
    found = moment(text, DAY)
    assert found is not None and found.time == time


@pytest.mark.parametrize(
    "text", ["", "yesterday, late", "step 11 of 20", "1.2", "3/10 done", "may be", "2400/50000"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    """Words and fractions are no times."""
    assert moment(text, DAY) is None


@pytest.mark.parametrize("text", ["2026-13-11 10:00", "2026/02/31", "2026-03-11 24:01"])
def test_a_time_that_does_not_exist_has_no_day(text: str) -> None:
    """A month, day or hour that does not exist is a time without a day."""
    found = moment(text, DAY)
    assert found is not None and found.day is None


@pytest.mark.parametrize(
    ("line", "time", "rest"),
    [
        ("[2026-03-11 15:00] running", at(15, 0), "running"),
        ("15:00 — running", at(15, 0), "running"),
        ("Mar 11 15:00: running, step 3", at(15, 0), "running, step 3"),
        ("Wednesday, Mar 11th, 2026 15:00 — done", at(15, 0), "done"),
        ("03-11 15:00 running", at(15, 0), "running"),
        ("12:44-12:47 UTC: ok", at(12, 44), "ok"),
        ("**2026-03-11** — x", None, "x"),
        ("Wednesday, Mar 11th: y", None, "y"),
    ],
)
def test_a_line_may_open_with_a_time(line: str, time: datetime | None, rest: str) -> None:
    """The time that a line opens with is parted from what it says."""
    found = opening(line, DAY)
    assert found is not None and found[0].day == DAY and found[0].time == time and found[1] == rest


@pytest.mark.parametrize(
    "line", ["running at 15:00", "step 2400: loss", "2400/50000 steps", "3/10 done", ""]
)
def test_a_line_that_opens_with_none_is_none(line: str) -> None:
    """A figure, a fraction or a time further on does not open a line."""
    assert opening(line, DAY) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12:30:00", 45000),
        ("1-00:00:29", 86429),
        ("2 days, 3:04:05", 183845),
        ("6h 30m", 23400),
        ("6.5 hours", 23400),
        ("390 min", 23400),
        ("~23h", 82800),
        ("06:30", None),
        ("n/a", None),
        ("", None),
    ],
)
def test_a_runtime_is_read_where_its_units_are_known(text: str, seconds: float | None) -> None:
    """Hours and minutes in words and Slurm's form are read; the units of `12:34` are unknown."""
    assert runtime(text) == seconds


@given(st.text(alphabet="0123456789-/:. TZapmMarchUTC", max_size=40))
def test_any_text_may_hold_a_time(text: str) -> None:
    """No text raises, and what one reader takes for a time the wider one does as well."""
    opening(text, DAY)
    runtime(text)
    assert (stamp(text) is None) or (moment(text) is not None)
