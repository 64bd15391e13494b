"""`watchkeeper check`: verify."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN, Problem
from watchkeeper.core.journal import Journal
from watchkeeper.query import check
from watchkeeper.query.check import Report
from watchkeeper.record.audit import audit, traces
from watchkeeper.runfolder.rows import read_rows
from watchkeeper.show.cli.common import command_errors, echo_json, json_option
from watchkeeper.show.text import printable


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@json_option
@command_errors
def command(path: Path, as_json: bool) -> int:
    """Verify an experiment or a recorded run: the lines and seals of its journal, the logs and
    manifests made from it, the files that verdicts rest on, and the rows of metrics and tables by
    count and hash. Changes nothing.

    Exit code: 0 if all is sound, 1 if something is missing or was changed, 4 if that cannot be
    determined: a run that died wrote no counts and no hashes.

    Example: watchkeeper check examples/digits
    """
    report = verify(path)
    if as_json:
        echo_json(
            {
                "sound": report.sound,
                "verdict": _verdict(report),
                "verified": report.verified,
                "problems": [*report.incomplete, *report.problems],
                "unverified": report.unverified,
            }
        )
    else:
        click.echo("Verified: " + ", ".join(report.verified))
        for problem in (*report.incomplete, *report.problems):
            click.echo(printable(str(problem)))
        for problem in report.unverified:
            click.echo(printable(f"unverified: {_words(problem)}"))
        click.echo(_last_line(report))
    if report.errors:
        return EXIT_FAILED
    if report.unverified:
        return EXIT_UNKNOWN
    return EXIT_OK


def verify(path: Path) -> Report:
    """All that can be said of a folder.

    Raises:
        UsageError: there is no journal, and nothing that speaks of one.
    """
    root = path.resolve()
    read = journal.read(root / layout.JOURNAL)
    if not any(read.saw.values()):
        left = [*traces(root), *check.traces(root)]
        if not left and not read.folder.is_dir():
            raise check.no_journal(path)
        lacks = (check.gone(root, left),) if left else ()
        return Report(
            verified=("0 events of 0 writers",), problems=tuple(read.problems), incomplete=lacks
        )
    report = check.check(path, read)
    found = audit(root, read)
    rows, damaged = read_rows(root)
    if (root / layout.METRICS).is_dir():
        counted = [f"{len(rows)} metric rows"]
    else:
        counted = []
    return Report(
        verified=(*report.verified, *counted, *found.verified),
        problems=(*report.problems, *damaged, *found.problems),
        incomplete=(*report.incomplete, *found.incomplete),
        unverified=(*report.unverified, *found.unverified),
    )


def incomplete(path: Path, read: Journal) -> list[Problem]:
    """What the journal of a folder lacks. Nothing may be made again from one that lacks something."""
    root = path.resolve()
    if not any(read.saw.values()):
        left = [*traces(root), *check.traces(root)]
        if left:
            return [check.gone(root, left)]
        return []
    return [*check.incomplete(root, read), *audit(root, read).incomplete]


def _verdict(report: Report) -> str:
    if report.errors:
        return "unsound"
    if report.unverified:
        return "unverified"
    return "sound"


def _last_line(report: Report) -> str:
    if report.errors:
        return f"{report.errors} finding{'s' if report.errors > 1 else ''}."
    if report.unverified:
        return "Unverified: nothing is known to be wrong, and not all of it can be verified."
    return "Sound."


def _words(problem: Problem) -> str:
    return f"{problem.where}: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")
