"""`watchkeeper trace`: where a figure comes from."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options


@click.command("trace")
@click.argument("place", metavar="EXPERIMENT | RUN", type=click.Path(path_type=Path))
@click.argument("key", default="")
@page_options
@command_errors
def command(place: Path, key: str, as_json: bool) -> int:
    """Trace a figure back to its result, evaluation, checkpoint, training, scripts, configurations,
    commit and data, and say for each whether it is still the same. Exit code: 1 if something has
    changed or is missing.

    KEY is the key of an evaluation or the name of a run, as `status` and the logs show it.
    EXPERIMENT may also be a folder within one. EXPERIMENT/KEY is the same in one word, and in the
    experiment's folder the KEY is enough. Of a recorded RUN, its rows, outputs and code are traced.

    Example: watchkeeper trace examples/digits h64_lr1e-1/clean/epoch1
    """
    from watchkeeper.show.cli.look.bodies.trace import perform

    return perform(place, key, as_json)
