"""Nodes that failed jobs which ran elsewhere, where chance is an unlikely reason. Pure.

What counts is one attempt at one piece of work on one node: a success, or a failure of work that
another attempt finished, so that the work itself is not at fault. Failures that say of themselves
why they are the job's own (its limit, its program, a person) are left out, on every node alike.

If all nodes were equally good, the failures would lie on them as if drawn at random: how many fall
on one node then has a hypergeometric distribution, and its upper tail is Fisher's exact test,
one-sided. Since each node is looked at, the probability is multiplied by their number (Bonferroni).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import exp, fsum, lgamma
from typing import NamedTuple

import msgspec

from watchkeeper.core.state import Attempt, RunState, State

MOST_BY_CHANCE = 0.01
"""A node is named where chance alone would do this at most once in a hundred experiments."""
_FAILED = frozenset({"failed", "lost"})
_OWN_FAULTS = frozenset({
    "walltime", "deadline", "memory host", "memory gpu", "preempted", "checkpoint", "install",
    "config", "user error", "cancelled", "quota",
})  # fmt: skip
_SEVERAL = frozenset("[,")  # in the name of several nodes: `n[1-3]`, `n1,n2`


class BadNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node that failed jobs which ran elsewhere. `failed` of the `attempts` on it failed, though
    another attempt finished the work; on all the others together `failed_elsewhere` of
    `attempts_elsewhere` did. `chance` is how likely it is that one of the `nodes` looked at fares
    so badly though all are equally good. `finished_elsewhere` are the keys of the work that failed
    there and was done on another node.
    """

    node: str
    failed: int
    attempts: int
    failed_elsewhere: int
    attempts_elsewhere: int
    chance: float
    nodes: int
    finished_elsewhere: tuple[str, ...]


class _Try(NamedTuple):
    """One attempt that counts. `elsewhere`: the work was done on another node."""

    key: str
    node: str
    failed: bool
    elsewhere: bool


def bad_nodes(state: State, keys: Iterable[str]) -> list[BadNode]:
    """The nodes that fail more than chance explains, the surest first, by the attempts at this
    work. `keys` name it.

        n7: 5 of 5 attempts failed      n1 to n6: 1 of 40 failed → n7 is bad

    A node is named only if some of the work that failed there was done on another one. Empty: no
    node stands out, or too few attempts ran to tell.
    """
    tries: list[_Try] = []
    for key in keys:
        tries += _tries(state.run(key))
    attempts = Counter(one.node for one in tries)
    failures = Counter(one.node for one in tries if one.failed)
    found = []
    for node in failures:
        chance = min(1.0, len(attempts) * _by_chance(node, attempts, failures))
        elsewhere = [one.key for one in tries if one.node == node and one.elsewhere]
        if chance > MOST_BY_CHANCE or not elsewhere:
            continue
        found.append(
            BadNode(
                node=node,
                failed=failures[node],
                attempts=attempts[node],
                failed_elsewhere=failures.total() - failures[node],
                attempts_elsewhere=attempts.total() - attempts[node],
                chance=chance,
                nodes=len(attempts),
                finished_elsewhere=tuple(dict.fromkeys(elsewhere)),
            )
        )
    return sorted(found, key=lambda bad: (bad.chance, bad.node))


def exclude_line(nodes: Sequence[BadNode]) -> str:
    """The line that keeps a script's jobs away from these nodes: `#SBATCH --exclude=n7,n9`."""
    return f"#SBATCH --exclude={','.join(bad.node for bad in nodes)}"


def upper_tail(drawn: int, marked_drawn: int, total: int, marked: int) -> float:
    """How likely it is that of `drawn` things, taken at random out of `total` of which `marked` are
    marked, at least `marked_drawn` are marked. From 0 to 1.

        5 attempts on the node, all 5 failed; 45 attempts, 6 of them failed → 4.9e-06
        drawn=5, marked_drawn=5, total=45, marked=6

    The terms are added as logarithms, because the numbers of ways are too large for a float.
    """
    # Where more are drawn than there are unmarked ones, some of the drawn must be marked.
    least = max(marked_drawn, drawn - (total - marked))
    whole = _log_ways(total, drawn)
    shares = (
        exp(_log_ways(marked, number) + _log_ways(total - marked, drawn - number) - whole)
        for number in range(least, min(drawn, marked) + 1)
    )
    return min(1.0, fsum(shares))


def _log_ways(things: int, drawn: int) -> float:
    """The logarithm of the number of ways to draw `drawn` of the things: of 2 out of 4, which can
    be drawn in 6 ways, log(6). gamma(n + 1) is n!.
    """
    return lgamma(things + 1) - lgamma(drawn + 1) - lgamma(things - drawn + 1)


def _by_chance(node: str, attempts: Mapping[str, int], failures: Mapping[str, int]) -> float:
    """How likely as many failures as on this node are, if all nodes are equally good: from 0 to 1,
    before it is multiplied by the number of nodes. `attempts` and `failures` count by node.
    """
    total = sum(attempts.values())
    failed = sum(failures.values())
    return upper_tail(attempts[node], failures[node], total, failed)


def _tries(run: RunState) -> Iterator[_Try]:
    """The attempts at one piece of work that count; none of work that was never done.

        attempt 1 on n7 failed, attempt 2 on n3 done → a failure of n7, done elsewhere
                                                       a success of n3

    An attempt that is not on record with one node does not count, nor does one without a verdict.
    """
    done_on = {_node(attempt) for attempt in run.attempts.values() if _is_done(attempt)}
    if not done_on:
        return
    for attempt in run.attempts.values():
        node = _node(attempt)
        if not node:
            continue
        if _is_done(attempt):
            yield _Try(run.key, node, failed=False, elsewhere=False)
        elif _has_failed(attempt):
            elsewhere = bool(done_on - {node, ""})
            yield _Try(run.key, node, failed=True, elsewhere=elsewhere)


def _node(attempt: Attempt) -> str:
    """The one node that it ran on; "" for several, for an array's, and where nobody says."""
    if attempt.facts is None or attempt.array:
        return ""
    node = attempt.facts.node
    if _SEVERAL & set(node):
        return ""
    return node


def _is_done(attempt: Attempt) -> bool:
    """Whether an attempt did its work: by evidence, not by the scheduler's word."""
    return attempt.judged is not None and attempt.judged.outcome == "done"


def _has_failed(attempt: Attempt) -> bool:
    """Whether an attempt failed or was lost, and the node may be the reason. One that ended at its
    time limit, was cancelled and the like is no sign against the node.
    """
    judged = attempt.judged
    if judged is None or judged.outcome not in _FAILED:
        return False
    return judged.cause not in _OWN_FAULTS
