"""The passport that an evaluation names, and the way from there back to the first event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.chain.heads import from_document, verify_heads
from watchkeeper.publish.checks import Check
from watchkeeper.publish.documents import MOST_DOCUMENT_BYTES, read_document
from watchkeeper.publish.names import PASSPORT


def passport_of(place: Path) -> Path:
    """Where the passport of the checkpoint at `place`, a folder or one file, lies or would lie."""
    if place.is_dir():
        return place / PASSPORT
    return place.parent / PASSPORT


def passport_sha256(place: Path) -> str:
    """The SHA-256 of the passport of the checkpoint at `place`, "" where it has none that can be
    read, or one too large to be one.
    """
    try:
        with open_regular(passport_of(place)) as file:
            data = file.read(MOST_DOCUMENT_BYTES + 1)
    except OSError:
        return ""
    if len(data) > MOST_DOCUMENT_BYTES:
        return ""
    return hashlib.sha256(data).hexdigest()


def follow_back(place: Path, named_sha256: str, journals: Sequence[Path]) -> list[Check]:
    """Follow an evaluation back: from the passport that it names, of the checkpoint at `place`, to
    the first event of the journals in these folders.
    """
    path = passport_of(place)
    here = passport_sha256(place)
    if here != named_sha256:
        return [_changed(path, here)]
    try:
        document = read_document(path)
        heads = from_document(_journal_chain(document))
    except (UsageError, OSError) as error:
        return [_failed("passport-unreadable", str(error), path)]
    if not heads:
        message = "its passport names no journal, so nothing leads back to the first event"
        return [
            Check(
                category="provenance",
                name="journal-not-named",
                status="not_checked",
                message=message,
                where=str(path),
            )
        ]
    return verify_heads(journals, heads)


def _journal_chain(document: Mapping[str, object]) -> object:
    provenance = document.get("provenance")
    if not isinstance(provenance, dict) or not provenance.get("journal_chain"):
        return {"head": hashlib.sha256().hexdigest(), "writers": []}
    return provenance["journal_chain"]


def _changed(path: Path, here: str) -> Check:
    if not here:
        message = "the passport that the evaluation names is gone"
        return _failed("passport-missing", message, path)
    message = "it is not the passport that the evaluation names: it was changed afterwards"
    return _failed("passport-changed", message, path)


def _failed(name: str, message: str, where: Path) -> Check:
    return Check(
        category="provenance",
        name=name,
        status="fail",
        message=message,
        where=str(where),
        hint="restore it, or evaluate the checkpoint again",
    )
