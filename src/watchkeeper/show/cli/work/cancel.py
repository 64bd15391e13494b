"""`watchkeeper cancel`: ask for the end of jobs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import click

from watchkeeper.core import layout
from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.core.events import CancelAsked
from watchkeeper.core.journal import Journal, Writer
from watchkeeper.core.settings import load
from watchkeeper.core.state import fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.query import copies
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.show.cli.common import (
    cluster_option,
    command_errors,
    echo_json,
    experiment_argument,
    json_option,
)


@click.command("cancel")
@experiment_argument
@click.option(
    "--jobs",
    metavar="GLOB",
    help="Only runs and evaluations whose key matches, e.g. 'h16*'. Default: all.",
)
@cluster_option
@json_option
@command_errors
def command(experiment: Path, jobs: str | None, cluster: str | None, as_json: bool) -> int:
    """Ask the scheduler to end an experiment's jobs. A watcher that runs sees them end, and submits
    no others of theirs.

    Example: watchkeeper cancel examples/digits --jobs 'h16*'
    """
    found = experiments.read(experiment)
    copies.refuse(found.folder)
    scheduler = scheduler_of(load(found.folder, cluster=cluster))
    journal = Journal(found.folder / layout.JOURNAL)
    journal.refresh()
    active = [a for a in fold(journal.events).active if jobs is None or fnmatchcase(a.key, jobs)]
    if not active and jobs is not None:
        raise UsageError(
            f"no job under way matches {jobs!r}",
            hint=f"`watchkeeper status {experiment}` shows what is",
        )
    # Ids are used again: what the scheduler knows under this id must be our job.
    tokens = scheduler.poll([a.job_id for a in active]).tokens
    active = [a for a in active if a.intended is None or tokens.get(a.job_id) == a.intended.token]
    writer = Writer(journal.folder, "cancel", saw=lambda: journal.saw)
    try:
        for attempt in active:
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
    if as_json:
        echo_json([{"key": a.key, "attempt": a.number, "job_id": a.job_id} for a in active])
    else:
        for attempt in active:
            click.echo(f"asked job {attempt.job_id} to end: {attempt.key}")
        if not active:
            click.echo("Nothing is under way.")
    return EXIT_OK
