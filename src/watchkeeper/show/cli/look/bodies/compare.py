"""What `watchkeeper compare` does, imported when it is called."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from watchkeeper.core.errors import EXIT_OK
from watchkeeper.query.compare import Compared, compared
from watchkeeper.query.views.compare import MOST_RUNS, page_of_all
from watchkeeper.show.cli.answering import answer, echo_problems, is_whole
from watchkeeper.show.compared import CompareData, data_of
from watchkeeper.show.comparison_table import comparison


def perform(
    *,
    paths: tuple[Path, ...],
    runs: str | None,
    evals: str | None,
    base: str | None,
    wide: bool,
    as_json: bool,
) -> int:
    """Do what `compare` is asked for; the arguments are its options."""
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
