"""The experiment whose run made a checkpoint, where the checkpoint lies inside it: its journal
remembers the sign-off.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core import criteria, journal, layout
from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.disk.ownership import other_owner
from watchkeeper.core.errors import NewerJournalError, Problem, StorageError
from watchkeeper.core.events import Intended, Vouched
from watchkeeper.core.events.choose import Events, of_kind
from watchkeeper.core.journal import Writer
from watchkeeper.core.state import Attempt, fold
from watchkeeper.publish import names
from watchkeeper.publish.documents import MOST_DOCUMENT_BYTES
from watchkeeper.publish.signoff.document import Signoff

_MOST_LEVELS = 8


class Origin(msgspec.Struct, frozen=True):
    """The attempt that made a checkpoint: the experiment's folder, and the checkpoint's path in its
    journal.
    """

    experiment: Path
    attempt: Attempt
    path: str


def origin_of(root: Path) -> Origin | None:
    """The attempt whose verdict names this checkpoint, of the nearest experiment above it; of
    several attempts the last. None: no experiment above it made it, or none can be read.
    """
    real = root.resolve()
    for folder in list(real.parents)[:_MOST_LEVELS]:
        if not (folder / layout.JOURNAL).is_dir():
            continue
        try:
            state = fold(journal.read(folder / layout.JOURNAL).events)
        except NewerJournalError:
            return None
        made = [
            Origin(folder, attempt, path)
            for attempt in state.attempts()
            for path in _kept(attempt)
            if (folder / path).resolve() == real
        ]
        if made:
            return max(made, key=lambda origin: origin.attempt.number)
    return None


def expected_of(root: Path) -> list[criteria.Standing]:
    """Each criterion of the experiment that made a checkpoint, and what came of it in the
    evaluations of this checkpoint; empty where no experiment made it, or it states none.
    """
    origin = origin_of(root)
    if origin is None:
        return []
    events = journal.read(origin.experiment / layout.JOURNAL).events
    return expected_in(events, origin.attempt.key, origin.path)


def expected_in(events: Events, run: str, path: str) -> list[criteria.Standing]:
    """The same, of the checkpoint at `path` that a run made."""
    keys = {
        one.key
        for one in of_kind(events, Intended)
        if one.phase == "evaluation" and _evaluates(one, run, path)
    }
    return [standing.of(keys) for standing in criteria.standings(events)]


def _evaluates(intended: Intended, run: str, path: str) -> bool:
    """Whether an evaluation was given this checkpoint. One that names no checkpoint of the run was
    given none that is known.
    """
    return f"{run}/{PurePosixPath(path).name}" in intended.inputs


def _kept(attempt: Attempt) -> Iterator[str]:
    """The checkpoints that an attempt left, by its verdict."""
    if attempt.judged is not None and attempt.judged.learned is not None:
        yield from attempt.judged.learned.kept


def remember(root: Path, signoff: Signoff) -> tuple[Problem, ...]:
    """Write the sign-off of a checkpoint into the journal of the experiment that made it. Returns
    why that was not possible; nothing where it was, or where no experiment made it.
    """
    origin = origin_of(root)
    if origin is None:
        return ()
    folder = origin.experiment / layout.JOURNAL
    owner = other_owner(folder)
    if owner:
        return (_not_remembered(origin.experiment, f"it belongs to {owner}"),)
    if not os.access(folder, os.W_OK | os.X_OK):
        return (_not_remembered(origin.experiment, "its journal cannot be written"),)
    try:
        writer = Writer(folder, "sign")
        try:
            writer.write(Vouched, **fields_of(root, origin.attempt, origin.path, signoff))
        finally:
            writer.close()
    except (StorageError, OSError) as error:
        return (_not_remembered(origin.experiment, str(error)),)
    return ()


def fields_of(root: Path, attempt: Attempt, path: str, signoff: Signoff) -> dict[str, object]:
    """The fields of the event that says who vouched for a checkpoint.

    Raises:
        OSError: a document cannot be read.
    """
    return {
        "key": attempt.key,
        "phase": attempt.phase,
        "attempt": attempt.number,
        "path": path,
        "verdict": signoff.verdict,
        "signed": True,
        "by": signoff.signed_by.tool,
        "why": signoff.verdict_reason or "",
        "passport_sha256": sha256_of(root / names.PASSPORT),
        "signoff_sha256": sha256_of(root / names.SIGNOFF),
    }


def sha256_of(document: Path) -> str:
    """The hash of a document.

    Raises:
        OSError: it cannot be read.
    """
    return hashlib.sha256(read_whole(document, MOST_DOCUMENT_BYTES)).hexdigest()


def _not_remembered(experiment: Path, why: str) -> Problem:
    return Problem(
        where=str(experiment),
        message=f"the sign-off is not in the experiment's journal: {why}",
        hint="the checkpoint is signed all the same",
        severity="warning",
        code="not-remembered",
    )
