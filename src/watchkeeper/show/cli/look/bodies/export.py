"""What `watchkeeper export` does, imported when it is called."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.query import frames
from watchkeeper.query.recording import load
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet
from watchkeeper.show.text import printable


def perform(
    paths: tuple[Path, ...], output: Path, all_rows: bool, force: bool, as_json: bool
) -> int:
    """Do what `export` is asked for; the arguments are its options."""
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
