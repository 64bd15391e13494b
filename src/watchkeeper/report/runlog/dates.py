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
    r"(?:[T ]{1,3}~?(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?(?: ?[-–] "
    r"?\d{1,2}:\d{2}(?::\d{2})?)?"
    r"(?: ?(Z|[+-]\d{2}:?\d{2}|[A-Z]{2,5})(?![A-Za-z]))?)?"
)
_OTHER_STAMP = re.compile(
    r"(?<![\w/.-])(\d{4})(?:(?P<sep>[/.])(\d{1,2})(?P=sep)(\d{1,2})|-(\d{2})-(\d{2}))(?![\d/])"
    r"(?:(?:,? {1,3}(?:at )?|_|T| {0,2}[(\[])~?(\d{1,2})[:h](\d{2})(?::(\d{2}))?(?: "
    r"?([ap]m)\b)?(?: ?(Z"
    r"|[A-Z]{2,5})(?![A-Za-z]))?)?",
    re.IGNORECASE,
)
_COMPACT = re.compile(r"(?<![\w-])(\d{4})(\d{2})(\d{2})[T_-](\d{2})(\d{2})(\d{2})?(Z?)(?![\w-])")
_NAMED_MONTH = re.compile(
    r"\b(?:(?P<month>[A-Za-z]{3,9})\.? {1,3}(?P<day>\d{1,2})(?:st|nd|rd|th)?"
    r"|(?P<day2>\d{1,2})(?:st|nd|rd|th)?\.? (?P<month2>[A-Za-z]{3,9}))"
    r"(?:,? {1,3}(?P<year>\d{4}))?(?:(?:,? {1,3}(?:at "
    r")?)~?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::\d{2})?"
    r"(?: ?(?P<half>[ap]m)\b)?"
    r"(?: ?(?P<zone>Z|[A-Z]{2,5})(?![A-Za-z]))?)?",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    r"~?(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([ap]m)\b)?(?: ?(Z|[A-Z]{2,5})(?![A-Za-z]))?(?![\d:])",
    re.IGNORECASE,
)
_SHORT_DAY = re.compile(r"(\d{1,2})[-/](\d{1,2}) {1,3}~?(\d{1,2}):(\d{2})(?![\d/-])")
_HUMAN = re.compile(
    r"\b([A-Za-z]{3,9})\.?,?[ \t]{1,4}([A-Za-z]{3,9})\.?[ "
    r"\t]{1,4}(\d{1,2})(st|nd|rd|th)?\b(?:,?[ \t]{1,4}(\d{4})\b)?"
)
_RUNTIME = re.compile(r"~?(?:(\d{1,4})(?:-| days?,? ))?(\d{1,4}):(\d{2}):(\d{2})(?![\d:])")
_SPANS = re.compile(
    r"~?(\d{1,6}(?:\.\d{1,4})?) ?(d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?"
    r"|seconds?)(?![A-Za-z])[, ]{0,2}(?:and )?",
    re.IGNORECASE,
)
_IN_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class Stamp(msgspec.Struct, frozen=True):
    """A written time. `day` is None if there is no such day or hour; `time` if there is no time of
    day, too.
    """

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
        hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
        if match[7] in ("AM", "PM"):
            hour = hour % 12 + (12 if match[7] == "PM" else 0)
            return Stamp(day, datetime(day.year, day.month, day.day, hour, minute, second))  # noqa: DTZ001
        midnight = (hour, minute, second) == (24, 0, 0)  # the end of the day
        time = datetime(day.year, day.month, day.day, 0 if midnight else hour, minute, second)  # noqa: DTZ001
        time += timedelta(days=midnight)
        return Stamp(day, time.replace(tzinfo=_zone(match[7] or "")), match[7] or "")
    except (ValueError, OverflowError):
        return Stamp(None)


def moment(text: str, day: date | None = None) -> Stamp | None:
    """The first time in the text, in any spelling: `2026/03/11 3:05 pm`, `Mar 11, 2026`,
    `20260311_150500`; of a given day also `15:42` and `03-11 15:42`. None if there is none.
    """
    if found := stamp(text):
        if found.time or found.day is None:
            return found
        return _other(text, day) or found
    return _other(text, day)


def opening(text: str, day: date | None = None) -> tuple[Stamp, str] | None:
    """The time that a line opens with and what stands behind it; None where it opens with none."""
    bare = text.lstrip(" \t[(*_`~")
    for words in (_STAMP, _OTHER_STAMP, _COMPACT, _NAMED_MONTH, _HUMAN, _SHORT_DAY, _CLOCK):
        match = words.match(bare)
        if match is None or (words in (_SHORT_DAY, _CLOCK) and day is None):
            continue
        rest = bare[match.end() :]
        if words is _HUMAN:
            found = human_date(match[0])
            clock = re.match(r",? {0,3}(?:at )?(?=\d{1,2}:\d{2})", rest)
            if found is None:
                continue
            on = found.on(day.year if day else None)
            if clock and on:
                timed = moment(rest[clock.end() :], on)
            else:
                timed = None
            if timed and clock:
                rest = _CLOCK.sub("", rest[clock.end() :], count=1)
            return timed or Stamp(on), _behind(rest)
        found_at = moment(match[0], day)
        if found_at is not None:
            return found_at, _behind(rest)
    return None


