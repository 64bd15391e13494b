"""`watchkeeper log`: the events as text."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import stream_options


@click.command("log")
@click.argument("path", type=click.Path(path_type=Path))
@stream_options
@command_errors
def command(path: Path, as_json: bool) -> int:
    """Print every event of the journal of an experiment or a run, in order of time. With --json
    each event is a line, as it lies in the journal, and the answer is the last line. What opens the
    hashes of a journal is left out.

    Example: watchkeeper log examples/digits
    """
    from watchkeeper.show.cli.look.bodies.log import perform

    return perform(path, as_json)
