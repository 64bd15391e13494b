"""What a person lets an experiment use: GPU-hours, and jobs. Pure."""

from __future__ import annotations

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.core.text import lazy

_HOUR_S = 3600.0
_GPU = lazy.pattern(r"[0-9]{1,9}(?:\.[0-9]{1,6})?h")
_JOBS = lazy.pattern(r"[0-9]{1,9}")
_HINT = "write --budget gpu=40h, --budget jobs=200, or both: gpu=40h,jobs=200"
_MOST_NAMES = 5


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The most that may be used before nothing more is submitted; None: any amount."""

    gpu_s: float | None = None
    jobs: int | None = None


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What all attempts of an experiment have used: `gpu_s` is GPUs asked for × seconds, `jobs` how
    many were submitted. `by_limit`: keys whose elapsed time nobody knows, counted by their time
    limit; `by_clock`: of these, the ones without a limit, counted until their end was noticed.
    """

    gpu_s: float = 0.0
    jobs: int = 0
    by_limit: tuple[str, ...] = ()
    by_clock: tuple[str, ...] = ()


def parse(text: str) -> Budget:
    """Read `gpu=40h,jobs=200`: 144,000 GPU-seconds, and 200 jobs. What it does not name is not
    limited.

    Raises:
        UsageError: it is not of this form; the message names the part as it was typed.
    """
    values: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name not in ("gpu", "jobs"):
            raise UsageError(f"--budget: {part.strip()!r} is no budget", hint=_HINT)
        if name in values:
            raise UsageError(f"--budget: {text!r} names {name} twice", hint="keep one of them")
        values[name] = value
    return Budget(gpu_s=_seconds(values.get("gpu")), jobs=_number(values.get("jobs")))


def _seconds(value: str | None) -> float | None:
    """GPU-seconds from GPU-hours, `2.5h`; None: no limit was named.

    Raises:
        UsageError: it is no number of hours.
    """
    if value is None:
        return None
    if _GPU.fullmatch(value) is None:
        raise UsageError(
            f"--budget: gpu={value!r} is no number of GPU-hours", hint="write gpu=40h or gpu=2.5h"
        )
    return float(value.removesuffix("h")) * _HOUR_S


def _number(value: str | None) -> int | None:
    """A number of jobs; None: no limit was named.

    Raises:
        UsageError: it is no whole number.
    """
    if value is None:
        return None
    if _JOBS.fullmatch(value) is None:
        raise UsageError(f"--budget: jobs={value!r} is no number of jobs", hint="write jobs=200")
    return int(value)


def spent(budget: Budget, used: Used) -> str:
    """What of the budget is used up, in words; "": nothing is."""
    words: list[str] = []
    if budget.gpu_s is not None and used.gpu_s >= budget.gpu_s:
        words.append(f"{_hours(used.gpu_s)} of {_hours(budget.gpu_s)} GPU-hours used")
    if budget.jobs is not None and used.jobs >= budget.jobs:
        words.append(f"{used.jobs} of {budget.jobs} jobs submitted")
    return ", ".join(words)


def describe(budget: Budget, used: Used) -> str:
    """What was used and what is left, in words."""
    words: list[str] = []
    if budget.gpu_s is not None:
        left = _hours(max(budget.gpu_s - used.gpu_s, 0.0))
        words.append(f"{_hours(used.gpu_s)} of {_hours(budget.gpu_s)} GPU-hours used, {left} left")
        words += _guesses(used)
    if budget.jobs is not None:
        left_jobs = max(budget.jobs - used.jobs, 0)
        words.append(f"{used.jobs} of {budget.jobs} jobs submitted, {left_jobs} left")
    return "; ".join(words)


def _guesses(used: Used) -> list[str]:
    """Which GPU-hours are not measured, and what stands for them; [] where all are."""
    words: list[str] = []
    if used.by_limit:
        words.append(
            f"by its time limit, since nobody says how long it ran: {_some(used.by_limit)}"
        )
    if used.by_clock:
        words.append(
            f"until its end was noticed, since it has no time limit: {_some(used.by_clock)}"
        )
    return words


def _some(names: tuple[str, ...]) -> str:
    """The first names, and how many more there are: `r1, r2, r3, r4, r5 and 7 more`."""
    more = len(names) - _MOST_NAMES
    words = ", ".join(names[:_MOST_NAMES])
    if more > 0:
        words += f" and {more} more"
    return words


def _hours(seconds: float) -> str:
    """`12.4`, `40`, `0.03`; never rounded to 0 where there is some."""
    hours = seconds / _HOUR_S
    if hours < 10:
        return f"{hours:.2f}".rstrip("0").rstrip(".")
    return f"{hours:.1f}".removesuffix(".0")
