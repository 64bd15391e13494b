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

    `{"done": 18, "failed": 7, "running": 0}` → `{"failed": 7, "done": 18}`: states that nothing is
    in are left out.
    """
    ordered: dict[str, int] = {}
    for state in (*ORDER, *sorted(counts)):
        if counts.get(state):
            ordered[state] = counts[state]
    return ordered


def settled(counts: Mapping[str, int]) -> int:
    """How many of them are done or finished, and so need nobody."""
    total = 0
    for state in SETTLED:
        total += counts.get(state, 0)
    return total
