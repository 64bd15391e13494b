"""`watchkeeper top`: what runs, live."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options


@click.command("top")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@answer_options
@command_errors
def command(paths: tuple[Path, ...], as_json: bool) -> int:
    """Show what runs below folders (default: here), and what happened there lately, in a full
    screen that is renewed every two seconds. Enter opens a run with its curve; n, c and r write a
    note, cancel a job or retry what failed: they show their command first. ? shows all keys, q
    quits. Without a terminal the picture is printed once.

    Example: watchkeeper top artifacts
    """
    from watchkeeper.show.cli.look.bodies.top import perform

    return perform(paths, as_json)
