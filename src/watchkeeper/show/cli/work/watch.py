"""`watchkeeper watch`: the second half of `run`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection, check_selection
from watchkeeper.show.cli.common import (
    cluster_option,
    expect_option,
    glob_options,
    verbose_option,
)
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.keeping.keep import keep
from watchkeeper.show.cli.keeping.scripts import Target
from watchkeeper.show.cli.keeping.several import keep_several
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.standing import StandingData, WatchedData

ANSWERS = (StandingData, WatchedData)


@click.command("watch")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="EXPERIMENT...",
    type=click.Path(path_type=Path),
)
@click.option(
    "--poll",
    "poll_s",
    type=float,
    metavar="SECONDS",
    help="Time between two polls of the scheduler.",
)
@glob_options
@expect_option
@cluster_option
@verbose_option
@answer_options
@command_errors
def command(
    paths: tuple[Path, ...], runs: str | None, evals: str | None, as_json: bool, **options: Any
) -> int:
    """Watch the submitted jobs until they have ended. Submits nothing. With --runs or --evals the
    watch ends with the jobs that they choose; the table and the exit code are theirs.

    Of several experiments those on one cluster are polled together, the exit code is the worst,
    and --json has an entry for each.

    Example: watchkeeper watch examples/digits
    """
    chosen = Selection(runs=runs, evals=evals)
    targets = [Target(folder=path, only=_keys(path, chosen)) for path in _different(paths)]
    if len(targets) > 1:
        return keep_several(targets, as_json=as_json, **options)
    return keep(targets[0], purpose="watch", as_json=as_json, submits=False, **options)


def _different(paths: Iterable[Path]) -> list[Path]:
    """The paths, each folder once, as it was named first."""
    named: dict[Path, Path] = {}
    for path in paths:
        named.setdefault(path.resolve(), path)
    return list(named.values())


def _keys(folder: Path, chosen: Selection) -> frozenset[str] | None:
    """The work that the globs choose; None: all, where there are none.

    Raises:
        UsageError: one of them chooses none.
    """
    if chosen == Selection():
        return None
    experiment = experiments.read(folder)
    check_selection(experiment, chosen)
    items = experiment.items
    return frozenset(item.key for item in items if chosen.has(item.phase, item.run, item.key))
