"""Whether a sweep can work at all, by how its first jobs ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from watchkeeper.core.events import Cause, Judged
from watchkeeper.core.state import Attempt
from watchkeeper.core.text.masks import masked
from watchkeeper.launch.plan import WELL

FIRST_JOBS = 3
SOON_S = 60.0
"""A job that ends later than this has worked for a while."""
# What the next job of the same sweep meets as well.
_LASTING: tuple[Cause, ...] = ("install", "config", "user error")


def first_failures(attempts: Iterable[Attempt], left: int) -> tuple[Attempt, ...]:
    """The first jobs of a phase, where all of them ended within SOON_S by one cause that no retry
    heals and none has ended well since; empty: the phase may work, or that is not known yet.

    `attempts` are the phase's in this execution, `left` is how much of it is still to be submitted.
    Of fewer than FIRST_JOBS pieces of work in all, every job that has started counts.

    Of a sweep of 20 whose first 3 jobs end after 5 s with `No module named 'torch'`, these are the
    3.
    """
    started = [attempt for attempt in attempts if attempt.submissions]
    ended = [attempt for attempt in started if attempt.judged is not None]
    if any(_ended_well(attempt) for attempt in ended):
        return ()
    ended.sort(key=_ended_at)
    needed = FIRST_JOBS
    if len(started) + left < FIRST_JOBS:
        needed = len(started)
    first = ended[:needed]
    if not left or not first or len(first) < needed:
        return ()
    signs = {_sign(attempt.judged) for attempt in first}
    if len(signs) > 1 or None in signs:
        return ()
    return tuple(first)


def error_of(why: str) -> str:
    """Of a verdict's reasons, which a semicolon parts, the one that says what went wrong; "" for
    none.

    Of `exit code 1; No module named 'foo'` it is the second.
    """
    reasons = [reason for reason in why.split("; ") if not reason.startswith("exit code ")]
    return next(iter(reasons), "")


def _ended_at(attempt: Attempt) -> str:
    """When an attempt was judged, as text in the order of time; "" where it was not."""
    if attempt.judged is None:
        return ""
    return attempt.judged.time.isoformat()


def _ended_well(attempt: Attempt) -> bool:
    """Whether an attempt was judged, and left what it promised."""
    return attempt.judged is not None and attempt.judged.outcome in WELL


def _sign(judged: Judged | None) -> tuple[str, str] | None:
    """What two jobs have in common that ended by one cause: the cause, and the error without what
    names a run. None: the next job may fare better, since this one worked for a while, or failed by
    chance.

    `no such file: /e/r8/a.yaml` and `no such file: /e/r16/a.yaml` have one sign.
    """
    if judged is None or judged.outcome != "failed" or judged.cause not in _LASTING:
        return None
    if judged.elapsed_s is None or judged.elapsed_s > SOON_S:
        return None
    return judged.cause, masked(error_of(judged.why))
