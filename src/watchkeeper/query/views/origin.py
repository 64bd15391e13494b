"""Where the figures of a page come from: its journals, and the environment they were made in."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.events import AnyEvent, Intended, RunStarted, Sealed, Unknown
from watchkeeper.launch.reproduce import environment_of
from watchkeeper.query.views.differences.environments import python_of


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The journal of one folder, and what was installed. `unsealed` counts the writers whose file
    does not end with a seal; `sha256` is that of the last seal, and of the seals' hashes in the
    order of their writers where there are several ("": none). `python` and `packages` are those of
    whoever submitted, or of the run that recorded itself; "" and None where nobody looked.
    """

    events: int
    writers: int
    unsealed: int
    sha256: str
    python: str = ""
    packages: int | None = None
    environment_sha256: str = ""


def origin(folder: Path) -> Origin:
    """Look at the journal of an experiment or of a recorded run.

    `folder` is the one that holds `.watchkeeper`. A folder without a journal has no events.

    Raises:
        NewerJournalError: a later version wrote it.
    """
    events = journal.read(folder / layout.JOURNAL).events
    seals = [event for event in map(_last, events.values()) if isinstance(event, Sealed)]
    looked = _last_look(events.values())
    environment = environment_of(folder, looked) if looked is not None else None
    facts = Origin(
        events=sum(map(len, events.values())),
        writers=len(events),
        unsealed=len(events) - len(seals),
        sha256=_hash_of([seal.sha256 for seal in seals]),
    )
    if looked is None or environment is None:
        return facts
    python = python_of(environment)
    return msgspec.structs.replace(
        facts,
        python=python.version,
        packages=len(python.packages),
        environment_sha256=looked.environment_sha256,
    )


def events_of(folder: Path) -> Iterator[AnyEvent | Unknown]:
    """Every event of a folder's journal.

    Raises:
        NewerJournalError: a later version wrote it.
    """
    for events in journal.read(folder / layout.JOURNAL).events.values():
        yield from events


def _last(events: Sequence[AnyEvent | Unknown]) -> AnyEvent | Unknown | None:
    """The last event of a writer; None where its file has none."""
    if not events:
        return None
    return events[-1]


def _last_look(files: Iterable[Sequence[AnyEvent | Unknown]]) -> Intended | RunStarted | None:
    """The newest event that says what is installed: an intention, or a start."""
    newest: Intended | RunStarted | None = None
    for event in itertools.chain.from_iterable(files):
        if isinstance(event, Intended | RunStarted):
            newest = max(newest or event, event, key=lambda one: one.time)
    return newest


def _hash_of(hashes: Sequence[str]) -> str:
    """One hash for all seals: itself where there is one, "" for none."""
    if len(hashes) < 2:
        return "".join(hashes)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()
