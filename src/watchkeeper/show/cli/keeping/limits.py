"""When submitting stops by itself: the options of `run`, `submit` and `plan`."""

from __future__ import annotations

import click

from watchkeeper.core.errors import Problem
from watchkeeper.core.state import State
from watchkeeper.watch import budget
from watchkeeper.watch.budget import Budget
from watchkeeper.watch.spending import Spending

keep_going_option = click.option(
    "--keep-going",
    is_flag=True,
    help="Keep submitting even if the first jobs all fail by one cause.",
)
budget_option = click.option(
    "--budget",
    default="",
    metavar="LIMITS",
    help="Submit nothing more once the experiment has used this: gpu=40h, jobs=200, or both.",
)


def parse_budget(text: str) -> Budget | None:
    """The budget that was typed; None: none was. Raises UsageError where it is none."""
    return budget.parse(text) if text else None


def budget_notes(spending: Spending, state: State) -> list[Problem]:
    """What was used of the budget, and what is left; nothing without one."""
    words = spending.describe(state)
    if not words:
        return []
    return [Problem(where="--budget", message=words, severity="note", code="limited")]
