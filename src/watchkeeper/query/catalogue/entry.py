"""What is kept of one recorded run: enough to list it, to find it and to compare its figures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.processes import ProcessName
from watchkeeper.core.words import Note
from watchkeeper.report.compare.direction import Better

SPARK_VALUES = 48
Real = int | float


class Figure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One metric of one run: its last value, its least and its greatest, each with its training
    step (None: it has none). `least` and `greatest` are None where no value is finite. Which of
    them is the best is not kept: a rule may change.
    """

    last: Real
    last_step: Real | None = None
    least: Real | None = None
    least_step: Real | None = None
    greatest: Real | None = None
    greatest_step: Real | None = None

    def best(self, better: Better) -> Extreme | None:
        """The best value with its step; None where nobody knows which end is the better one, or
        where no value is finite.
        """
        if better == "less":
            return _extreme(self.least, self.least_step)
        if better == "more":
            return _extreme(self.greatest, self.greatest_step)
        return None


class Extreme(NamedTuple):
    """A value, and the training step at which it was reached (None: it has none)."""

    value: Real
    step: Real | None


def _extreme(value: Real | None, step: Real | None) -> Extreme | None:
    """A value with its step; None where there is no value."""
    if value is None:
        return None
    return Extreme(value, step)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recorded run, by its files alone.

    `started` and `ended` are of its last execution under its first pipeline; `status` is how that
    ended, "" where no end was written; `process` is then the one that writes, None where that is
    not known. `attempt` is the folder of the attempt that it worked for, "" for none. `spark` are
    up to 48 medians of `spark_metric` over its rows, in order. `step` is the last training step,
    of `total` that are planned; `executions`: how often it began.
    """

    run_id: str = ""
    name: str = ""
    pipeline: str = ""
    user: str = ""
    attempt: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    status: str = ""
    error: str = ""
    process: ProcessName | None = None
    rows: int = 0
    step: Real | None = None
    total: int | None = None
    executions: int = 1
    config: dict[str, str] = {}
    figures: dict[str, Figure] = {}
    spark_metric: str = ""
    spark: tuple[Real, ...] = ()
    tags: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def state(self) -> str:
        """As `wk.load` says it: how it ended, or `running`, `died` and `not ended` where no end was
        written. Whether a process lives is looked at now, and not remembered; of one on another
        machine it cannot be seen.
        """
        if self.status:
            return self.status
        alive = None
        if self.process is not None:
            alive = processes.is_alive(self.process)
        return {True: "running", False: "died", None: "not ended"}[alive]


def medians(values: Sequence[float], most: int) -> tuple[float, ...]:
    """At most `most` medians of neighbouring values, in order; the values themselves where there
    are no more.
    """
    if len(values) <= most:
        return tuple(values)
    from statistics import median  # where there are more

    bounds = [len(values) * number // most for number in range(most + 1)]
    return tuple(median(values[begin:end]) for begin, end in itertools.pairwise(bounds))
