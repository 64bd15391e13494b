"""Which runs are wanted, and in which order: what `--where`, `--since` and `--sort` mean."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.core.text import lazy
from watchkeeper.core.text.figures import canonical
from watchkeeper.query.catalogue.listing import Run, names_in, newest_first
from watchkeeper.query.ranking import joined

Value = float | str

_CONDITION = lazy.pattern(r"\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERS = frozenset({"<", "<=", ">", ">="})
_AGE = lazy.pattern(r"(\d+(?:\.\d+)?)\s*(m|min|h|d|w)")
_UNITS = {
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_BEST = "best "
_CONFIG = "config:"
_METRIC = "metric:"
_MOST_NEAR = 5
_MOST_LISTED = 12


class Condition(msgspec.Struct, frozen=True):
    """`lr<1e-3`: a name, an operator, and what the value is compared with."""

    name: str
    sign: str
    value: str

    def holds(self, run: Run) -> bool:
        """Whether it holds for a run. A run that does not have the name is never meant, not by
        `!=` either.

        Two numbers are compared as numbers (`1e-3` is `0.001`); else both are compared as texts,
        for which there is no less and no more. NaN equals NaN here, so that it can be looked for.
        """
        mine = value_of(run, self.name)
        if mine is None:
            return False
        wanted = _number(self.value)
        number = _number(mine)
        compare = _OPERATORS[self.sign]
        if wanted is not None and number is not None:
            if math.isnan(number) and math.isnan(wanted):
                return self.sign in ("=", "==")
            return compare(number, wanted)
        if self.sign in _ORDERS:
            return False
        return compare(canonical(str(mine)), canonical(self.value))


class Order(msgspec.Struct, frozen=True):
    """An order of runs, and what it is in words."""

    runs: list[Run]
    words: str


def parse_condition(text: str) -> Condition:
    """Read `NAME<VALUE`.

    Raises:
        UsageError: it is no condition.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--where {text!r} is no condition",
            hint="as in --where 'lr<1e-3'; the operators are = != < <= > >=",
        )
    name, sign, value = match.groups()
    if sign in _ORDERS and _number(value) is None:
        raise UsageError(
            f"--where {text!r}: {value!r} is no number",
            hint=f"{sign} compares numbers; use = or !=",
        )
    return Condition(name, sign, value)


def parse_since(text: str, now: datetime) -> datetime:
    """Read `2d`, `3h`, `30min`, `1w`, or a date, with or without a time: of `now`'s zone, where it
    names none.

    Raises:
        UsageError: it is none of these.
    """
    match = _AGE.fullmatch(text.strip())
    if match is not None:
        return now - float(match[1]) * _UNITS[match[2]]
    try:
        since = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"--since {text!r} is no time", hint="as in 3h, 2d, 1w, 2026-11-20 or 2026-11-20T18:00"
        ) from None
    if since.tzinfo is None:
        return since.replace(tzinfo=now.tzinfo)
    return since


def check_name(name: str, runs: Sequence[Run], option: str) -> None:
    """Refuse a name that no run has, or that is both a setting and a metric.

    Raises:
        UsageError: it is such a name; the error names those that are near.
    """
    is_setting = any(_setting(run, name) is not None for run in runs)
    is_metric = any(_figure(run, name) is not None for run in runs)
    if is_setting and is_metric:
        raise UsageError(
            f"{option} {name}: it is a setting and a metric",
            hint=f"say {_CONFIG}{name} or {_METRIC}{name}",
        )
    if not (is_setting or is_metric):
        raise UsageError(f"{option} {name}: no run has that", hint=_near(name, runs))


