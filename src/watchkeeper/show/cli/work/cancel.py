"""`watchkeeper cancel`: ask for the end of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import click
import msgspec

from watchkeeper.core import layout
from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.core.events import CancelAsked
from watchkeeper.core.journal import Journal, Writer
from watchkeeper.core.settings import load
from watchkeeper.core.state import Attempt, Replay
from watchkeeper.experiment import experiment as experiments
from watchkeeper.query import copies
from watchkeeper.schedulers.base import Scheduler
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.show.cli.answering import answer, is_quiet, say
from watchkeeper.show.cli.common import cluster_option, experiment_argument
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options


@click.command("cancel")
@experiment_argument
@click.option(
    "--jobs",
    metavar="GLOB",
    help="Only runs and evaluations whose key matches, e.g. 'h16*'. Default: all.",
)
@click.option("--runs", metavar="GLOB", help="Only runs whose name matches, and their evaluations.")
@click.option("--evals", metavar="GLOB", help="Only evaluations whose key matches; no fine-tune.")
@cluster_option
@answer_options
@command_errors
def command(
    *,
    experiment: Path,
    jobs: str | None,
    runs: str | None,
    evals: str | None,
    cluster: str | None,
    as_json: bool,
) -> int:
    """Ask the scheduler to end an experiment's jobs. A running watcher sees them end, and submits
    no further attempts.

    Example: watchkeeper cancel examples/digits --jobs 'h16*'
    """
    plan = experiments.read(experiment)
    replay = Replay(plan.folder / layout.JOURNAL)
    copies.refuse(plan.folder, replay.state)
    scheduler = scheduler_of(load(plan.folder, cluster=cluster))
    globs = {"--jobs": jobs, "--runs": runs, "--evals": evals}
    given = {option: glob for option, glob in globs.items() if glob is not None}
    active = [one for one in replay.state.active if _is_chosen(one, given)]
    if not active and given:
        words = " ".join(f"{option} {glob!r}" for option, glob in given.items())
        raise UsageError(
            f"no job under way matches {words}",
            hint=f"`watchkeeper status {experiment}` shows what is",
        )
    ours = _known_by_token(scheduler, active)
    _ask_to_end(replay.journal, scheduler, ours)
    if as_json:
        jobs_asked = [CancelledJob(key=a.key, attempt=a.number, job_id=a.job_id) for a in ours]
        return answer(
            EXIT_OK,
            summary=_summary(len(ours)),
            counts={"jobs": len(ours)},
            data=CancelData(folder=str(plan.folder), jobs=jobs_asked),
            more_from=("status", str(plan.folder), "--json"),
        )
    for attempt in ours:
        line = f"asked job {attempt.job_id} to end: {attempt.key}"
        click.echo(attempt.job_id if is_quiet() else line)
    if not ours:
        say(_summary(0))
    return EXIT_OK


class CancelledJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was asked to end."""

    key: str
    attempt: int
    job_id: str


class CancelData(msgspec.Struct, frozen=True, kw_only=True):
    """The experiment's folder, and the jobs that were asked to end."""

    folder: str
    jobs: list[CancelledJob]


ANSWERS = (CancelData,)


def _summary(count: int) -> str:
    """In one line how many jobs were asked to end."""
    if not count:
        return "Nothing is under way."
    return f"Asked {count} job{'s' if count > 1 else ''} to end."


def _is_chosen(attempt: Attempt, globs: Mapping[str, str]) -> bool:
    """Whether an attempt matches each of the globs."""
    names = {"--jobs": attempt.key, "--runs": attempt.key.partition("/")[0], "--evals": attempt.key}
    if "--evals" in globs and attempt.phase != "evaluation":
        return False
    return all(fnmatchcase(names[option], glob) for option, glob in globs.items())


def _known_by_token(scheduler: Scheduler, attempts: list[Attempt]) -> list[Attempt]:
    """The attempts whose job id is still theirs: schedulers reuse ids, so the token must match."""
    tokens = scheduler.poll([attempt.job_id for attempt in attempts]).tokens
    ours = []
    for attempt in attempts:
        if attempt.intended is None or tokens.get(attempt.job_id) == attempt.intended.token:
            ours.append(attempt)
    return ours


def _ask_to_end(journal: Journal, scheduler: Scheduler, attempts: list[Attempt]) -> None:
    """Write down that each job is to end, then ask the scheduler for it."""
    writer = Writer(journal.folder, "cancel", read=journal)
    try:
        for attempt in attempts:
            fields = {
                "key": attempt.key,
                "phase": attempt.phase,
                "attempt": attempt.number,
                "job_id": attempt.job_id,
            }
            writer.write(CancelAsked, **fields)
            scheduler.cancel(attempt.job_id)
    finally:
        writer.close()
