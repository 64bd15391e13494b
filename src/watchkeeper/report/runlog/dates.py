"""Times and dates as run logs write them: `2026-03-11 15:00 UTC`, `Wednesday, Feb 25th, 2026`."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TypeGuard

import msgspec

from watchkeeper.core.text import lazy

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_STAMP = lazy.pattern(
    r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)"
    r"(?:[T ]{1,3}~?(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?(?: ?[-–] "
    r"?\d{1,2}:\d{2}(?::\d{2})?)?"
    r"(?: ?(Z|[+-]\d{2}:?\d{2}|[A-Z]{2,5})(?![A-Za-z]))?)?"
)
_OTHER_STAMP = lazy.pattern(
    r"(?<![\w/.-])(\d{4})(?:(?P<sep>[/.])(\d{1,2})(?P=sep)(\d{1,2})|-(\d{2})-(\d{2}))(?![\d/])"
    r"(?:(?:,? {1,3}(?:at )?|_|T| {0,2}[(\[])~?(\d{1,2})[:h](\d{2})(?::(\d{2}))?(?: "
    r"?([ap]m)\b)?(?: ?(Z"
    r"|[A-Z]{2,5})(?![A-Za-z]))?)?",
    re.IGNORECASE,
)
_COMPACT = lazy.pattern(r"(?<![\w-])(\d{4})(\d{2})(\d{2})[T_-](\d{2})(\d{2})(\d{2})?(Z?)(?![\w-])")
_NAMED_MONTH = lazy.pattern(
    r"\b(?:(?P<month>[A-Za-z]{3,9})\.? {1,3}(?P<day>\d{1,2})(?:st|nd|rd|th)?"
    r"|(?P<day2>\d{1,2})(?:st|nd|rd|th)?\.? (?P<month2>[A-Za-z]{3,9}))"
    r"(?:,? {1,3}(?P<year>\d{4}))?(?:(?:,? {1,3}(?:at "
    r")?)~?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::\d{2})?"
    r"(?: ?(?P<half>[ap]m)\b)?"
    r"(?: ?(?P<zone>Z|[A-Z]{2,5})(?![A-Za-z]))?)?",
    re.IGNORECASE,
)
_CLOCK = lazy.pattern(
    r"~?(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([ap]m)\b)?(?: ?(Z|[A-Z]{2,5})(?![A-Za-z]))?(?![\d:])",
    re.IGNORECASE,
)
_SHORT_DAY = lazy.pattern(r"(\d{1,2})[-/](\d{1,2}) {1,3}~?(\d{1,2}):(\d{2})(?![\d/-])")
_HUMAN = lazy.pattern(
    r"\b([A-Za-z]{3,9})\.?,?[ \t]{1,4}([A-Za-z]{3,9})\.?[ "
    r"\t]{1,4}(\d{1,2})(st|nd|rd|th)?\b(?:,?[ \t]{1,4}(\d{4})\b)?"
)
_RUNTIME = lazy.pattern(r"~?(?:(\d{1,4})(?:-| days?,? ))?(\d{1,4}):(\d{2}):(\d{2})(?![\d:])")
_SPANS = lazy.pattern(
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
        """The seconds from this time to the other, negative where the other is earlier; None where
        the text does not say.

        Of two different days without a time, whole days count. Of one day without a time, or of a
        time with a zone and one without, the order is not known.
        """
        if self.time is None or other.time is None:
            if self.day is None or other.day is None or self.day == other.day:
                return None
            return (other.day - self.day).total_seconds()
        is_local, other_is_local = self.time.tzinfo is None, other.time.tzinfo is None
        if is_local != other_is_local:
            return None
        # `CET` and `EST` have letters, but no offset that could be trusted
        if is_local and self.zone != other.zone:
            return None
        return (other.time - self.time).total_seconds()


def stamp(text: str) -> Stamp | None:
    """The first time in the text that is written as the format asks; None if there is none.

        2026-03-11 15:00 UTC            with a zone
        2026-03-11T15:00:00+01:00
        ended 2026-03-11 24:00          midnight at the end of that day
        2026-03-11                      a day alone
        2026-02-30 15:00                `Stamp(None)`: there is no such day

    Letters for a zone other than UTC are kept in `zone`, and give no offset.
    """
    match = _STAMP.search(text)
    if match is None:
        return None
    try:
        return _stamp_of(match)
    except (ValueError, OverflowError):
        return Stamp(None)


def _stamp_of(match: re.Match[str]) -> Stamp:
    """The time that was matched. A second number after the time, as in `15:00-16:00`, is the end of
    a range and does not count.

    Raises:
        ValueError, OverflowError: there is no such day or hour.
    """
    day = date(int(match[1]), int(match[2]), int(match[3]))
    if match[4] is None:
        return Stamp(day)
    hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
    zone = match[7] or ""
    if zone in ("AM", "PM"):
        return Stamp(day, datetime(day.year, day.month, day.day, _hour(hour, zone), minute, second))  # noqa: DTZ001
    is_end_of_day = (hour, minute, second) == (24, 0, 0)
    if is_end_of_day:
        hour = 0
    time = datetime(day.year, day.month, day.day, hour, minute, second)  # noqa: DTZ001
    if is_end_of_day:
        time += timedelta(days=1)
    return Stamp(day, time.replace(tzinfo=_zone(zone)), zone)


def _hour(hour: int, half: str) -> int:
    """The hour of the day, from that of its half: 15 for `3` and `pm`, 0 for `12` and `am`."""
    if half[0] in "pP":
        return hour % 12 + 12
    return hour % 12


def moment(text: str, day: date | None = None) -> Stamp | None:
    """The first time in the text, in any spelling: `2026-03-11 15:00`, `2026/03/11 3:05 pm`, `Mar
    11, 2026`, `11 March 2026 at 15:00`, `20260311_150500`.

    Of a given day also `15:42`, `03-11 15:42` and `Mar 11 15:42`, which do not say of which year or
    day they are. None if there is none.
    """
    at = stamp(text)
    if at is None:
        return _other(text, day)
    if at.time is not None or at.day is None:
        return at
    return _other(text, day) or at


def opening(text: str, day: date | None = None) -> tuple[Stamp, str] | None:
    """The time that a line opens with and what stands behind it; None where it opens with none.

    [2026-03-11 15:00] running              15:00 of that day, `running`
    **Mar 11 15:00**: running               the same, of the year of `day`
    Wednesday, Mar 11th, 15:00 running      the same
    15:42 — running                         15:42 of `day`; None without a day
    running since 15:00                     None
    """
    bare = text.lstrip(" \t[(*_`~")
    for pattern in (_STAMP, _OTHER_STAMP, _COMPACT, _NAMED_MONTH, _HUMAN, _SHORT_DAY, _CLOCK):
        match = pattern.match(bare)
        if match is None or (pattern in (_SHORT_DAY, _CLOCK) and day is None):
            continue
        rest = bare[match.end() :]
        if pattern is _HUMAN:
            opened = _human_opening(match[0], rest, day)
            if opened is not None:
                return opened
            continue
        at = moment(match[0], day)
        if at is not None:
            return at, _behind(rest)
    return None


def _human_opening(text: str, rest: str, day: date | None) -> tuple[Stamp, str] | None:
    """The time of a line that opens with a date for people, with the clock behind it if there is
    one; None: it is no such date.

    `text` is the date, `Wednesday, Mar 11th`, and `rest` what follows, `, 15:00 running`. Without a
    year of its own, the date is of the year of `day`.
    """
    shown = human_date(text)
    if shown is None:
        return None
    on = shown.on(day.year if day else None)
    clock = re.match(r",? {0,3}(?:at )?(?=\d{1,2}:\d{2})", rest)
    if clock is None or on is None:
        return Stamp(on), _behind(rest)
    timed = moment(rest[clock.end() :], on)
    if timed is None:
        return Stamp(on), _behind(rest)
    return timed, _behind(_CLOCK.sub("", rest[clock.end() :], count=1))


def _behind(text: str) -> str:
    """What stands behind a time: without the end of a range (`– 16:00`), the marks that close it,
    and the sign before the words.
    """
    text = re.sub(r"^ ?[-–] ?\d{1,2}:\d{2}(?::\d{2})?(?: ?(?:Z|[A-Z]{2,5})(?![A-Za-z]))?", "", text)
    return text.lstrip(" \t])*_`~").lstrip("—–-:|, \t")


def _other(text: str, day: date | None) -> Stamp | None:
    """The first time in another spelling than that of `stamp`; None if there is none.

    `2026/03/11 15:00`, `20260311_150500`, `Mar 11, 2026`. Spellings that need the day are only
    tried where it is known.
    """
    for pattern in (_OTHER_STAMP, _COMPACT):
        match = pattern.search(text)
        if match is None:
            continue
        # one of the groups is the sign between year, month and day
        parts = [part for part in match.groups() if part not in (None, "/", ".")]
        return _made(parts, text=match[0])
    match = _NAMED_MONTH.search(text)
    if match is not None:
        at = _of_named_month(match, day)
        if at is not None:
            return at
    if day is None:
        return None
    return _of_day(text.strip(), day)


def _of_named_month(match: re.Match[str], day: date | None) -> Stamp | None:
    """The time with a month's name: `Mar 11, 2026`, `11 March 15:00`.

    None: it is no month (`step 11`), or nothing says of which year: neither the text nor `day`,
    which is None where it is not known.
    """
    month = _named(match["month"] or match["month2"], MONTHS)
    if month is None:
        return None
    year = match["year"]
    if year is None and day is not None:
        year = str(day.year)
    if not year:
        return None
    parts = [year, str(month + 1), match["day"] or match["day2"], match["hour"], match["minute"]]
    return _made([part for part in parts if part], text=match[0])


def _of_day(text: str, day: date) -> Stamp | None:
    """The time that a text begins with, of a known day: `15:42`, or `03-11 15:42` of its year.
    None: it begins with none.

    `~15:40` counts as 15:40: people write down about when it was.
    """
    match = _SHORT_DAY.match(text)
    if match:
        return _made([str(day.year), *match.groups()], text=match[0])
    match = _CLOCK.match(text)
    if match:
        clock = [part for part in match.groups()[:3] if part]
        return _made([str(day.year), str(day.month), str(day.day), *clock], text=match[0])
    return None


def _made(parts: list[str], text: str) -> Stamp:
    """A stamp of year, month, day and the time, with the half of the day and the zone that the text
    names. `Stamp(None)`: there is no such time.

    `["2026", "03", "11", "3", "05"]` and `2026/03/11 3:05 pm` give 15:05 of that day. Parts that
    are no numbers are passed over.
    """
    numbers = [int(part) for part in parts if part.isdigit()]
    zone = _zone_in(text)
    try:
        day = date(*numbers[:3])
        if len(numbers) < 5:
            return Stamp(day)
        hour = numbers[3]
        half = re.search(r"\d ?([ap])m\b", text, re.IGNORECASE)
        if half:
            hour = _hour(hour, half[1])
        second = next(iter(numbers[5:]), 0)
        time = datetime(day.year, day.month, day.day, hour, numbers[4], second)  # noqa: DTZ001
        return Stamp(day, time.replace(tzinfo=_zone(zone)), zone)
    except (ValueError, TypeError):
        return Stamp(None)


def _zone_in(text: str) -> str:
    """The zone that a text ends in, `UTC`, `CET` or `Z`; "": it names none.

    `PM` behind a time is no zone.
    """
    zone = re.search(r"(?<![A-Za-z])(Z|[A-Z]{2,5})\s*$", text)
    if zone is None or zone[1].upper() in ("AM", "PM"):
        return ""
    return zone[1]


def _zone(text: str) -> timezone | None:
    """The offset of a zone: of `Z`, `UTC`, `GMT`, `+01:00`, `-0530`. None: other letters, which may
    mean several zones, or none.
    """
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
        """The day, in its own year or the one given; None if there is no such day (`Feb 30th`).

        Without either year, the day is that of some year: only whether it exists is of use.
        """
        # 2000 is a leap year: only what is impossible in every year is impossible
        year = self.year or year or 2000
        if not 1 <= year <= 9999:
            return None
        if not 1 <= self.day <= monthrange(year, self.month)[1]:
            return None
        return date(year, self.month, self.day)


def human_date(text: str) -> HumanDate | None:
    """The first `Wednesday, Feb 25th[, 2026]` in the text; None if there is none.

    Names may be cut short and the ordinal left out: `Wed Feb 25`, `Mon, Sept 1st`. The day need not
    exist, and the weekday may be wrong: `HumanDate.on` and lint say so.
    """
    for match in _HUMAN.finditer(text):
        weekday, month = _named(match[1], WEEKDAYS), _named(match[2], MONTHS)
        if weekday is None or month is None:
            continue
        suffix, suffix_at = "", (match.end(3), match.end(3))
        if match[4]:
            suffix, suffix_at = match[4], match.span(4)
        return HumanDate(
            weekday=weekday,
            weekday_at=match.span(1),
            month=month + 1,
            day=int(match[3]),
            suffix=suffix,
            suffix_at=suffix_at,
            year=int(match[5]) if match[5] else None,
        )
    return None


def _named(word: str, names: tuple[str, ...]) -> int | None:
    """Which of these days or months a word names, in full or cut short, from 0: 1 for `tue` and
    `Tuesday` among weekdays.

    None: none of them, as `step` in `step 11`.
    """
    folded = word.casefold()
    for index, name in enumerate(names):
        if name[:3].casefold() == folded[:3] and _is_short_for(folded, index, name):
            return index
    return None


def _is_short_for(word: str, index: int, name: str) -> bool:
    """Whether a word in lower case is the beginning of a name: `febr` of February, and `sept`,
    which is no longer than people cut it. `index` is that of the name, whose first letters are
    equal.
    """
    full = name
    if len(name) == 3:
        full = datetime(2000, index + 1, 1).strftime("%B")  # noqa: DTZ001
    return full.casefold().startswith(word) or word == "sept"


def weekday_like(day: date, written: str) -> str:
    """The day's weekday, as long as the one that was written: `Tue` for `Mon`, else in full."""
    name = WEEKDAYS[day.weekday()]
    if len(written) == 3:
        return name[:3]
    return name


