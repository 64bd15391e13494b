"""`watchkeeper resume`: go on from the newest complete checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.events import Decision
from watchkeeper.core.settings import load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query.status import decide
from watchkeeper.show.cli.answering import answer_options, command_errors, echo_problems
from watchkeeper.show.cli.common import cluster_option, experiment_argument
from watchkeeper.show.cli.keeping.keep import keep
from watchkeeper.show.cli.keeping.scripts import Target
from watchkeeper.show.standing import StandingData

ANSWERS = (StandingData,)


@click.command("resume")
@experiment_argument
@click.argument("keys", nargs=-1, required=True, metavar="RUN...")
@cluster_option
@answer_options
@command_errors
def command(experiment: Path, keys: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Submit the continuation of runs that ended before they were done, each from its newest
    complete checkpoint, and leave. It is the run's next attempt, in the same run log.

    A script reads the checkpoint from WATCHKEEPER_RESUME_FROM; torchtune needs no change.

    Example: watchkeeper resume examples/digits h16_lr1e-2
    """
    folder = experiment
    plan = experiments.read(folder)
    settings = load(plan.folder, acts=False)
    known = [item.key for item in plan.items if item.phase == "preparation"]
    for key in keys:
        if key not in known:
            listed = ", ".join(known[:8])
            raise UsageError(f"{folder} has no run {key!r}", hint=f"its runs: {listed}")
    rules = msgspec.structs.replace(Rules.of(settings), resumes=True)
    selection = Selection(keys=frozenset(keys), retry_failed=True, rules=rules, gate=settings.gate)
    _, decided, _ = decide(plan, selection)
    decisions = {decision.key: decision for decision in decided.decisions}
    echo_problems([_continuation(folder, decisions[key]) for key in keys])
    target = Target(folder=folder, only=frozenset(keys))
    return keep(
        target,
        purpose="submit",
        as_json=as_json,
        stays=False,
        retry_failed=True,
        resumes=True,
        **options,
    )


def _continuation(folder: Path, decision: Decision) -> Problem:
    """Which checkpoint the run continues from, as a note.

    Raises:
        UsageError: it cannot continue: it runs, it is done, or there is no checkpoint.
    """
    key, detail = decision.key, decision.detail or decision.reason
    if decision.action == "active":
        raise UsageError(
            f"{key} is under way ({detail})", hint=f"watchkeeper watch {folder} watches it"
        )
    if decision.action != "retry":
        raise UsageError(
            f"{key} has nothing to resume: {decision.reason}{_in_brackets(decision.detail)}",
            hint=f"watchkeeper plan {folder} says what would be submitted",
        )
    if not decision.resume_from:
        raise UsageError(
            f"{key} cannot be resumed: {detail}",
            hint=f"watchkeeper run {folder} --runs {key} --retry-failed starts it over",
        )
    return Problem(
        where=key, message=f"continues from {decision.resume_from}", severity="note", code="resumes"
    )


def _in_brackets(text: str) -> str:
    if text:
        return f" ({text})"
    return ""
