"""Nodes that failed jobs which ran elsewhere, where chance is an unlikely reason."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.query.usage.attempts import attempt, state_of
from watchkeeper.core.state import Attempt
from watchkeeper.query.usage.nodes import BadNode, bad_nodes, exclude_line, upper_tail


def failed_then_done(count: int, bad: str = "n3", good: str = "n1", **words: str) -> list[Attempt]:
    """Runs that failed on one node, and were done on another."""
    attempts = []
    for number in range(count):
        ending = {"outcome": "failed", "state": "FAILED", **words}
        attempts.append(attempt(f"f{number}", 1, node=bad, **ending))
        attempts.append(attempt(f"f{number}", 2, node=good))
    return attempts


def done(count: int, node: str) -> list[Attempt]:
    """Runs that were done at once on a node."""
    return [attempt(f"{node}-{number}", node=node) for number in range(count)]


def named(attempts: list[Attempt]) -> list[BadNode]:
    """The nodes that are named."""
    state = state_of(attempts)
    return bad_nodes(state, state.runs)


def test_a_node_that_fails_all_is_named_with_its_figures() -> None:
    """Five of five failed there, none elsewhere: chance is no reason, and the figures say so."""
    attempts = failed_then_done(5) + done(20, "n1") + done(20, "n2")
    (bad,) = named(attempts)
    assert (bad.node, bad.failed, bad.attempts, bad.nodes) == ("n3", 5, 5, 3)
    assert (bad.failed_elsewhere, bad.attempts_elsewhere) == (0, 45)
    assert bad.finished_elsewhere == ("f0", "f1", "f2", "f3", "f4")
    assert bad.chance == pytest.approx(3 / comb(50, 5))
    assert exclude_line([bad]) == "#SBATCH --exclude=n3"


def test_few_failures_are_chance() -> None:
    """One of one failed: with nodes enough, that happens in many experiments."""
    assert named(failed_then_done(1) + done(20, "n1") + done(20, "n2")) == []


def test_failures_everywhere_name_no_node() -> None:
    """A cluster that fails alike on all its nodes has no bad node."""
    attempts = failed_then_done(6, "n1", "n2")
    others = failed_then_done(6, "n2", "n1")
    renamed = [attempt(f"o{one.key}", one.number, node=_node(one)) for one in others]
    assert named(attempts + renamed) == []


def _node(one: Attempt) -> str:
    assert one.facts is not None
    return one.facts.node


def test_one_node_alone_is_never_bad() -> None:
    """There is nothing to compare it with: this machine names itself never."""
    assert named(failed_then_done(9, "vm", "vm")) == []


@pytest.mark.parametrize(
    "cause", ["walltime", "memory host", "user error", "preempted", "cancelled"]
)
def test_failures_that_are_the_jobs_own_do_not_count(cause: str) -> None:
    """A limit, a fault in the program or a person's word says nothing of the node."""
    attempts = failed_then_done(9, cause=cause) + done(20, "n1") + done(20, "n2")
    assert named(attempts) == []


def test_work_that_was_never_done_does_not_count() -> None:
    """Who failed everywhere may be at fault himself."""
    failures = [
        attempt(f"f{number}", node="n3", outcome="failed", state="FAILED") for number in range(9)
    ]
    assert named(failures + done(40, "n1")) == []


def test_a_node_where_all_was_done_again_on_itself_is_not_named() -> None:
    """The work ran there in the end: it is not named as one that failed what ran elsewhere."""
    assert named(failed_then_done(9, "n3", "n3") + done(60, "n1")) == []


@pytest.mark.parametrize("words", [{"node": "n[3-4]"}, {"node": "n3,n4"}, {"node": ""}])
def test_attempts_on_several_or_unknown_nodes_do_not_count(words: dict[str, str]) -> None:
    """Which of the nodes failed cannot be told."""
    attempts = failed_then_done(9, bad=words["node"]) + done(40, "n1") + done(4, "n2")
    assert named(attempts) == []


def test_the_tasks_of_an_array_do_not_count() -> None:
    """The journal keeps one node for the whole of an array."""
    attempts = done(40, "n1")
    for number in range(9):
        key = f"a{number}"
        attempts.append(attempt(key, 1, node="n3", array="0-3", outcome="failed", state="FAILED"))
        attempts.append(attempt(key, 2, node="n1"))
    assert named(attempts) == []


@pytest.mark.parametrize(
    ("drawn", "marked_drawn", "total", "marked", "expected"),
    [
        (5, 0, 10, 3, 1.0),
        (10, 3, 10, 3, 1.0),
        (1, 1, 10, 3, 0.3),
        (3, 3, 10, 3, 1 / comb(10, 3)),
        (3, 2, 4, 2, 0.5),
        (2, 2, 4, 1, 0.0),
        (0, 0, 4, 1, 1.0),
    ],
)
def test_the_tail_has_the_values_of_the_hypergeometric_distribution(
    drawn: int, marked_drawn: int, total: int, marked: int, expected: float
) -> None:
    """By hand, at its ends: none wanted, all drawn, one drawn, more wanted than there are."""
    assert upper_tail(drawn, marked_drawn, total, marked) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 60), st.data())
def test_the_tail_is_that_of_exact_fractions(total: int, data: st.DataObject) -> None:
    """For all small cases the sum over whole numbers of ways is the same."""
    marked = data.draw(st.integers(0, total))
    drawn = data.draw(st.integers(0, total))
    wanted = data.draw(st.integers(0, drawn))
    ways = sum(
        comb(marked, number) * comb(total - marked, drawn - number)
        for number in range(wanted, drawn + 1)
    )
    assert upper_tail(drawn, wanted, total, marked) == pytest.approx(
        ways / comb(total, drawn), rel=1e-9, abs=1e-12
    )