def _near(name: str, runs: Sequence[Run]) -> str:
    """A hint with the names that are near to one that no run has; else with those that there are.

    `lr` is near to `optimizer.lr`, of which it is the end, and to `lr0`, by its spelling.
    """
    names: dict[str, None] = {}
    for run in runs:
        names.update(dict.fromkeys(names_in(run)))
    known = list(names)
    bare = name.removeprefix(_CONFIG).removeprefix(_METRIC).removeprefix(_BEST)
    ends = [one for one in known if re.split(r"[./]", one)[-1] == bare]
    close = difflib.get_close_matches(bare, known, n=_MOST_NEAR)
    near = list(dict.fromkeys([*ends, *close]))
    if near:
        return f"did you mean {', '.join(near)}?"
    if not known:
        return "these runs have no settings and no metrics"
    listed = ", ".join(sorted(known)[:_MOST_LISTED])
    more = len(known) - _MOST_LISTED
    if more <= 0:
        return f"they have {listed}"
    return f"they have {listed} and {more} more"


def value_of(run: Run, name: str) -> Value | None:
    """A run's setting of this name, else the last value of its metric, or its best where the name
    begins with `best `; None where it has none.
    """
    setting = _setting(run, name)
    if setting is not None:
        return setting
    return _figure(run, name)


def _setting(run: Run, name: str) -> str | None:
    """A run's setting, also by its name behind `config:`; None where it has none."""
    return run.config.get(name.removeprefix(_CONFIG))


def _figure(run: Run, name: str) -> float | None:
    """A metric's last value, or its best; None for a name of settings."""
    metric = name.removeprefix(_METRIC)
    if metric in run.figures:
        return run.figures[metric].last
    if not metric.startswith(_BEST):
        return None
    best = run.best(metric.removeprefix(_BEST))
    if best is None:
        return None
    return best.value


def _number(value: Value) -> float | None:
    """The value as a number; None for one that is none."""
    try:
        return float(value)
    except ValueError:
        return None


def in_order(runs: Sequence[Run], name: str, *, reverse: bool) -> Order:
    """The runs by a metric, the best first where its name says which figures are better, else the
    largest first; by a setting, the smallest first. Those without it come last.

    Of a setting that is a number for some runs and a text for others, the numbers come first. Of
    equal values the newest run does.

    Raises:
        UsageError: no run has it, or it is both a setting and a metric.
    """
    check_name(name, runs, "--sort")
    key, descending, words = _key_of(name, runs)
    if reverse:
        descending = not descending
    numbers: list[tuple[float, Run]] = []
    texts: list[tuple[str, Run]] = []
    rest: list[Run] = []
    for run in newest_first(runs):
        value = key(run)
        if isinstance(value, str):
            texts.append((value, run))
        elif value is None or math.isnan(value):
            rest.append(run)
        else:
            numbers.append((value, run))
    numbers.sort(key=lambda pair: pair[0], reverse=descending)
    texts.sort(key=lambda pair: pair[0], reverse=descending)
    ordered = [run for _, run in (*numbers, *texts)]
    direction = "smallest"
    if descending:
        direction = "largest"
    return Order([*ordered, *rest], f"sorted by {name}, {direction} first{words}")


def _key_of(name: str, runs: Sequence[Run]) -> tuple[Callable[[Run], Value | None], bool, str]:
    """What runs are sorted by, whether the largest comes first, and why, in words."""
    if any(_setting(run, name) is not None for run in runs):
        return (lambda run: _as_number(_setting(run, name))), False, ""
    metric = name.removeprefix(_METRIC)
    sign = joined(run.ranking for run in runs).sign(metric.removeprefix(_BEST))
    if metric.startswith(_BEST):
        return (lambda run: _figure(run, name)), sign > 0, ""
    if not sign:
        words = ", by the last values: whether more is better is not known"
        return (lambda run: _figure(run, name)), True, words
    words = ", by the best value of each run"
    return (lambda run: _figure(run, f"{_BEST}{metric}")), sign > 0, words


def _as_number(text: str | None) -> Value | None:
    """A setting as the number that it is; as its text where it is none, or NaN, which has no place
    among numbers. None for None.
    """
    if text is None:
        return None
    number = _number(text)
    if number is None or math.isnan(number):
        return text
    return number
