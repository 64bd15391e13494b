"""When submitting stops by itself, and what is expected: options of `run`, `submit`, `plan`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from watchkeeper.core import criteria, journal, layout
from watchkeeper.core.criteria import Criterion, Standing
from watchkeeper.core.errors import Problem
from watchkeeper.core.state import State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.watch import budget
from watchkeeper.watch.budget import Budget
from watchkeeper.watch.spending import Spending

keep_going_option = click.option(
    "--keep-going",
    is_flag=True,
    help="Keep submitting even if the first jobs all fail by one cause.",
)
allow_unsigned_option = click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Use checkpoints from elsewhere also where nobody has signed them; it is recorded.",
)
budget_option = click.option(
    "--budget",
    default="",
    metavar="LIMITS",
    help="Submit nothing more once the experiment has used this: gpu=40h, jobs=200, or both.",
)

expect_option = click.option(
    "--expect",
    "expect",
    multiple=True,
    metavar="CRITERION",
    help="What evaluations are to report, stated before the first is submitted: 'accuracy >= 0.9'.",
)


def parse_criteria(texts: Sequence[str], experiment: Experiment) -> dict[str, list[Criterion]]:
    """Where a criterion is stated → the criteria. Raises UsageError where a text states none."""
    return {
        "--expect": [criteria.parse(text) for text in texts],
        experiment.summary: [criteria.parse(text) for text in experiment.expect],
    }


def expectations_of(texts: Sequence[str], experiment: Experiment) -> list[Standing]:
    """The criteria that were stated, and those that a run with these texts would state, with what
    came of each. Raises UsageError where a text states none.
    """
    stated: list[tuple[str, Criterion]] = []
    for source, parsed in parse_criteria(texts, experiment).items():
        stated += [(source, one) for one in parsed]
    return criteria.foreseen(stated, journal.read(experiment.folder / layout.JOURNAL).events)


def parse_budget(text: str) -> Budget | None:
    """The budget that was typed; None: none was. Raises UsageError where it is none."""
    return budget.parse(text) if text else None


def budget_notes(spending: Spending, state: State) -> list[Problem]:
    """What was used of the budget, and what is left; nothing without one."""
    words = spending.describe(state)
    if not words:
        return []
    return [Problem(where="--budget", message=words, severity="note", code="limited")]
