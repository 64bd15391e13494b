"""Which run must be done before which."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from watchkeeper.core.errors import Problem
from watchkeeper.experiment.draft import DraftRun


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The keys, each after those that it needs; their order is kept otherwise. `needs` must hold no
    circle.
    """
    return list(TopologicalSorter(needs).static_order())


def with_needs(keys: Collection[str], needs: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The keys, and those that they need in turn."""
    closed: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in closed:
            closed.add(key)
            waiting += needs.get(key, ())
    return frozenset(closed)


def checked(runs: Sequence[DraftRun]) -> tuple[list[DraftRun], list[Problem]]:
    """The runs whose needs can be met, and a problem for each of the others: a need that is no run
    of the experiment, or a circle.
    """
    problems: list[Problem] = []
    left = {run.name: run for run in runs}
    while (fault := _fault(left)) is not None:
        name, message, hint = fault
        problems.append(
            Problem(where=left[name].where, message=message, hint=hint, code="bad-experiment")
        )
        del left[name]
    return list(left.values()), problems


def _fault(runs: Mapping[str, DraftRun]) -> tuple[str, str, str] | None:
    """A run whose needs cannot be met, why, and what to do; None: there is none."""
    for run in runs.values():
        for need in run.needs:
            if need not in runs:
                message = f"run {run.name!r} needs {need!r}, which is no run that can be planned"
                return run.name, message, "correct the name, or put that run right first"
    needs = {run.name: run.needs for run in runs.values() if run.needs}
    try:
        in_order(needs)
    except CycleError as error:
        circle = error.args[1]
        message = f"runs need each other in a circle: {' needs '.join(reversed(circle))}"
        return circle[0], message, "take one of the needs out"
    return None
