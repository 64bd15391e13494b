"""`watchkeeper submit`: the first half of `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from watchkeeper.show.cli.common import (
    allow_unsigned_option,
    budget_option,
    cluster_option,
    dry_run_option,
    expect_option,
    keep_going_option,
    run_log_options,
    selection_options,
)
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.keeping.dry_run import DryRunData, show_script_commands
from watchkeeper.show.cli.keeping.keep import keep
from watchkeeper.show.cli.keeping.scripts import (
    ScriptCommand,
    is_folder_named,
    script_options,
    take_options,
    target_of,
    targets_argument,
)
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.standing import StandingData

ANSWERS = (StandingData, DryRunData)


@click.command("submit", cls=ScriptCommand)
@targets_argument
@script_options
@click.option("--time", default="", metavar="LIMIT", help="Time limit of a Python file's job.")
@selection_options
@click.option(
    "--stagger", "stagger_s", type=float, metavar="SECONDS", help="Time between two submissions."
)
@click.option(
    "--cap", type=int, metavar="JOBS", help="The most jobs queued or running at a time; 0: no cap."
)
@click.option("--slots", type=int, metavar="JOBS", help="Local jobs running at a time.")
@keep_going_option
@allow_unsigned_option
@budget_option
@expect_option
@run_log_options
@dry_run_option
@cluster_option
@answer_options
@click.pass_context
@command_errors
def command(
    context: click.Context, paths: tuple[Path, ...], as_json: bool, time: str, **options: Any
) -> int:
    """Submit what is ready now, and leave; evaluations that wait for a fine-tune are left for `run`
    or a second `submit`.

    Of a SCRIPT, submit the job as sbatch would: in this folder, with the arguments after --. What
    is named again is submitted only once.

    Example: watchkeeper submit examples/digits --runs 'h16*'
    """
    scripts = take_options(options, time)
    if options["dry_run"] and not is_folder_named(paths):
        return show_script_commands(
            context,
            paths,
            scripts,
            options["cluster"],
            allow_unsigned=options["allow_unsigned"],
            as_json=as_json,
        )
    target = target_of(context, paths, scripts)
    if target.runs is not None and options["queue_ahead"] is None:
        options["queue_ahead"] = True
    return keep(target, purpose="submit", as_json=as_json, stays=False, **options)
