"""`watchkeeper rebuild`: throw the views away and make them again."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.core import journal
from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.record import manifest
from watchkeeper.show.cli.common import command_errors, echo_json, json_option
from watchkeeper.watch import logs
from watchkeeper.watch.check import journal_folder, watched_by


@click.command("rebuild")
@click.argument("path", type=click.Path(path_type=Path))
@json_option
@command_errors
def command(path: Path, as_json: bool) -> int:
    """Make an experiment's logs again from its journal, or a recorded run's manifests, to the same bytes. A log that
    somebody wrote into is kept beside the new one.

    Example: watchkeeper rebuild examples/digits
    """
    folder = journal_folder(path)
    holder = watched_by(path.resolve())
    if holder is not None:
        pid = holder.process.pid
        raise UsageError(
            f"process {pid} is watching {path} and keeps its logs", hint=f"detach it first: touch {path}/.detach"
        )
    root = path.resolve()
    made = logs.rebuild(root, journal.read(folder).events)
    made |= {str(view.relative_to(root)): view.stat().st_size for view in manifest.rebuild(root)}
    if as_json:
        echo_json(made)
    else:
        for name, size in made.items():
            click.echo(f"{name}: {size} bytes")
        if not made:
            click.echo("Nothing to rebuild: the journal has no views.")
    return EXIT_OK
