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
    """The GPU-hours of all attempts, by user; users whose jobs asked for no GPU are left out.

    A job counts for the user whose process submitted it. What still runs counts until `clock`'s
    now. The user with the most hours comes first; those with equally many in the order of their
    names. A user whom no journal names is `unknown`.
    """
    users: dict[str, GpuHours] = {}
    for folder, state, names in found:
        spending = Spending(folder, None, (), clock)
        for use in spending.uses(state):
            # Only an attempt that had a job has a use, so that there is a first submission.
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
    """What became of an attempt's hours: the name of a field of `GpuHours`.

    `run` holds all attempts at the same work. An attempt without a verdict is `under_way`; one
    whose outcome is `unknown` counts as `lost`, one that is `invalid` as `failed`.
    """
    judged = attempt.judged
    if judged is None:
        return "under_way"
    if judged.outcome in ("done", "failed but good"):
        if _is_superseded(attempt, run):
            return "superseded"
        return "done"
    # Before the outcomes: a job that ran into its limit has failed, and the limit says why.
    if judged.state in _TIMED_OUT:
        return "timed_out"
    if judged.outcome in ("cancelled", "lost"):
        return judged.outcome
    if judged.outcome == "unknown":
        return "lost"
    return "failed"


def _is_superseded(attempt: Attempt, run: RunState) -> bool:
    """Whether the work was done again later, or what it left was declared stale. A later attempt
    counts once a scheduler took it, whatever became of it.
    """
    if attempt.number < run.redo_from:
        return True
    later = [one for number, one in run.attempts.items() if number > attempt.number]
    return any(one.submissions for one in later)


def users_of(events: Mapping[str, Sequence[AnyEvent | Unknown]]) -> dict[str, str]:
    """Writer → the user whose process it was, of the events of a journal, by writer.

    It is the first event of a writer, `opened`, that names the user. A writer without it, of a file
    whose begin is damaged, is left out.
    """
    users: dict[str, str] = {}
    for writer, written in events.items():
        if written and isinstance(written[0], Opened):
            users[writer] = written[0].user
    return users
