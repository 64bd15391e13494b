"""What people said of runs: the tags and notes of a journal. Pure.

A tag stays until it is taken away. Who takes it away has read it: a tag that another writer gave
meanwhile stays, so that the same files give the same tags in whatever order they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from watchkeeper.core.events import AnyEvent, Noted, Opened, RunStarted, Tagged, Unknown
from watchkeeper.core.text import redaction

MOST_TAG = 60
"""Characters of a tag."""
MOST_NAME = 100
"""Characters of a run's name."""
MOST_NOTE = 500
"""Characters of a note."""

Events = Mapping[str, Sequence[AnyEvent | Unknown]]


class Note(msgspec.Struct, frozen=True):
    """One note: when it was written (UTC), its text, and the user who wrote it ("": not known)."""

    time: datetime
    text: str
    user: str = ""


class Words(msgspec.Struct):
    """What was said of one run: its tags, sorted, and its notes, oldest first."""

    tags: list[str] = []
    notes: list[Note] = []


def words_of(events: Events) -> dict[str, Words]:
    """What a journal says of each key; "" is the journal's own run, or the experiment. A key of
    which nothing was said is not there.

        {"r8": Words(tags=["best"], notes=[Note(time, "lr too high", "ada")])}
    """
    said: dict[str, Words] = {}
    for key, tags in _tags_of(events).items():
        said.setdefault(key, Words()).tags = sorted(tags)
    notes = [_note(noted, own) for own in events.values() for noted in _notes_in(own)]
    for key, note in sorted(notes, key=lambda pair: (pair[1].time, pair[1].text)):
        said.setdefault(key, Words()).notes.append(note)
    return said


def _notes_in(events: Iterable[AnyEvent | Unknown]) -> Iterator[Noted]:
    """The notes among these events, in their order."""
    for event in events:
        if isinstance(event, Noted):
            yield event


def _note(noted: Noted, own: Sequence[AnyEvent | Unknown]) -> tuple[str, Note]:
    """The key of a note, and the note with its author, whom the first event of `own`, its writer's
    file, names.
    """
    first = own[0]
    user = ""
    if isinstance(first, Opened):
        user = first.user
    return noted.key, Note(noted.time, noted.text, user)


def _tags_of(events: Events) -> dict[str, set[str]]:
    """The tags of each key: those that were given, and were not taken away by somebody who had read
    them.
    """
    removals: dict[tuple[str, str], list[Tagged]] = {}
    for own in events.values():
        for event in own:
            if not isinstance(event, Tagged):
                continue
            for tag in event.removed:
                removals.setdefault((event.key, tag), []).append(event)
    tags: dict[str, set[str]] = {}
    for own in events.values():
        for key, tag, given in _given(own):
            of_tag = removals.get((key, tag), [])
            was_removed = any(_had_read(removal, given) for removal in of_tag)
            if not was_removed:
                tags.setdefault(key, set()).add(tag)
    return tags


def _given(events: Iterable[AnyEvent | Unknown]) -> Iterator[tuple[str, str, RunStarted | Tagged]]:
    """(key, tag, event) for each tag that these events give: the program's own, which `start_run`
    was called with, and those that people gave later.
    """
    for event in events:
        if isinstance(event, RunStarted):
            for tag in event.tags:
                yield "", tag, event
        elif isinstance(event, Tagged):
            for tag in event.tags:
                yield event.key, tag, event


def _had_read(later: Tagged, earlier: RunStarted | Tagged) -> bool:
    """Whether the writer of the later event had read the earlier one. It knows its own events; of
    another writer's, those that it had counted in `saw`: event 4 is the fifth.
    """
    if later.writer == earlier.writer:
        return later.seq > earlier.seq
    return later.saw.get(earlier.writer, 0) > earlier.seq


def tag_fault(tag: str) -> str:
    """Why this cannot be a tag, in words that follow it; "" if it can.

    Of a tag of 61 letters: `has 61 characters, and 60 is the most`.
    """
    return _fault(tag, MOST_TAG)


def name_fault(name: str) -> str:
    """Why this cannot be a run's name, in words that follow it; "" if it can."""
    return _fault(name, MOST_NAME)


def note_fault(note: str) -> str:
    """Why this cannot be a note, in words that follow it; "" if it can."""
    return _fault(note, MOST_NOTE)


def on_one_line(text: str) -> str:
    """A note as it is kept: on one line, each row of spaces and line ends as one space, and without
    what has the form of a secret. It may be "": `note_fault` says so.
    """
    return redaction.redact(" ".join(text.split()))


def _fault(text: str, most: int) -> str:
    """Why a text cannot be kept, in words that follow it, as in `the tag is empty`; "": it can."""
    if not text:
        return "is empty"
    if not text.isprintable():
        return "holds a line end or another character that cannot be seen"
    if text != text.strip():
        return "begins or ends with a space"
    if len(text) > most:
        return f"has {len(text)} characters, and {most} is the most"
    return ""
