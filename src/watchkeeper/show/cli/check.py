"""`watchkeeper check`: verify."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.record.rows import FOLDER, read_rows
from watchkeeper.show.cli.common import command_errors, echo_json, json_option
from watchkeeper.show.text import printable
from watchkeeper.watch.check import Report, check


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@json_option
@command_errors
def command(path: Path, as_json: bool) -> int:
    """Verify the journal of an experiment or of a recorded run: its lines, its seals, the logs made of it, and the files
    that verdicts rest on. Nothing is changed.

    Example: watchkeeper check examples/digits
    """
    report = check(path)
    if (path / FOLDER).is_dir():
        rows, problems = read_rows(path)
        report = Report(verified=(*report.verified, f"{len(rows)} metric rows"), problems=(*report.problems, *problems))
    if as_json:
        echo_json({"sound": report.sound, "verified": report.verified, "problems": report.problems})
    else:
        click.echo("Verified: " + ", ".join(report.verified))
        for problem in report.problems:
            click.echo(printable(str(problem)))
        click.echo("Sound." if report.sound else f"{sum(p.severity == 'error' for p in report.problems)} findings.")
    return EXIT_OK if report.sound else EXIT_FAILED
