"""`watchkeeper export`: the metric rows of recorded runs as one table in a file."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options


@click.command("export")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file: its suffix, .csv, .jsonl or .parquet, is its format.",
)
@click.option(
    "--all-rows", is_flag=True, help="Also rows that a later execution of the run did again."
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@answer_options
@command_errors
def command(
    paths: tuple[Path, ...], output: Path, all_rows: bool, force: bool, as_json: bool
) -> int:
    """Write the metric rows of recorded runs into one table: a line per row, a column per metric,
    and the columns run, pipeline, execution, time and step.

    PATH is a run's folder, or a folder with runs below it. Exit code: 1 if some of it could not be
    read; the rest is written.

    Example: watchkeeper export artifacts/training -o rows.csv
    """
    from watchkeeper.show.cli.look.bodies.export import perform

    return perform(paths, output, all_rows, force, as_json)
