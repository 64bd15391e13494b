"""`watchkeeper report`: a page as one file that needs no network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.query.catalogue.enclosing import enclosing_place, taken_note
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.text import printable

_LEFT_OUT = "absolute paths, users, hosts and job ids are left out (--private keeps them)"


@click.command("report")
@click.argument("path", type=click.Path(path_type=Path), metavar="PATH")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file. An earlier report there is replaced; nothing else is.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Write it to PATH/.watchkeeper/view/index.html: it travels with the folder.",
)
@click.option("--md", is_flag=True, help="The tables as Markdown instead of a page.")
@click.option(
    "--private", is_flag=True, help="Keep absolute paths, users, hosts and job ids in it."
)
@answer_options
@command_errors
def command(
    *, path: Path, output: Path | None, in_place: bool, md: bool, private: bool, as_json: bool
) -> int:
    """Write what the browser shows of an experiment, a recorded run, or a folder of them into one
    file: figures, curves, jobs, where they come from, and the logs. It loads nothing, runs no
    script, and prints on A4 and Letter.

    Exit code: 2 if there is nothing to report, or the file is not ours to replace.

    Example: watchkeeper report examples/digits -o digits.html
    """
    from watchkeeper.show.report.document import markdown, page
    from watchkeeper.show.report.gather import Source, kind_of, report_of
    from watchkeeper.show.report.output import sealed, write

    folder = enclosing_place(path) or path
    notes = [taken_note(path, folder)] if folder != path else []
    kind = kind_of(folder)
    target = _target(folder, output, kind=kind, in_place=in_place, is_markdown=md)
    made = report_of(Source(folder=folder, keeps_private=private, made=datetime.now(UTC)))
    data = sealed(markdown(made) if md else page(made))
    if in_place:
        files.make_folder(target.parent)
    write(target, data)
    echo_problems(notes)
    hidden = "" if private else f"; {_LEFT_OUT}"
    summary = f"{target}: the report of {made.name}, {len(data):,} bytes{hidden}"
    if not as_json:
        click.echo(printable(str(target) if is_quiet() else summary))
        return EXIT_OK
    return answer(
        EXIT_OK,
        summary=summary,
        counts={"bytes": len(data), "sections": len(made.sections)},
        problems=notes,
        data=ReportData(file=str(target), kind=kind, bytes=len(data), is_private=private),
    )


def _target(
    folder: Path, output: Path | None, *, kind: str, in_place: bool, is_markdown: bool
) -> Path:
    """The file that is to be written.

    Raises:
        UsageError: none or two are named, or one that does not go with the other options.
    """
    name = f"{folder.resolve().name or 'report'}.{'md' if is_markdown else 'html'}"
    if output is None and not in_place:
        raise UsageError("no file is named for the report", hint=f"-o {name}, or --in-place")
    if output is not None and in_place:
        raise UsageError("--in-place names a file already", hint="leave out one of -o, --in-place")
    if output is not None:
        return _named(output, is_markdown=is_markdown)
    if is_markdown:
        raise UsageError("--in-place is for the page", hint=f"--md -o {name}")
    if kind == "folder":
        hint = f"-o {name}, or name one run or experiment in it"
        raise UsageError(f"{folder} is neither a run nor an experiment", hint=hint)
    return folder / layout.VIEW / "index.html"


def _named(output: Path, *, is_markdown: bool) -> Path:
    """The file for the report.

    Raises:
        UsageError: it is named like Markdown, and is to be HTML.
    """
    if output.suffix.lower() == ".md" and not is_markdown:
        raise UsageError(f"{output}: the report is a page of HTML", hint="add --md for Markdown")
    return output


class ReportData(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was written, what it is about (experiment, run, folder), its size in bytes, and
    whether private fields are in it.
    """

    file: str
    kind: str
    bytes: int
    is_private: bool


ANSWERS = (ReportData,)
