"""`watchkeeper plan`: look, decide, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.core.settings import distrusted, load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch import plan as planning
from watchkeeper.launch import preflight
from watchkeeper.launch.plan import Selection, check_selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query import copies, foreign_jobs, prior
from watchkeeper.query.status import decide
from watchkeeper.schedulers.site import Site
from watchkeeper.show.cli.common import (
    command_errors,
    echo_json,
    echo_problems,
    experiment_argument,
    json_option,
    selection_options,
)
from watchkeeper.show.text import table


@click.command("plan")
@experiment_argument
@selection_options
@json_option
@command_errors
def command(
    experiment: Path, as_json: bool, gate: str | None, queue_ahead: bool | None, **options: Any
) -> int:
    """Show what would be submitted, and why everything else would not. Writes nothing.

    Example: watchkeeper plan examples/digits --json
    """
    found = preflight.checked(experiments.read(experiment), Site())
    settings = load(found.folder, acts=False, gate=gate, queue_ahead=queue_ahead)
    selection = Selection(
        gate=settings.gate, queue_ahead=settings.queue_ahead, rules=Rules.of(settings), **options
    )
    check_selection(found, selection)
    state, plan, _ = decide(found, selection)
    found = msgspec.structs.replace(
        found, problems=(*found.problems, *foreign_jobs.notes(found.folder, state))
    )
    coming = {decision.key for decision in plan.decisions if decision.action in ("submit", "wait")}
    strange = [*filter(None, [distrusted(found.folder)]), *copies.notes(found.folder)]
    notes = [*strange, *prior.notes(found, selection, settings.run_logs, state=state, keys=coming)]
    if as_json:
        echo_json(_document(found, plan) | {"notes": notes})
    else:
        echo_problems((*found.problems, *notes))
        lines = [
            [
                d.action,
                d.key,
                d.reason,
                d.detail or "; ".join(f"{e.source}: {e.what}" for e in d.evidence),
            ]
            for d in plan.decisions
        ]
        click.echo(table(["action", "what", "reason", "evidence"], lines))
        new = sum(d.action in ("submit", "retry", "wait") for d in plan.decisions)
        click.echo(f"\n{new} to submit" if new else "\nNothing to submit.")
    if any(problem.severity == "error" for problem in found.problems):
        return EXIT_FAILED
    return EXIT_OK


def _document(found: experiments.Experiment, plan: planning.Plan) -> dict[str, Any]:
    return {
        "experiment": found.name,
        "folder": str(found.folder),
        "summary": found.summary,
        "problems": found.problems,
        "decisions": plan.decisions,
    }
