"""`watchkeeper status`: one look."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.core.errors import EXIT_DETACHED
from watchkeeper.core.settings import distrusted, load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query import copies
from watchkeeper.query.rows import exit_code
from watchkeeper.query.status import look
from watchkeeper.show.cli.common import command_errors, echo_json, echo_problems, json_option
from watchkeeper.show.tables import experiment_table


@click.command("status")
@click.argument("experiment", type=click.Path(path_type=Path), default=".")
@json_option
@command_errors
def command(experiment: Path, as_json: bool) -> int:
    """Show where an experiment stands, from its journal and its files; the scheduler is not asked.

    Exit code: 3 while jobs are running, 1 if something failed, 4 if the state of some job is
    unknown.

    Example: watchkeeper status examples/digits
    """
    found = experiments.read(experiment)
    settings = load(found.folder, acts=False)
    standing = look(found, Selection(gate=settings.gate, rules=Rules.of(settings)))
    notes = (
        *filter(None, [distrusted(found.folder)]),
        *copies.notes(found.folder),
        *standing.notes,
    )
    if as_json:
        echo_json(
            {
                "experiment": found.name,
                "folder": str(found.folder),
                "watcher": standing.watcher,
                "rows": standing.rows,
                "notes": notes,
                "compute": standing.compute,
            }
        )
    else:
        echo_problems((*found.problems, *notes))
        click.echo(experiment_table(standing.rows))
        click.echo(standing.watcher)
    if standing.active:
        return EXIT_DETACHED
    errors = any(problem.severity == "error" for problem in found.problems)
    return exit_code(standing.rows, selected=[row.key for row in standing.rows], problems=errors)
