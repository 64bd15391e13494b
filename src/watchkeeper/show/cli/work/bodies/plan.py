"""What `watchkeeper plan` does, imported when it is called."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core import layout
from watchkeeper.core.collector import collector_paused
from watchkeeper.core.criteria import Standing
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, Problem
from watchkeeper.core.events import Decision
from watchkeeper.core.journal import utc_now
from watchkeeper.core.settings import distrusted, load
from watchkeeper.core.state import Replay
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch import plan as planning
from watchkeeper.launch import preflight
from watchkeeper.launch.plan import Selection, check_selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query import copies, foreign_jobs
from watchkeeper.query.status import decide
from watchkeeper.schedulers.choose import profile_of
from watchkeeper.schedulers.site import Site
from watchkeeper.show.cli.answering import answer, echo_expectations, echo_problems, say
from watchkeeper.show.cli.keeping import unsigned
from watchkeeper.show.cli.keeping.limits import budget_notes, expectations_of, parse_budget
from watchkeeper.show.standing import run_words
from watchkeeper.show.text import table
from watchkeeper.watch.spending import Spending


@collector_paused()
def perform(
    experiment: Path,
    *,
    as_json: bool,
    gate: str | None,
    queue_ahead: bool | None,
    cluster: str | None,
    allow_unsigned: bool,
    budget: str,
    expect: tuple[str, ...],
    **options: Any,
) -> int:
    """Do what `plan` is asked for; the arguments are its options."""
    limits = parse_budget(budget)
    found = experiments.read(experiment)
    replay = Replay(found.folder / layout.JOURNAL)
    state = replay.state
    expected = expectations_of(expect, found, replay.journal)
    settings = load(found.folder, acts=False, gate=gate, queue_ahead=queue_ahead, cluster=cluster)
    if cluster is not None:
        profile_of(settings, cluster)
    selection = Selection(
        gate=settings.gate,
        queue_ahead=settings.queue_ahead,
        rules=Rules.of(settings),
        allows_unsigned=allow_unsigned,
        **options,
    )
    check_selection(found, selection)
    plan, _ = decide(found, state, selection, to_show=True)
    is_coming = any(
        decision.action in (*planning.TO_SUBMIT, "blocked") for decision in plan.decisions
    )
    found = preflight.checked(found, Site(), coming=is_coming)
    found = msgspec.structs.replace(
        found, problems=(*found.problems, *foreign_jobs.notes(found.folder, state))
    )
    coming = {decision.key for decision in plan.decisions if decision.action in ("submit", "wait")}
    strange = [*filter(None, [distrusted(found.folder)]), *copies.notes(found.folder, state)]
    notes = [*strange]
    if coming:
        from watchkeeper.query import prior  # a third of the start, where nothing is coming

        notes += prior.notes(found, selection, settings.run_logs, state=state, keys=coming)
    profile = settings.clusters.get(settings.cluster or "")
    options_of_site = profile.sbatch_options if profile else ()
    spending = Spending(found.folder, limits, options_of_site, utc_now)
    refused = list(unsigned.problems_of(plan))
    echo_problems((*found.problems, *refused, *notes, *budget_notes(spending, state)))
    code = EXIT_OK
    if any(problem.severity == "error" for problem in (*found.problems, *refused)):
        code = EXIT_FAILED
    counts = Counter[str](decision.action for decision in plan.decisions)
    new = sum(counts[action] for action in ("submit", "retry", "wait"))
    words = f"{new} to submit" if new else "Nothing to submit."
    problems = _failed_before(plan, run_words(str(found.folder), settings.cluster or ""))
    if as_json:
        return answer(
            code,
            summary=words,
            counts=counts,
            problems=problems,
            data=_data(found, plan, expected),
        )
    lines = [
        [
            d.action,
            d.key,
            d.reason,
            d.detail or "; ".join(f"{e.source}: {e.what}" for e in d.evidence),
        ]
        for d in plan.decisions
    ]
    say(table(["action", "what", "reason", "evidence"], lines) + "\n")
    click.echo(words)
    echo_expectations(expected)
    return code


class PlanData(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done with each piece of work: what would be submitted comes first. `summary` is
    the summary file, "" for a folder tree. `expected`: each criterion that was stated, or would be
    by this command, and what came of it.
    """

    experiment: str
    folder: str
    summary: str
    decisions: list[Decision]
    expected: list[Standing] = []


ANSWERS = (PlanData,)


def _failed_before(plan: planning.Plan, run: tuple[str, ...]) -> list[Problem]:
    """A problem for each piece of work that failed and is not tried again unasked."""
    return [
        Problem(
            where=decision.key,
            message=decision.detail,
            severity="warning",
            code=f"{'evaluation' if decision.phase == 'evaluation' else 'run'}-failed",
            next=(*run, "--retry-failed"),
        )
        for decision in plan.decisions
        if decision.action == "blocked" and decision.reason == planning.FAILED_BEFORE
    ]


_ORDER = ("submit", "retry", "blocked", "active", "wait", "skip")


def _data(found: experiments.Experiment, plan: planning.Plan, expected: list[Standing]) -> PlanData:
    """The answer for programs: the decisions, those that do something first."""
    decisions = sorted(plan.decisions, key=lambda decision: _ORDER.index(decision.action))
    return PlanData(
        experiment=found.name,
        folder=str(found.folder),
        summary=str(found.summary or ""),
        decisions=decisions,
        expected=expected,
    )
