"""`watchkeeper rebuild`: throw the views away and make them again."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import EXIT_OK, ExperimentError, UsageError, WatchkeeperError
from watchkeeper.core.settings import load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.query import copies
from watchkeeper.query.check import no_journal, watched_by
from watchkeeper.record.writing import manifest
from watchkeeper.show.cli.common import command_errors, echo_json, json_option
from watchkeeper.show.cli.verify.check import incomplete
from watchkeeper.watch.logs import action_logs
from watchkeeper.watch.logs import run_logs as runbook


@click.command("rebuild")
@click.argument("path", type=click.Path(path_type=Path))
@json_option
@command_errors
def command(path: Path, as_json: bool) -> int:
    """Rebuild the logs of an experiment, or the manifests of a recorded run, from its journal, to the
    same bytes. A log that someone has edited is kept beside the new one; in a Markdown run log only
    the machine's fields are restored. A journal that is missing, shortened or changed is refused,
    since the existing logs then hold more than it does.

    Example: watchkeeper rebuild examples/digits
    """
    root = path.resolve()
    read = journal.read(root / layout.JOURNAL)
    _refuse_if_damaged(path, read)
    copies.refuse(root)
    _refuse_if_watched(path)
    made = action_logs.rebuild(root, read.events)
    made |= {str(view.relative_to(root)): view.stat().st_size for view in manifest.rebuild(root)}
    run_logs = _run_logs(root)
    if as_json:
        echo_json(made | ({"run logs": run_logs} if run_logs else {}))
    else:
        for name, size in made.items():
            click.echo(f"{name}: {size} bytes")
        if run_logs:
            click.echo(
                f"{run_logs} run log{'s' if run_logs > 1 else ''}: the machine's fields "
                "are up to date"
            )
        if not made and not run_logs:
            click.echo("Nothing to rebuild: the journal has no views.")
    return EXIT_OK


def _refuse_if_damaged(path: Path, read: journal.Journal) -> None:
    """Refuse a journal that is missing, shortened or changed."""
    lacks = incomplete(path, read)
    if lacks:
        raise WatchkeeperError(
            (
                f"the journal of {path} is not whole, and nothing was made again from it: "
                f"{lacks[0].where}: {lacks[0].message}"
            ),
            hint=(
                f"restore .watchkeeper/journal from a backup; `watchkeeper check {path}` lists "
                "all that it lacks"
            ),
        )
    if not read.folder.is_dir():
        raise no_journal(path)


def _refuse_if_watched(path: Path) -> None:
    """Refuse while another process writes the logs."""
    holder = watched_by(path.resolve())
    if holder is not None:
        raise UsageError(
            f"process {holder.process.pid} is watching {path} and keeps its logs",
            hint=f"detach it first: touch {path}/.detach",
        )


def _run_logs(folder: Path) -> int:
    """Bring the experiment's Markdown run logs up; how many there are. 0 where the folder is no
    experiment any more.
    """
    try:
        experiment = experiments.read(folder)
    except ExperimentError:
        return 0
    return runbook.rebuild(experiment, load(folder).run_logs)
