"""`watchkeeper watch`: the second half of `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from watchkeeper.show.cli.answering import answer_options, command_errors
from watchkeeper.show.cli.common import cluster_option, experiment_argument, verbose_option
from watchkeeper.show.cli.keeping.keep import keep
from watchkeeper.show.cli.keeping.scripts import Target
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
@cluster_option
@verbose_option
@answer_options
@command_errors
def command(experiment: Path, as_json: bool, **options: Any) -> int:
    """Watch the submitted jobs until they have ended. Submits nothing.

    Example: watchkeeper watch examples/digits
    """
    return keep(
        Target(folder=experiment), purpose="watch", as_json=as_json, submits=False, **options
    )
