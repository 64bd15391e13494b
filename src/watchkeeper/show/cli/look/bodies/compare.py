"""What `watchkeeper compare` does, imported when it is called."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from watchkeeper.core.collector import collector_paused
from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.query.compare import Compared, compared
from watchkeeper.query.usage.look import Usage, usage_of
from watchkeeper.query.views.compare import MOST_RUNS, page_of_all
from watchkeeper.show.cli.answering import answer, echo_problems, is_whole
from watchkeeper.show.compared import CompareData, data_of
from watchkeeper.show.comparison_table import comparison
from watchkeeper.show.sizing import bad_node_words, sizing_table
from watchkeeper.show.text import printable


@collector_paused()
def perform(
    *,
    paths: tuple[Path, ...],
    runs: str | None,
    evals: str | None,
    base: str | None,
    wide: bool,
    sizing: bool,
    as_json: bool,
) -> int:
    """Do what `compare` is asked for; the arguments are its options."""
    found = compared(paths, runs=runs, evals=evals, base=base)
    usages = _usages(paths, runs) if sizing else []
    echo_problems(found.problems)
    if as_json:
        data, left_out = data_of(found, page_of_all(found), whole=is_whole())
        data = msgspec.structs.replace(data, usage=usages)
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
    for usage in usages:
        click.echo(f"\n{_usage_words(usage)}")
    return EXIT_OK


def _usages(paths: Sequence[Path], runs: str | None) -> list[Usage]:
    """What the jobs of the experiments among these folders asked for and used.

    Raises:
        UsageError: none of them is an experiment's.
    """
    usages = [usage_of(path, runs) for path in paths if is_experiment(path)]
    if not usages:
        message = "--sizing is about the jobs of experiments, and none of these is one"
        raise UsageError(message, hint="leave --sizing out")
    return usages


def _usage_words(usage: Usage) -> str:
    """What the jobs of one experiment asked for and used, and the nodes that fail, as text."""
    sizes = sizing_table(usage.sizing, whole=True)
    sizes = sizes or "no job that has ended asked for time, memory or GPUs"
    words = filter(None, [sizes, bad_node_words(usage.bad_nodes)])
    return f"{printable(usage.experiment)}:\n" + "\n\n".join(words)


ANSWERS = (CompareData,)


def _summary(found: Compared) -> str:
    """In one line how many runs were compared, with which, and how many settings vary."""
    runs = f"{len(found.runs)} run{'s' if len(found.runs) > 1 else ''}"
    return f"{runs} compared with {found.base}; {len(found.varying)} settings vary."
