"""`watchkeeper ls`: what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options

STATES = (
    "running",
    "waiting",
    "finished",
    "failed",
    "interrupted",
    "died",
    "cancelled",
    "lost",
    "not-ended",
    "unknown",
)


@click.command("ls")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES),
    help="Only runs in this state; several: in one of them.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="Only runs with all these tags, of their own or of their experiment.",
)
@click.option(
    "--user", "users", multiple=True, metavar="NAME", help="Only runs that this user started."
)
@click.option(
    "--since",
    default="",
    metavar="TIME",
    help="Only runs that started since: 3h, 2d, 1w, or 2026-11-20 in local time.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Only runs for which it holds: 'lr<1e-3', 'optimizer=adam', 'val_loss<=0.3' (the last "
    "value), 'best val_loss<0.3'. Operators: = != < <= > >=. Several: all hold.",
)
@click.option(
    "--sort",
    default="",
    metavar="NAME",
    help="By a metric, the best first (the largest, where it is not known which is better), "
    "or by a setting, the smallest first. -NAME: the other way round.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@page_options
@command_errors
def command(paths: tuple[Path, ...], as_json: bool, **wish: Any) -> int:
    """List what is below folders (default: here). Where there are experiments: what needs you, and
    a line for each experiment and each folder of recorded runs. Else, and with any filter or order:
    a line for each run, newest first, with its state, what differs in the settings, last and best
    figures, tags and the last note. A metric has a best where a rule ([metrics] in
    watchkeeper.toml) or its name says whether more or less is better.

    Example: watchkeeper ls artifacts --where 'lr<1e-3' --sort val_loss
    """
    from watchkeeper.show.cli.look.bodies.ls import perform

    return perform(paths, as_json, **wish)
