"""`watchkeeper compare`: runs side by side."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from watchkeeper.core.errors import EXIT_OK
from watchkeeper.query.compare import Compared, compared
from watchkeeper.query.views.compare import MOST_RUNS, page_of_all
from watchkeeper.show.cli.answering import (
    answer,
    command_errors,
    echo_problems,
    is_whole,
    page_options,
)
from watchkeeper.show.compared import CompareData, data_of
from watchkeeper.show.comparison_table import comparison


@click.command("compare")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--runs", metavar="GLOB", help="Only runs whose name matches, e.g. 'h16_*'.")
@click.option(
    "--evals",
    metavar="GLOB",
    help="Of an experiment's evaluations, only the figures of those whose key matches, e.g. "
    "'*/clean/*'.",
)
@click.option(
    "--base", metavar="RUN", help="The run to compare the others with. Default: the first."
)
@click.option("--wide", is_flag=True, help="Every setting and metric, wider than the terminal.")
@page_options
@command_errors
def command(
    *,
    paths: tuple[Path, ...],
    runs: str | None,
    evals: str | None,
    base: str | None,
    wide: bool,
    as_json: bool,
) -> int:
    """Put runs side by side: the settings that vary, code, data and figures, and how each differs
    from the base.

    A PATH is the folder of an experiment (all its runs) or of a recorded run, a folder with
    recorded runs below it, a run log, or a folder of run logs, including hand-written ones. For an
    evaluation the best epoch counts, and @N names it. Which figures are better is said by [metrics]
    in watchkeeper.toml, else by the metric's name.

    Example: watchkeeper compare examples/digits --base h16_lr1e-2
    """
    found = compared(paths, runs=runs, evals=evals, base=base)
    echo_problems(found.problems)
    if as_json:
        data, left_out = data_of(found, page_of_all(found), whole=is_whole())
        return answer(
            EXIT_OK,
            summary=_summary(found),
            counts={"runs": len(found.runs), "differ": len(found.differences)},
            data=data,
            left_out=left_out,
        )
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    page = None
    if len(found.runs) <= MOST_RUNS:
        page = page_of_all(found)
    click.echo(comparison(found, page, width=width, wide=wide))
    return EXIT_OK


ANSWERS = (CompareData,)


def _summary(found: Compared) -> str:
    runs = f"{len(found.runs)} run{'s' if len(found.runs) > 1 else ''}"
    return f"{runs} compared with {found.base}; {len(found.varying)} settings vary."
