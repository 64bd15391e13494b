"""`watchkeeper resume`: continue from the newest complete checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core import layout
from watchkeeper.core.errors import Problem, UnsignedError, UsageError
from watchkeeper.core.events import Decision
from watchkeeper.core.settings import load
from watchkeeper.core.state import Replay
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import UNSIGNED, Selection, check_selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query.status import decide
from watchkeeper.show.cli.answering import echo_problems
from watchkeeper.show.cli.common import (
    allow_unsigned_option,
    cluster_option,
    expect_option,
    experiment_argument,
    glob_options,
)
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.keeping.keep import keep
from watchkeeper.show.cli.keeping.scripts import Target
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.standing import StandingData

ANSWERS = (StandingData,)
_RESUMES = "resumes"
_MOST_LISTED = 8


@click.command("resume")
@experiment_argument
@click.argument("keys", nargs=-1, metavar="RUN...")
@glob_options
@allow_unsigned_option
@expect_option
@cluster_option
@answer_options
@command_errors
def command(
    experiment: Path,
    keys: tuple[str, ...],
    *,
    runs: str | None,
    evals: str | None,
    as_json: bool,
    allow_unsigned: bool,
    **options: Any,
) -> int:
    """Submit the continuation of runs that ended before they were done, each from its newest
    complete checkpoint, and leave. It is the run's next attempt, in the same run log.

    A script reads the checkpoint from WATCHKEEPER_RESUME_FROM; torchtune needs no change. With
    --runs in place of names, those of the matching runs that can continue do, and it is said why
    each other one does not. An evaluation has no checkpoint to continue from: --evals is refused.

    Example: watchkeeper resume examples/digits h16_lr1e-2
    """
    folder = experiment
    plan = experiments.read(folder)
    settings = load(plan.folder, acts=False)
    known = [item.key for item in plan.items if item.phase == "preparation"]
    _check_names(folder, known, keys, runs, evals)
    if runs is not None:
        check_selection(plan, Selection(runs=runs))
        keys = tuple(key for key in known if fnmatchcase(key, runs))
    rules = msgspec.structs.replace(Rules.of(settings), resumes=True)
    selection = Selection(
        keys=frozenset(keys),
        retry_failed=True,
        rules=rules,
        gate=settings.gate,
        allows_unsigned=allow_unsigned,
    )
    state = Replay(plan.folder / layout.JOURNAL).state
    decided, _ = decide(plan, state, selection)
    decisions = {decision.key: decision for decision in decided.decisions}
    notes = [_continuation(folder, decisions[key], is_named=runs is None) for key in keys]
    echo_problems(notes)
    keys = tuple(note.where for note in notes if note.code == _RESUMES)
    if not keys:
        raise UsageError(
            f"none of the runs that match {runs!r} can continue",
            hint=f"watchkeeper plan {folder} says what would be submitted",
        )
    target = Target(folder=folder, only=frozenset(keys))
    return keep(
        target,
        purpose="submit",
        as_json=as_json,
        stays=False,
        retry_failed=True,
        resumes=True,
        allow_unsigned=allow_unsigned,
        **options,
    )


def _check_names(
    folder: Path,
    known: Sequence[str],
    keys: Sequence[str],
    runs: str | None,
    evals: str | None,
) -> None:
    """Refuse what names no run, or more than it can.

    Raises:
        UsageError: the hint says what to type.
    """
    if evals is not None:
        again = f"watchkeeper run {folder} --evals {shlex.quote(evals)} --retry-failed"
        raise UsageError(
            "an evaluation has no checkpoint to continue from: --evals chooses nothing here",
            hint=f"{again} starts it over",
        )
    if bool(keys) == (runs is not None):
        raise UsageError(
            "name the runs, or choose them with --runs, not both",
            hint=f"its runs: {', '.join(known[:_MOST_LISTED])}",
        )
    for key in keys:
        if key not in known:
            listed = ", ".join(known[:_MOST_LISTED])
            raise UsageError(f"{folder} has no run {key!r}", hint=f"its runs: {listed}")


def _continuation(folder: Path, decision: Decision, *, is_named: bool) -> Problem:
    """Which checkpoint the run continues from, as a note; of a run that was not named by itself
    (`is_named`), also why it does not.

    Raises:
        UsageError: it cannot continue: it runs, it is done, or there is no checkpoint.
        UnsignedError: it would continue a checkpoint from elsewhere that nobody has signed.
    """
    try:
        return _continued(folder, decision)
    except (UsageError, UnsignedError) as error:
        if is_named:
            raise
        return Problem(where=decision.key, message=str(error), severity="note", code="not-resumed")


def _continued(folder: Path, decision: Decision) -> Problem:
    """The note that a run continues, and from which checkpoint.

    Raises:
        UsageError: it is under way, has nothing to resume, or can only begin anew.
        UnsignedError: its checkpoint has no valid sign-off.
    """
    key, detail = decision.key, decision.detail or decision.reason
    if decision.action == "active":
        raise UsageError(
            f"{key} is under way ({detail})", hint=f"watchkeeper watch {folder} watches it"
        )
    if decision.reason == UNSIGNED:
        raise UnsignedError(f"{key} is not resumed: {detail}")
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
    message = f"continues from {decision.resume_from}"
    return Problem(where=key, message=message, severity="note", code=_RESUMES)


def _in_brackets(text: str) -> str:
    """The text in brackets, behind a space; "" for ""."""
    if text:
        return f" ({text})"
    return ""
