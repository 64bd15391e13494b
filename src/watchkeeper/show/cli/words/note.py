"""`watchkeeper note`: write a line about a run."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.core.events import Documented, Noted
from watchkeeper.core.words import Note, note_fault, on_one_line, words_of
from watchkeeper.query.check import watched_by
from watchkeeper.show.cli.answering import answer, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.words.subject import Subject, find_subject
from watchkeeper.show.text import printable


@click.command("note")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[KEY] [TEXT]")
@answer_options
@command_errors
def command(run: Path, texts: tuple[str, ...], as_json: bool) -> int:
    """Write a note about a run, one line of at most 500 characters: line ends become spaces.
    Without a TEXT, print its notes. `watchkeeper ls` shows the last one.

    RUN is the folder of a recorded run, or an experiment's with the KEY of a run or an evaluation,
    as `status` shows it. EXPERIMENT/KEY, or in the experiment's folder the KEY alone, will do as
    well; the KEY `.` is the experiment as a whole. Where the run has a run log, its
    Status quotes the note.

    Example: watchkeeper note artifacts/training/r8 "the loss jumps at step 400"
    """
    subject, rest = find_subject(run, texts)
    if not rest:
        _show(subject, subject.words.notes, as_json=as_json)
        return EXIT_OK
    if len(rest) > 1:
        raise UsageError(
            f"the note is one TEXT, and {len(rest)} were given", hint="put it into quotes"
        )
    text = on_one_line(rest[0])
    fault = note_fault(text)
    if fault:
        raise UsageError(f"the note {fault}", hint="give one line of text, in quotes")
    notes = _write(subject, text)
    if as_json:
        _show(subject, notes, as_json=True)
        return EXIT_OK
    click.echo(printable(f"noted of {subject.name}: {text}"))
    if _has_run_log(subject):
        say(_when_in_run_log(subject))
    return EXIT_OK


class NoteData(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of the journal, the run's key there ("" for the folder's own run), and its notes,
    oldest first.
    """

    folder: str
    key: str
    notes: list[Note]


ANSWERS = (NoteData,)


def _write(subject: Subject, text: str) -> list[Note]:
    """Write the note; returns all notes of the run as they are now."""
    writer = subject.open_writer("note")
    try:
        writer.write(Noted, key=subject.key, text=text)
    finally:
        writer.close()
    subject.journal.refresh()
    return words_of(subject.journal.events)[subject.key].notes


def _show(subject: Subject, notes: list[Note], *, as_json: bool) -> None:
    """Show the notes, the oldest first, or say that there are none."""
    if as_json:
        answer(
            EXIT_OK,
            summary=f"{subject.name}: {len(notes)} note{'' if len(notes) == 1 else 's'}",
            counts={"notes": len(notes)},
            data=NoteData(folder=str(subject.folder), key=subject.key, notes=list(notes)),
        )
        return
    for note in notes:
        click.echo(printable(f"{note.time:%Y-%m-%d %H:%M} UTC  {note.user}  {note.text}"))
    if not notes:
        click.echo(printable(f"{subject.name}: no notes"))


def _has_run_log(subject: Subject) -> bool:
    """Whether a run log will quote the note: its own, or that of its training."""
    keys = {subject.key, subject.key.partition("/")[0]}
    return any(
        isinstance(event, Documented) and event.key in keys
        for events in subject.journal.events.values()
        for event in events
    )


def _when_in_run_log(subject: Subject) -> str:
    """When the note comes into the run log: with the watcher that there is, or by which command."""
    if watched_by(subject.folder) is not None:
        return "Its watcher brings the note into the run log."
    return printable(f"To bring it into the run log: watchkeeper rebuild {subject.folder}")
