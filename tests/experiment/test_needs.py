"""Runs that need each other."""

from __future__ import annotations

from watchkeeper.experiment.draft import DraftRun
from watchkeeper.experiment.needs import checked, in_order, with_needs


def run(name: str, *needs: str) -> DraftRun:
    """A job with needs."""
    return DraftRun(name=name, type="job", where=name, script="x.sh", needs=needs)


def test_each_run_comes_after_those_that_it_needs():
    """A chain is turned round, and what needs nothing keeps its place."""
    assert in_order({"c": ["b"], "b": ["a"], "a": []}) == ["a", "b", "c"]


def test_runs_without_faults_stay_as_they_are():
    """Their order is the summary's."""
    runs = [run("b", "a"), run("a")]
    assert checked(runs) == (runs, [])


def test_a_circle_is_one_fault_that_names_its_runs():
    """The rest of the experiment is planned."""
    kept, problems = checked([run("a", "b"), run("b", "a"), run("c")])
    assert [one.name for one in kept] == ["c"]
    assert "in a circle" in problems[0].message and "needs" in problems[0].message
    assert len(problems) == 2


def test_an_unknown_need_leaves_out_what_needs_it_and_what_needs_that():
    """Each is named with what it lacks."""
    kept, problems = checked([run("a", "nope"), run("b", "a"), run("c")])
    assert [one.name for one in kept] == ["c"]
    assert ["'nope'" in problems[0].message, "'a'" in problems[1].message] == [True, True]


def test_needs_are_followed_to_their_end():
    """What is needed by what is needed is in it too, and nothing else."""
    needs = {"a": ["b"], "b": ["c"], "c": [], "d": []}
    assert with_needs({"a"}, needs) == {"a", "b", "c"}
    assert with_needs({"d", "gone"}, needs) == {"d", "gone"}
