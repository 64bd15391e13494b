"""Durations, times, rates and names as the pictures show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from watchkeeper.query.views.counts import SETTLED, worst_first
from watchkeeper.query.views.shared import Real

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S
_WEEK = timedelta(days=6)
_MOST_MINUTES = 180


def span(seconds: float) -> str:
    """A duration in two units at most: `11 s`, `49 min`, `16:04 h`, `3 d 4 h`."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes * 60 < _DAY_S:
        return f"{minutes // 60}:{minutes % 60:02d} h"
    hours = round(seconds / _HOUR_S)
    return f"{hours // 24} d {hours % 24} h"


def coarse_span(seconds: float) -> str:
    """In one unit: `11 s`, `49 min`, `16 h`, `3 d`."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    if round(seconds / 60) < 60:
        return f"{seconds / 60:.0f} min"
    if round(seconds / _HOUR_S) < 48:
        return f"{seconds / _HOUR_S:.0f} h"
    return f"{seconds / _DAY_S:.0f} d"


def tight_span(seconds: float) -> str:
    """As `coarse_span`, without a space: `11s`, `49m`, `16h`, `3d`."""
    return coarse_span(seconds).replace(" min", "m").replace(" ", "")


def elapsed(seconds: float) -> str:
    """How long a job took: minutes up to three hours (`129 min`), so that jobs of one size compare
    at a glance; else as `span`.
    """
    minutes = round(seconds / 60)
    if 1 <= minutes < _MOST_MINUTES:
        return f"{minutes} min"
    return span(seconds)


def age(time: datetime | None, now: datetime) -> str:
    """How long ago, or when: `11 s`, `44 min`, `06:05`, `Thu`, `25 Nov`, `2024`; "" for None.

    What lies ahead of `now`, by another machine's clock, is shown as a time.
    """
    if time is None:
        return ""
    local = time.astimezone(now.tzinfo)
    passed = now - local
    if timedelta() <= passed < timedelta(hours=1):
        return coarse_span(passed.total_seconds())
    if local.date() == now.date():
        return f"{local:%H:%M}"
    if abs(passed) < _WEEK:
        return f"{local:%a}"
    if local.year == now.year:
        return f"{local.day} {local:%b}"
    return f"{local:%Y}"


def clock(time: datetime, now: datetime) -> str:
    """`06:05` in the zone of `now`; of another day `Thu 06:05`, `25 Nov`."""
    local = time.astimezone(now.tzinfo)
    if local.date() == now.date():
        return f"{local:%H:%M}"
    if abs(now - local) < _WEEK:
        return f"{local:%a %H:%M}"
    return f"{local.day} {local:%b}"


def rate(per_s: float | None) -> str:
    """Training steps a second, a minute or an hour, the first of which there is a tenth: `0.14/s`,
    `1,200/s`, `4.20/min`, `9.00/h`; "" for None.
    """
    if per_s is None:
        return ""
    for unit, seconds in (("s", 1), ("min", 60)):
        if per_s * seconds >= 0.1:
            return f"{_three_digits(per_s * seconds)}/{unit}"
    return f"{_three_digits(per_s * _HOUR_S)}/h"


def _three_digits(value: float) -> str:
    """With three digits, or all whole ones."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def steps(step: Real | None, total: Real | None) -> str:
    """`18,350/24,000`; `18,350` without a total; "" without a step."""
    if step is None:
        return ""
    if total is None:
        return f"{step:,}"
    return f"{step:,}/{total:,}"


def people_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """State → how many, the worst first, as a person counts: what finished is done, and what is not
    needed is not counted.
    """
    known = dict(counts)
    known.pop("not needed", None)
    finished = known.pop("finished", 0)
    if finished:
        known["done"] = known.get("done", 0) + finished
    return worst_first(known)


def counts_line(counts: Mapping[str, int]) -> str:
    """`7 failed, 3 running, 110 done`, the worst first."""
    ordered = people_counts(counts)
    return ", ".join(map("{:,} {}".format, ordered.values(), ordered))


def unsettled(counts: Mapping[str, int]) -> dict[str, int]:
    """What is not settled, the worst first."""
    ordered = worst_first(counts)
    return {state: count for state, count in ordered.items() if state not in SETTLED}


def worst(counts: Mapping[str, int]) -> str:
    """The state that matters most of those that something is in; "" where nothing is."""
    return next(iter(worst_first(counts)), "")


def counted(count: int, noun: str) -> str:
    """`1 job`, `12 jobs`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}s"


def joined(mark: str, *parts: str) -> str:
    """The parts that there are, with a mark between them: `joined(", ", "a", "", "b")` → `a, b`."""
    return mark.join(filter(None, parts))


def more(count: int, what: str = "") -> list[str]:
    """The line that says that there is more than is shown; none where there is not.

    `what` begins with a blank: `and 7 more runs: add --json --limit 0`.
    """
    if count <= 0:
        return []
    return [f"and {count:,} more{what}: add --json --limit 0"]


def short_command(command: str) -> str:
    """The command under its short name."""
    name, blank, rest = command.partition(" ")
    if name == "watchkeeper":
        return f"wk{blank}{rest}"
    return command


def short_names(names: Sequence[str]) -> str:
    """The names, what all end with said once: `r4, r8, r16_lr2e-4`.

    The common end begins at each name's first underscore. Names without one are shown whole.
    """
    if len(names) < 2:
        return ", ".join(names)
    ends: set[str] = set()
    for name in names:
        ends.add(name[name.index("_") :] if "_" in name[1:] else "")
    if len(ends) > 1 or ends == {""}:
        return ", ".join(names)
    (end,) = ends
    beginnings = [name.removesuffix(end) for name in names[:-1]]
    return ", ".join([*beginnings, names[-1]])
