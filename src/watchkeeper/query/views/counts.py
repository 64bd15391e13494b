"""How many pieces of work are in which state, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

ORDER = (
    "failed",
    "died",
    "interrupted",
    "invalid",
    "blocked",
    "unknown",
    "not ended",
    "running",
    "waiting",
    "done",
    "finished",
)
SETTLED = frozenset({"done", "finished"})
_NO_WORK = "not needed"
WAITING = "waiting"
_STATES: Mapping[str, str] = {"to do": WAITING}


def counts_of(states: Iterable[str]) -> dict[str, int]:
    """State → how many are in it. What is to do is said to wait; what is not needed, the training
    of a control, is no work.
    """
    counts = Counter(_STATES.get(state, state) for state in states)
    del counts[_NO_WORK]
    return worst_first(counts)


def worst_first(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts in the order of their gravity; a state that is not known comes last.

    States that nothing is in are left out.
    """
    known = [state for state in ORDER if counts.get(state)]
    others = sorted(state for state in counts if state not in ORDER and counts[state])
    return {state: counts[state] for state in (*known, *others)}


def settled(counts: Mapping[str, int]) -> int:
    """How many of them are done or finished, and so need nobody."""
    total = 0
    for state in SETTLED:
        total += counts.get(state, 0)
    return total
