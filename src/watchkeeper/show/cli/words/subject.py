"""What a tag or a note is about: a recorded run, a run of an experiment, or an experiment."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.disk.ownership import other_owner
from watchkeeper.core.errors import UsageError, WatchkeeperError
from watchkeeper.core.events import Planned
from watchkeeper.core.journal import Journal, Writer
from watchkeeper.core.state import fold
from watchkeeper.core.words import Words, words_of
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.query import copies
from watchkeeper.query.catalogue.enclosing import run_named

WHOLE = "."
"""What is typed as the key for an experiment as a whole."""
_MOST_NAMED = 8


class Subject(msgspec.Struct, frozen=True):
    """One run. `key` "" is a recorded run, or an experiment as a whole. `words` are what was said
    of it so far, `journal` where they stand.
    """

    name: str
    folder: Path
    key: str
    journal: Journal
    words: Words

    def open_writer(self, purpose: str) -> Writer:
        """A writer of its journal. Close it.

        Raises:
            WatchkeeperError: the journal belongs to somebody else, or cannot be written.
        """
        folder = self.journal.folder
        owner = other_owner(folder)
        if owner:
            raise WatchkeeperError(
                f"{self.folder} belongs to {owner}, and is only read",
                hint="ask its owner to do it",
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            raise WatchkeeperError(f"{folder} cannot be written", hint=f"chmod u+wx {folder}")
        return Writer(folder, purpose)


def find_subject(run: Path, texts: Sequence[str]) -> tuple[Subject, list[str]]:
    """What is meant, and the texts that are left: of an experiment the first one is the key, unless
    the path itself names the run: `EXPERIMENT/KEY`.

    Raises:
        UsageError: nothing was recorded there, or the experiment has no such run.
    """
    folder = run.resolve()
    if not (folder / layout.JOURNAL).is_dir():
        subject = _subject_within(run)
        if subject is None:
            raise _no_journal(run, folder)
        return subject, list(texts)
    read = journal.read(folder / layout.JOURNAL)
    if not is_experiment(folder):
        return _subject(folder.name, folder, "", read), list(texts)
    copies.refuse(folder, fold(read.events))
    keys = _keys_of(read)
    if not texts:
        raise UsageError(f"{run} is an experiment: name a run of it", hint=_known(keys))
    key, *rest = texts
    if key == WHOLE:
        return _subject(folder.name, folder, "", read), rest
    key = key.strip("/")
    if key not in keys:
        raise UsageError(f"{key!r} is no run of {folder.name}", hint=_known(keys, near=key))
    return _subject(f"{folder.name} {key}", folder, key, read), rest


def _subject_within(path: Path) -> Subject | None:
    """The run of an experiment that the path names: `EXPERIMENT/KEY`, or in its folder the KEY
    alone. None: it names none.
    """
    named = run_named(path)
    if named is None:
        return None
    folder, key = named
    if not (folder / layout.JOURNAL).is_dir():
        return None
    read = journal.read(folder / layout.JOURNAL)
    if key not in _keys_of(read):
        return None
    copies.refuse(folder, fold(read.events))
    return _subject(f"{folder.name} {key}", folder, key, read)


def _subject(name: str, folder: Path, key: str, read: Journal) -> Subject:
    """A run by its key in a journal, with what was said of it."""
    words = words_of(read.events).get(key, Words())
    return Subject(name, folder, key, read, words)


def _keys_of(read: Journal) -> list[str]:
    """The runs and evaluations that were planned or submitted, in the order met."""
    keys: dict[str, None] = {}
    for events in read.events.values():
        for event in events:
            if isinstance(event, Planned):
                keys.update(dict.fromkeys(item.key for item in event.items))
    state = fold(read.events)
    keys.update(dict.fromkeys(key for key, run in state.runs.items() if run.attempts))
    return list(keys)


def _known(keys: Sequence[str], near: str = "") -> str:
    """The names to choose from: those that are near, else the first ones."""
    close = difflib.get_close_matches(near, keys, n=3)
    whole = f"`{WHOLE}` is the experiment as a whole"
    if close:
        return f"did you mean {', '.join(close)}? {whole}"
    listed = ", ".join(keys[:_MOST_NAMED])
    if len(keys) > _MOST_NAMED:
        listed += f", … ({len(keys)} in all)"
    return f"it has {listed}; {whole}"


def _no_journal(run: Path, folder: Path) -> UsageError:
    """Why there is nothing to add words to: the folder above it has a journal, or none has."""
    if not folder.is_dir():
        return UsageError(
            f"{run} is no folder, and no run of an experiment here",
            hint="name a run's folder, or EXPERIMENT KEY",
        )
    if is_experiment(folder):
        hint = f"begin it: watchkeeper run {run}"
        return UsageError(f"nothing was submitted in {run} yet", hint=hint)
    hint = "give the folder of a run that start_run or `watchkeeper exec` made, or EXPERIMENT KEY"
    for above in folder.parents:
        if (above / layout.JOURNAL).is_dir():
            hint = f"it lies in {above}: name that folder"
            break
    return UsageError(f"{run} is neither a recorded run nor an experiment", hint=hint)
