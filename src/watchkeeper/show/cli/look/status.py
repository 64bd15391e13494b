"""`watchkeeper status`: one look."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.show.cli.common import cluster_option, glob_options
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options


@click.command("status")
@click.argument("experiment", type=click.Path(path_type=Path), default=".")
@glob_options
@click.option(
    "--metric",
    default="",
    metavar="NAME",
    help="Show the evaluations by this metric. Default: the first that they have.",
)
@cluster_option
@click.option(
    "--sizing",
    is_flag=True,
    help="Also what jobs asked for against what they used, and nodes that fail.",
)
@page_options
@command_errors
def command(
    experiment: Path,
    *,
    runs: str | None,
    evals: str | None,
    metric: str,
    cluster: str | None,
    sizing: bool,
    as_json: bool,
) -> int:
    """Show where an experiment stands, from its journal and its files; the scheduler is not asked.
    EXPERIMENT may also be the folder of a recorded run, or of several: each is one line. In a
    folder in which nothing was recorded, the nearest run or experiment that it lies in is shown.
    With --runs or --evals the counts and the exit code are those of what they choose.

    Exit code: 3 while jobs are running, 1 if something failed, 4 if the state of some job is
    unknown.

    Example: watchkeeper status examples/digits
    """
    from watchkeeper.show.cli.look.bodies.status import Chosen, perform

    chosen = Chosen(runs=runs, evals=evals, metric=metric, cluster=cluster, sizing=sizing)
    return perform(experiment, chosen, as_json=as_json)
