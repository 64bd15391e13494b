"""What `watchkeeper log` does, imported when it is called."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from watchkeeper.core import journal
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.core.events import AnyEvent, Opened, Unknown, encode
from watchkeeper.query.check import journal_folder
from watchkeeper.show.cli.answering import answer, echo_problems
from watchkeeper.show.text import printable

ANSWERS = ()  # its events are the answer
_COMMON = ("time", "writer", "seq")


def perform(path: Path, as_json: bool) -> int:
    """Do what `log` is asked for; the arguments are its options."""
    read = journal.read(journal_folder(path))
    events = sorted(
        (_without_secret(event) for found in read.events.values() for event in found),
        key=lambda event: (event.time, event.seq),
    )
    for event in events:
        if as_json:
            if isinstance(event, Unknown):
                line = event.line
            else:
                line = encode(event)
            click.echo(line.decode(errors="replace").rstrip("\n"))
        else:
            click.echo(_line(event))
    echo_problems(read.problems)
    code = EXIT_FAILED if read.problems else EXIT_OK
    if as_json:
        return answer(
            code,
            summary=f"{len(events)} events of {len(read.events)} writers.",
            counts={"events": len(events), "writers": len(read.events)},
            data=None,
        )
    return code


def _without_secret(event: AnyEvent | Unknown) -> AnyEvent | Unknown:
    """The event without what opens the hashes of its journal."""
    if isinstance(event, Opened):
        return replace(event, secret="")
    return event


def _line(event: AnyEvent | Unknown) -> str:
    """An event on one line: its time, its kind, then `name=value` of each field. An event of an
    unknown kind is shown as it is written.
    """
    if isinstance(event, Unknown):
        return printable(
            f"{event.time.isoformat()}  unknown kind {event.kind}  "
            f"{event.line.decode(errors='replace').rstrip()}"
        )
    fields = msgspec.to_builtins(event)
    kind = fields.pop("kind")
    words = "  ".join(
        f"{name}={_short(value)}" for name, value in fields.items() if name not in _COMMON
    )
    return printable(f"{event.time.isoformat()}  {kind:<13} {words}")


def _short(value: object) -> str:
    """A value in at most 120 letters: a text as it is, anything else as JSON."""
    if isinstance(value, str):
        text = value
    else:
        text = msgspec.json.encode(value).decode()
    if len(text) <= 120:
        return text
    return f"{text[:117]}…"
