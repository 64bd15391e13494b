"""Times and dates as run logs write them: `2026-03-11 15:00 UTC`, `Wednesday, Feb 25th, 2026`."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone

import msgspec

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_STAMP = re.compile(
    r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)"
    r"(?:[T ]{1,3}~?(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?(?: ?[-–] ?\d{1,2}:\d{2}(?::\d{2})?)?"
    r"(?: ?(Z|[+-]\d{2}:?\d{2}|[A-Z]{2,5})(?![A-Za-z]))?)?"
)
_HUMAN = re.compile(
    r"\b([A-Za-z]{3,9})\.?,?[ \t]{1,4}([A-Za-z]{3,9})\.?[ \t]{1,4}(\d{1,2})(st|nd|rd|th)?\b(?:,?[ \t]{1,4}(\d{4})\b)?"
)
_RUNTIME = re.compile(r"~?(?:(\d{1,4})-)?(\d{1,4}):(\d{2}):(\d{2})")


class Stamp(msgspec.Struct, frozen=True):
    """A written time. `day` is None if there is no such day or hour; `time` if there is no time of day, too."""

    day: date | None
    time: datetime | None = None
    zone: str = ""

    def seconds_until(self, other: Stamp) -> float | None:
        """The seconds from this time to the other; None where the text does not tell."""
        if self.time is None or other.time is None:
            if self.day is None or other.day is None or self.day == other.day:
                return None
            return (other.day - self.day).total_seconds()
        if (self.time.tzinfo is None) != (other.time.tzinfo is None) or (
            self.time.tzinfo is None and self.zone != other.zone
        ):
            return None
        return (other.time - self.time).total_seconds()


def stamp(text: str) -> Stamp | None:
    """The first time in the text; None if there is none."""
    match = _STAMP.search(text)
    if not match:
        return None
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
        if match[4] is None:
            return Stamp(day)
        time = datetime(day.year, day.month, day.day, int(match[4]), int(match[5]), int(match[6] or 0))  # noqa: DTZ001
        return Stamp(day, time.replace(tzinfo=_zone(match[7] or "")), match[7] or "")
    except ValueError:
        return Stamp(None)


def _zone(text: str) -> timezone | None:
    if text in ("Z", "UTC", "GMT"):
        return UTC
    if text[:1] in ("+", "-"):
        size = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
        return timezone(-size if text[0] == "-" else size)
    return None


class HumanDate(msgspec.Struct, frozen=True):
    """A date for people. Places are offsets in the text it was found in."""

    weekday: int
    weekday_at: tuple[int, int]
    month: int
    day: int
    suffix: str
    suffix_at: tuple[int, int]
    year: int | None

    def on(self, year: int | None = None) -> date | None:
        """The day, in its own year or the one given; None if there is no such day."""
        year = self.year or year or 2000  # a leap year: only what is impossible in every year is impossible
        if not (1 <= year <= 9999 and 1 <= self.day <= monthrange(year, self.month)[1]):
            return None
        return date(year, self.month, self.day)


def human_date(text: str) -> HumanDate | None:
    """The first `Wednesday, Feb 25th[, 2026]` in the text; None if there is none."""
    for match in _HUMAN.finditer(text):
        weekday, month = _named(match[1], WEEKDAYS), _named(match[2], MONTHS)
        if weekday is not None and month is not None:
            year = int(match[5]) if match[5] else None
            suffix_at = match.span(4) if match[4] else (match.end(3), match.end(3))
            return HumanDate(weekday, match.span(1), month + 1, int(match[3]), match[4] or "", suffix_at, year)
    return None


def _named(word: str, names: tuple[str, ...]) -> int | None:
    start = word[:3].casefold()
    for index, name in enumerate(names):
        full = name if len(name) > 3 else datetime(2000, index + 1, 1).strftime("%B")  # noqa: DTZ001
        if name[:3].casefold() == start and (full.casefold().startswith(word.casefold()) or word.casefold() == "sept"):
            return index
    return None


def weekday_like(day: date, written: str) -> str:
    """The day's weekday, as long as the one that was written: `Tue` for `Mon`."""
    name = WEEKDAYS[day.weekday()]
    return name[:3] if len(written) == 3 else name


def ordinal(day: int) -> str:
    """`st`, `nd`, `rd` or `th`."""
    return "th" if day % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def human(day: date) -> str:
    """`Wednesday, Feb 25th, 2026`."""
    return f"{WEEKDAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}{ordinal(day.day)}, {day.year}"


def runtime(text: str) -> float | None:
    """The seconds of `12:30:00` or `1-00:00:29`; None for anything else."""
    match = _RUNTIME.match(text.strip())
    if not match:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
