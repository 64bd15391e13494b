"""`watchkeeper publish open`: open one hidden field of a package's events."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK
from watchkeeper.publish.package.opening import journals_of, open_in, write_openings
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.text import printable


@click.command("open")
@click.argument("place", metavar="PACKAGE|RUN", type=click.Path(path_type=Path))
@click.option("--event", required=True, metavar="WRITER:NUMBER", help="The event, by its writer.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    required=True,
    metavar="PATH",
    help="The field, `changes.0.job_id`. Can be given several times.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the opening is written.",
)
@answer_options
@command_errors
def command(place: Path, event: str, fields: tuple[str, ...], out: Path, as_json: bool) -> int:
    """Open hidden fields of one event for somebody who has the package: write each value with the
    salt of its hash into FILE. Whoever gets FILE compares it with `publish check --openings`, and
    learns nothing else. The values come from the journal, so this works where the run lies: name
    the package that was staged there, or the run.

    Exit code: 2 if there is no such event or field.

    Example: watchkeeper publish open package --event 20260311-a:7 --field node -o opened.json
    """
    journals = journals_of(place)
    openings = [open_in(journals, event, field) for field in fields]
    write_openings(out, openings)
    summary = f"{out}: {len(openings)} of the fields of {event} opened"
    if as_json:
        return answer(
            EXIT_OK,
            summary=summary,
            data=OpenData(fields=list(fields), file=str(out), event=event),
        )
    click.echo(printable(str(out) if is_quiet() else summary))
    return EXIT_OK


class OpenData(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was written, and which fields of which event it opens."""

    fields: list[str]
    file: str
    event: str


ANSWERS = (OpenData,)
