"""`watchkeeper du`: what runs and checkpoints take on the disk."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options


@click.command("du")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@page_options
@command_errors
def command(paths: tuple[Path, ...], as_json: bool) -> int:
    """Show the bytes and files of experiments, runs and checkpoints below folders (default: here),
    the largest first, and which checkpoints no resume, evaluation or sign-off needs, with why. It
    removes nothing. Bytes are counted as du counts them: blocks, each file once, links not
    followed. Then the GPU-hours of the experiments, by user and by what became of the jobs.

    Example: watchkeeper du artifacts
    """
    from watchkeeper.show.cli.look.bodies.du import perform

    return perform(paths, as_json)
