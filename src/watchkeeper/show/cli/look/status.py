"""`watchkeeper status`: one look."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.core.errors import (
    EXIT_DETACHED,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNKNOWN,
    ExperimentError,
    UsageError,
)
from watchkeeper.core.settings import distrusted, load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.launch.plan import Selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query import copies
from watchkeeper.query.recording import Recording
from watchkeeper.query.recording import load as load_recording
from watchkeeper.query.rows import exit_code
from watchkeeper.query.status import look
from watchkeeper.show.cli.common import command_errors, echo_json, echo_problems, json_option
from watchkeeper.show.recorded_table import facts_of, newest_first, recorded_table
from watchkeeper.show.tables import experiment_table


@click.command("status")
@click.argument("experiment", type=click.Path(path_type=Path), default=".")
@json_option
@command_errors
def command(experiment: Path, as_json: bool) -> int:
    """Show where an experiment stands, from its journal and its files; the scheduler is not asked.
    EXPERIMENT may also be the folder of a recorded run, or of several: each is one line.

    Exit code: 3 while jobs are running, 1 if something failed, 4 if the state of some job is
    unknown.

    Example: watchkeeper status examples/digits
    """
    recorded = _recorded(experiment)
    if recorded is not None:
        return _show_recorded(recorded, as_json=as_json)
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


def _recorded(folder: Path) -> Recording | None:
    """The recorded runs at or below a folder that is no experiment's; None if there are none."""
    if is_experiment(folder) or not folder.is_dir():
        return None
    try:
        experiments.read(folder)
    except ExperimentError:
        pass
    else:
        return None
    try:
        return load_recording(folder)
    except UsageError:
        return None


def _show_recorded(recording: Recording, *, as_json: bool) -> int:
    runs = [facts_of(run) for run in newest_first(recording)]
    if as_json:
        echo_json({"runs": runs, "problems": recording.problems})
    else:
        echo_problems(tuple(recording.problems))
        click.echo(recorded_table(runs))
    states = {run["state"] for run in runs}
    if "running" in states:
        return EXIT_DETACHED
    if states & {"failed", "interrupted", "died"} or recording.problems:
        return EXIT_FAILED
    if "not ended" in states:
        return EXIT_UNKNOWN
    return EXIT_OK