def _behind(text: str) -> str:
    text = re.sub(r"^ ?[-–] ?\d{1,2}:\d{2}(?::\d{2})?(?: ?(?:Z|[A-Z]{2,5})(?![A-Za-z]))?", "", text)
    return text.lstrip(" \t])*_`~").lstrip("—–-:|, \t")


def _other(text: str, day: date | None) -> Stamp | None:
    for words in (_OTHER_STAMP, _COMPACT):
        if match := words.search(text):
            parts = [part for part in match.groups() if part is not None and part not in ("/", ".")]
            return _made(parts, text=match[0])
    if (match := _NAMED_MONTH.search(text)) and (
        month := _named(match["month"] or match["month2"], MONTHS)
    ) is not None:
        year = match["year"] or (str(day.year) if day else "")
        if year:
            clock = [part for part in (match["hour"], match["minute"]) if part]
            return _made(
                [year, str(month + 1), match["day"] or match["day2"], *clock], text=match[0]
            )
    if day is not None:
        return _of_day(text.strip(), day)
    return None


def _of_day(text: str, day: date) -> Stamp | None:
    if match := _SHORT_DAY.match(text):
        return _made(
            [str(day.year), match[1], match[2], *(part for part in match.groups()[2:] if part)],
            text=match[0],
        )
    if match := _CLOCK.match(text):
        clock = [part for part in match.groups()[:3] if part]
        return _made([str(day.year), str(day.month), str(day.day), *clock], text=match[0])
    return None


def _made(parts: list[str], text: str) -> Stamp:
    """A stamp of year, month, day and the time, with the half of the day and the zone that the text
    names.
    """
    numbers = [int(part) for part in parts if part.isdigit()]
    half = re.search(r"\d ?([ap])m\b", text, re.IGNORECASE)
    zone = re.search(r"(?<![A-Za-z])(Z|[A-Z]{2,5})\s*$", text)
    if zone and zone[1].upper() not in ("AM", "PM"):
        name = zone[1]
    else:
        name = ""
    try:
        day = date(*numbers[:3])
        if len(numbers) < 5:
            return Stamp(day)
        if half:
            hour = numbers[3] % 12 + (12 if half[1].casefold() == "p" else 0)
        else:
            hour = numbers[3]
        if len(numbers) > 5:
            second = numbers[5]
        else:
            second = 0
        time = datetime(day.year, day.month, day.day, hour, numbers[4], second)  # noqa: DTZ001
        return Stamp(day, time.replace(tzinfo=_zone(name)), name)
    except (ValueError, TypeError):
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
        year = (
            self.year or year or 2000
        )  # a leap year: only what is impossible in every year is impossible
        if not (1 <= year <= 9999 and 1 <= self.day <= monthrange(year, self.month)[1]):
            return None
        return date(year, self.month, self.day)


def human_date(text: str) -> HumanDate | None:
    """The first `Wednesday, Feb 25th[, 2026]` in the text; None if there is none."""
    for match in _HUMAN.finditer(text):
        weekday, month = _named(match[1], WEEKDAYS), _named(match[2], MONTHS)
        if weekday is not None and month is not None:
            if match[5]:
                year = int(match[5])
            else:
                year = None
            if match[4]:
                suffix_at = match.span(4)
            else:
                suffix_at = (match.end(3), match.end(3))
            return HumanDate(
                weekday, match.span(1), month + 1, int(match[3]), match[4] or "", suffix_at, year
            )
    return None


def _named(word: str, names: tuple[str, ...]) -> int | None:
    start = word[:3].casefold()
    for index, name in enumerate(names):
        full = name if len(name) > 3 else datetime(2000, index + 1, 1).strftime("%B")  # noqa: DTZ001
        if name[:3].casefold() == start and (
            full.casefold().startswith(word.casefold()) or word.casefold() == "sept"
        ):
            return index
    return None


def weekday_like(day: date, written: str) -> str:
    """The day's weekday, as long as the one that was written: `Tue` for `Mon`."""
    name = WEEKDAYS[day.weekday()]
    if len(written) == 3:
        return name[:3]
    return name


def ordinal(day: int) -> str:
    """`st`, `nd`, `rd` or `th`."""
    if day % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def human(day: date) -> str:
    """`Wednesday, Feb 25th, 2026`."""
    return (
        f"{WEEKDAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}{ordinal(day.day)}, "
        f"{day.year}"
    )


def runtime(text: str) -> float | None:
    """The seconds of `12:30:00`, `1-00:00:29`, `6h 30m` or `6.5 hours`; None for anything else, and
    for `6:30`: of what.
    """
    text = text.strip().strip("`")
    match = _RUNTIME.match(text)
    if not match:
        total, at = 0.0, 0
        while part := _SPANS.match(text, at):
            total, at = total + float(part[1]) * _IN_SECONDS[part[2][0].casefold()], part.end()
        if at:
            return total
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
