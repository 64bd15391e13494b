"""`watchkeeper watch`: the second half of `run`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from watchkeeper.launch.plan import Selection
from watchkeeper.show.cli.common import (
    cluster_option,
    expect_option,
    glob_options,
    verbose_option,
)
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.keeping.keep import keep
from watchkeeper.show.cli.keeping.scripts import Target
from watchkeeper.show.cli.keeping.several import keep_several, keys_of
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
    first, *others = _different(paths)
    if others:
        return keep_several([first, *others], chosen, as_json=as_json, **options)
    target = Target(folder=first, only=keys_of(first, chosen))
    return keep(target, purpose="watch", as_json=as_json, submits=False, **options)


def _different(paths: Iterable[Path]) -> list[Path]:
    """The paths, each folder once, as it was named first."""
    named: dict[Path, Path] = {}
    for path in paths:
        named.setdefault(path.resolve(), path)
    return list(named.values())
