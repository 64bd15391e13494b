"""`watchkeeper export`: the metric rows of recorded runs as one table in a file."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.query import frames
from watchkeeper.query.recording import load
from watchkeeper.show.cli.answering import (
    answer,
    answer_options,
    command_errors,
    echo_problems,
    is_quiet,
)
from watchkeeper.show.text import printable


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
    recording = load(*paths, all_rows=all_rows)
    frames.write(recording.columns, output, replace=force)
    runs, rows = len(recording), len(recording.rows)
    code = EXIT_FAILED if recording.problems else EXIT_OK
    word = "run" if runs == 1 else "runs"
    summary = f"{output}: {rows:,} rows of {runs:,} {word}"
    if not as_json:
        click.echo(printable(str(output) if is_quiet() else summary))
    echo_problems(recording.problems)
    if not as_json:
        return code
    columns = [column.name for column in recording.columns]
    return answer(
        code,
        summary=summary,
        counts={"rows": rows, "runs": runs, "columns": len(columns)},
        data=ExportData(file=str(output), rows=rows, runs=recording.names, columns=columns),
    )


class ExportData(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was written: how many rows, of which runs, and its columns in order."""

    file: str
    rows: int
    runs: list[str]
    columns: list[str]


ANSWERS = (ExportData,)
