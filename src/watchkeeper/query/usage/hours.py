"""GPU-hours of experiments, by the user who submitted and by what became of the jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from watchkeeper.core.events import AnyEvent, Opened, Unknown
from watchkeeper.core.journal import Clock
from watchkeeper.core.state import Attempt, RunState, State
from watchkeeper.watch.spending import Spending

_HOUR_S = 3600.0
_TIMED_OUT = frozenset({"TIMEOUT", "DEADLINE"})
_UNKNOWN_USER = "unknown"


class Found(NamedTuple):
    """An experiment's folder and state. `users`: writer → whose process it was, "" for unknown."""

    folder: Path
    state: State
    users: Mapping[str, str]


class GpuHours(msgspec.Struct, kw_only=True):
    """The GPU-hours of one user's jobs: GPUs asked for × time. `done` is what counts in the end;
    the others say what lost them: jobs that `failed` (or left what is invalid), `timed_out`, were
    `cancelled`, were `superseded` (done, and made again later), or whose end is not known (`lost`).
    `under_way` is until now. `guessed`: how many of these hours are counted by a time limit or by
    the clock, since nobody says how long the job ran.
    """

    user: str
    done: float = 0.0
    failed: float = 0.0
    timed_out: float = 0.0
    cancelled: float = 0.0
    superseded: float = 0.0
    lost: float = 0.0
    under_way: float = 0.0
    guessed: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        ended = self.done + self.failed + self.timed_out + self.cancelled
        return ended + self.superseded + self.lost + self.under_way


def gpu_hours(found: Iterable[Found], clock: Clock) -> list[GpuHours]:
    """The GPU-hours of all attempts, by user; users whose jobs asked for no GPU are left out."""
    users: dict[str, GpuHours] = {}
    for folder, state, names in found:
        spending = Spending(folder, None, (), clock)
        for use in spending.uses(state):
            writer = next(iter(use.attempt.submissions.values())).writer
            name = names.get(writer) or _UNKNOWN_USER
            hours = users.setdefault(name, GpuHours(user=name))
            cause = cause_of(use.attempt, state.run(use.attempt.key))
            amount = use.gpu_s / _HOUR_S
            setattr(hours, cause, getattr(hours, cause) + amount)
            if use.source != "said":
                hours.guessed += amount
    return sorted(users.values(), key=lambda hours: (-hours.total, hours.user))


def cause_of(attempt: Attempt, run: RunState) -> str:
    """What became of an attempt's hours: the name of a field of `GpuHours`."""
    judged = attempt.judged
    if judged is None:
        return "under_way"
    if judged.outcome in ("done", "failed but good"):
        return "superseded" if _is_superseded(attempt, run) else "done"
    if judged.state in _TIMED_OUT:
        return "timed_out"
    if judged.outcome in ("cancelled", "lost"):
        return judged.outcome
    return "lost" if judged.outcome == "unknown" else "failed"


def _is_superseded(attempt: Attempt, run: RunState) -> bool:
    """Whether the work was done again later, or what it left was declared stale."""
    later = [one for number, one in run.attempts.items() if number > attempt.number]
    return attempt.number < run.redo_from or any(one.submissions for one in later)


def users_of(events: Mapping[str, Sequence[AnyEvent | Unknown]]) -> dict[str, str]:
    """Writer → the user whose process it was, of the events of a journal, by writer."""
    firsts = {writer: written[0] for writer, written in events.items() if written}
    return {writer: first.user for writer, first in firsts.items() if isinstance(first, Opened)}
