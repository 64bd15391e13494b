"""`watchkeeper watch`: the second half of `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection, check_selection
from watchkeeper.show.cli.common import (
    cluster_option,
    expect_option,
    experiment_argument,
    glob_options,
    verbose_option,
)
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.keeping.keep import keep
from watchkeeper.show.cli.keeping.scripts import Target
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.standing import StandingData

ANSWERS = (StandingData,)


@click.command("watch")
@experiment_argument
@click.option(
    "--poll",
    "poll_s",
    type=float,
    metavar="SECONDS",
    help="Time between two polls of the scheduler.",
)
@glob_options
@expect_option
@cluster_option
@verbose_option
@answer_options
@command_errors
def command(
    experiment: Path, runs: str | None, evals: str | None, as_json: bool, **options: Any
) -> int:
    """Watch the submitted jobs until they have ended. Submits nothing. With --runs or --evals the
    watch ends with the jobs that they choose; the table and the exit code are theirs.

    Example: watchkeeper watch examples/digits
    """
    target = Target(folder=experiment)
    chosen = Selection(runs=runs, evals=evals)
    if chosen != Selection():
        target = Target(folder=experiment, only=_keys(experiment, chosen))
    return keep(target, purpose="watch", as_json=as_json, submits=False, **options)


def _keys(folder: Path, chosen: Selection) -> frozenset[str]:
    """The work that the globs choose.

    Raises:
        UsageError: one of them chooses none.
    """
    experiment = experiments.read(folder)
    check_selection(experiment, chosen)
    items = experiment.items
    return frozenset(item.key for item in items if chosen.has(item.phase, item.run, item.key))
