"""When submitting stops by itself, and what is expected: options of `run`, `submit`, `plan`."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core import criteria
from watchkeeper.core.criteria import Criterion, Standing
from watchkeeper.core.errors import Problem
from watchkeeper.core.journal import Journal
from watchkeeper.core.state import State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.watch import budget
from watchkeeper.watch.budget import Budget
from watchkeeper.watch.spending import Spending


def parse_criteria(texts: Sequence[str], experiment: Experiment) -> dict[str, list[Criterion]]:
    """Where a criterion is stated → the criteria. Raises UsageError where a text states none."""
    return {
        "--expect": [criteria.parse(text) for text in texts],
        experiment.summary: [criteria.parse(text) for text in experiment.expect],
    }


def expectations_of(texts: Sequence[str], experiment: Experiment, read: Journal) -> list[Standing]:
    """The criteria that were stated, and those that a run with these texts would state, with what
    came of each. `read` is the experiment's journal. Raises UsageError where a text states none.
    """
    stated: list[tuple[str, Criterion]] = []
    for source, parsed in parse_criteria(texts, experiment).items():
        stated += [(source, one) for one in parsed]
    return criteria.foreseen(stated, read.events)


def parse_budget(text: str) -> Budget | None:
    """The budget that was typed; None: none was. Raises UsageError where it is none."""
    return budget.parse(text) if text else None


def budget_notes(spending: Spending, state: State) -> list[Problem]:
    """What was used of the budget, and what is left; nothing without one."""
    words = spending.describe(state)
    if not words:
        return []
    return [Problem(where="--budget", message=words, severity="note", code="limited")]
