"""`watchkeeper rebuild`: throw the views away and make them again."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import EXIT_OK, ExperimentError, UsageError, WatchkeeperError
from watchkeeper.core.settings import load
from watchkeeper.core.state import fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.query import copies
from watchkeeper.query.check import no_journal, watched_by
from watchkeeper.record.writing import manifest
from watchkeeper.show.cli.answering import answer, is_quiet, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.verify.check import incomplete
from watchkeeper.watch.logs import action_logs
from watchkeeper.watch.logs import run_logs as runbook


@click.command("rebuild")
@click.argument("path", type=click.Path(path_type=Path))
@answer_options
@command_errors
def command(path: Path, as_json: bool) -> int:
    """Rebuild the logs of an experiment, or the manifests of a recorded run, from its journal, to
    the same bytes. A log that someone has edited is kept beside the new one; in a Markdown run log
    only the machine's fields are restored. A journal that is missing, shortened or changed is
    refused, since the existing logs then hold more than it does.

    Example: watchkeeper rebuild examples/digits
    """
    root = path.resolve()
    read = journal.read(root / layout.JOURNAL)
    _refuse_if_damaged(path, read)
    copies.refuse(root, fold(read.events))
    _refuse_if_watched(path)
    made = action_logs.rebuild(root, read.events)
    made |= {str(view.relative_to(root)): view.stat().st_size for view in manifest.rebuild(root)}
    run_logs = _run_logs(root)
    if as_json:
        views = [View(file=name, bytes=size) for name, size in made.items()]
        return answer(
            EXIT_OK,
            summary=_summary(len(made), run_logs),
            counts={"views": len(made), "run logs": run_logs},
            data=RebuildData(folder=str(root), views=views, run_logs=run_logs),
        )
    for name, size in made.items():
        click.echo(name if is_quiet() else f"{name}: {size} bytes")
    if run_logs:
        say(_run_log_words(run_logs))
    if not made and not run_logs:
        say(_NOTHING)
    return EXIT_OK


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was made again, by its path below the folder."""

    file: str
    bytes: int


class RebuildData(msgspec.Struct, frozen=True, kw_only=True):
    """The views that were made again, and how many Markdown run logs were brought up to date."""

    folder: str
    views: list[View]
    run_logs: int


ANSWERS = (RebuildData,)


_NOTHING = "Nothing to rebuild: the journal has no views."


def _summary(views: int, run_logs: int) -> str:
    """In one line what was made again."""
    if not views and not run_logs:
        return _NOTHING
    made = f"{views} view{'' if views == 1 else 's'} made again"
    if run_logs:
        made += f"; {_run_log_words(run_logs)}"
    return f"{made}."


def _run_log_words(count: int) -> str:
    """`2 run logs: the machine's fields are up to date`."""
    return f"{count} run log{'s' if count > 1 else ''}: the machine's fields are up to date"


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
