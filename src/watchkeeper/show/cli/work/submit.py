"""`watchkeeper submit`: the first half of `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from watchkeeper.show.cli.answering import answer_options, command_errors
from watchkeeper.show.cli.common import (
    cluster_option,
    dry_run_option,
    experiment_argument,
    run_log_options,
    selection_options,
)
from watchkeeper.show.cli.work.dry_run import DryRunData
from watchkeeper.show.cli.work.keep import keep
from watchkeeper.show.standing import StandingData

ANSWERS = (StandingData, DryRunData)


@click.command("submit")
@experiment_argument
@selection_options
@click.option(
    "--stagger", "stagger_s", type=float, metavar="SECONDS", help="Time between two submissions."
)
@click.option(
    "--cap", type=int, metavar="JOBS", help="The most jobs queued or running at a time; 0: no cap."
)
@click.option("--slots", type=int, metavar="JOBS", help="Local jobs running at a time.")
@run_log_options
@dry_run_option
@cluster_option
@answer_options
@command_errors
def command(experiment: Path, as_json: bool, **options: Any) -> int:
    """Submit what is ready now, and leave; evaluations that wait for a fine-tune are left for `run`
    or a second `submit`.

    Example: watchkeeper submit examples/digits --runs 'h16*'
    """
    return keep(experiment, purpose="submit", as_json=as_json, stays=False, **options)