def ordinal(day: int) -> str:
    """The letters behind the number of a day: `st`, `nd`, `rd` or `th` (11th, 12th, 13th)."""
    if day % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def human(day: date) -> str:
    """A day as run logs write it for people: `Wednesday, Feb 25th, 2026`."""
    return (
        f"{WEEKDAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}{ordinal(day.day)}, "
        f"{day.year}"
    )


def runtime(text: str) -> float | None:
    """The seconds of a written runtime; None for anything else, and for `6:30`, which may be of
    hours or minutes.

        12:30:00, 36:00:00 (limit)     45000.0, 129600.0
        1-00:00:29                     86429.0, as Slurm writes a day and 29 seconds
        6h 30m, 6.5 hours              23400.0
        about 3 h                      None: it does not begin with a number
    """
    text = text.strip().strip("`")
    match = _RUNTIME.match(text)
    if match is None:
        return _spans(text)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _spans(text: str) -> float | None:
    """The seconds of `6h 30m` or `2 days, 3 h`; None: the text begins with no such span."""
    total, at = 0.0, 0
    part = _SPANS.match(text)
    while part:
        unit = part[2][0].casefold()
        total += float(part[1]) * _IN_SECONDS[unit]
        at = part.end()
        part = _SPANS.match(text, at)
    if not at:
        return None
    return total


def has_day(at: Stamp | None) -> TypeGuard[Stamp]:
    """Whether there is a time, and it names its day: times without one cannot be ordered.

    False as well for `Stamp(None)`, a time that does not exist.
    """
    return at is not None and at.day is not None


def day_in(at: Stamp | None) -> date | None:
    """The day that a time names; None: it names none, or there is no time."""
    if at is None:
        return None
    return at.day
