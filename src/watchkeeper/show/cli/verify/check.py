"""`watchkeeper check`: verify."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.collector import collector_paused
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN, Problem, UsageError
from watchkeeper.core.journal import Journal
from watchkeeper.query import check
from watchkeeper.query.check import Report
from watchkeeper.query.wandb.agreement import check_run
from watchkeeper.record.audit import audit, traces
from watchkeeper.runfolder.rows import read_rows
from watchkeeper.runfolder.search import run_folders
from watchkeeper.show.cli.answering import answer, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options
from watchkeeper.show.envelope import ProblemEntry, entry_of
from watchkeeper.show.text import printable


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--wandb",
    "with_wandb",
    is_flag=True,
    help="Compare each recorded run in PATH with what W&B kept of it on this disk, row by row.",
)
@page_options
@command_errors
def command(path: Path, with_wandb: bool, as_json: bool) -> int:
    """Verify an experiment or a recorded run: the lines and seals of its journal, the logs and
    manifests made from it, the files that verdicts rest on, and the rows of metrics and tables by
    count and hash. Changes nothing.

    Exit code: 0 if all is sound, 1 if something is missing or was changed, 4 if that cannot be
    determined: a run that died wrote no counts and no hashes, or no W&B run is known to be its own.

    Example: watchkeeper check examples/digits
    """
    report = verify(path)
    if with_wandb:
        report = _with_wandb(path, report)
    code = _exit_code(report)
    if as_json:
        return answer(
            code,
            summary=_last_line(report),
            counts={"errors": report.errors, "unverified": len(report.unverified)},
            problems=[*report.incomplete, *report.problems],
            data=CheckData(
                verdict=_verdict(report),
                sound=report.sound,
                unverified=[entry_of(problem) for problem in report.unverified],
                verified=list(report.verified),
            ),
        )
    say("Verified: " + ", ".join(report.verified))
    for problem in (*report.incomplete, *report.problems):
        click.echo(printable(str(problem)))
    for problem in report.unverified:
        click.echo(printable(f"unverified: {_words(problem)}"))
    click.echo(_last_line(report))
    return code


class CheckData(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, what was verified, in words, and what cannot be determined. What is wrong stands
    in the answer's `problems`.
    """

    verdict: str
    sound: bool
    unverified: list[ProblemEntry]
    verified: list[str]


ANSWERS = (CheckData,)


def _exit_code(report: Report) -> int:
    """1: something is wrong; 4: nothing is known to be, but not all could be verified; 0: all is
    sound.
    """
    if report.errors:
        return EXIT_FAILED
    if report.unverified:
        return EXIT_UNKNOWN
    return EXIT_OK


@collector_paused()
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


def _with_wandb(path: Path, report: Report) -> Report:
    """The report, with what W&B kept of each recorded run held against our rows."""
    folders, _ = run_folders(path.resolve())
    checked = [check_run(folder) for folder in folders]
    if not checked:
        raise UsageError(f"no run was recorded in {path}", hint="give a recorded run's folder")
    return Report(
        verified=(*report.verified, *(words for one in checked for words in one.verified)),
        problems=(*report.problems, *(problem for one in checked for problem in one.problems)),
        incomplete=report.incomplete,
        unverified=(*report.unverified, *(doubt for one in checked for doubt in one.unverified)),
    )


def incomplete(path: Path, read: Journal) -> list[Problem]:
    """What the journal of a folder lacks. From one that lacks something nothing is rebuilt."""
    root = path.resolve()
    if not any(read.saw.values()):
        left = [*traces(root), *check.traces(root)]
        if left:
            return [check.gone(root, left)]
        return []
    return [*check.incomplete(root, read), *audit(root, read).incomplete]


def _verdict(report: Report) -> str:
    """The same in a word."""
    if report.errors:
        return "unsound"
    if report.unverified:
        return "unverified"
    return "sound"


def _last_line(report: Report) -> str:
    """The same in a sentence, for people."""
    if report.errors:
        return f"{report.errors} finding{'s' if report.errors > 1 else ''}."
    if report.unverified:
        return "Unverified: nothing is known to be wrong, and not all of it can be verified."
    return "Sound."


def _words(problem: Problem) -> str:
    """A problem on one line, with what to do about it."""
    return f"{problem.where}: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")
