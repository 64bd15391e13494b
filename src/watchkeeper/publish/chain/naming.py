"""The passport that an evaluation names, and the way from there back to the first event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from watchkeeper.core.disk import objects
from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.chain.heads import Head, from_document, verify_heads
from watchkeeper.publish.checks import Check
from watchkeeper.publish.documents import MOST_DOCUMENT_BYTES, parse_document
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
    data = _passport(place)
    return "" if data is None else hashlib.sha256(data).hexdigest()


def keep_passport(place: Path, kept: Path) -> str:
    """Keep the passport of the checkpoint at `place` in the folder of kept objects, so that an
    evaluation that names it leads back also after it is made again. Returns its SHA-256, "" where
    there is none.
    """
    data = _passport(place)
    return "" if data is None else objects.keep(kept, data)


def _passport(place: Path) -> bytes | None:
    """The bytes of a checkpoint's passport; None: there is none, it cannot be read, or it is larger
    than a document may be.
    """
    try:
        with open_regular(passport_of(place)) as file:
            data = file.read(MOST_DOCUMENT_BYTES + 1)
    except OSError:
        return None
    if len(data) > MOST_DOCUMENT_BYTES:
        return None
    return data


def follow_back(
    place: Path, named_sha256: str, journals: Sequence[Path], kept: Path
) -> list[Check]:
    """Follow an evaluation back: from the passport that it names, of the checkpoint at `place`, to
    the first event of the journals in these folders. A passport that was made again since is read
    from the folder of kept objects.
    """
    path = passport_of(place)
    data = _passport(place)
    is_same = data is not None and hashlib.sha256(data).hexdigest() == named_sha256
    named = data if is_same else objects.read_kept(kept, named_sha256)
    if named is None:
        return [_changed(path, data)]
    try:
        document = parse_document(named, str(path))
        heads = from_document(_journal_chain(document))
    except UsageError as error:
        return [_failed("passport-unreadable", str(error), path)]
    if not is_same:
        since = _made_again(path, document, data)
        if since.status == "fail":
            return [since]
        return [since, *_followed(path, journals, heads)]
    return _followed(path, journals, heads)


def _made_again(path: Path, named: Mapping[str, object], data: bytes | None) -> Check:
    """What is to be said of a passport that is not the one that was named: it may say more of the
    same weights, and never anything of others.
    """
    if data is not None and _weights_of(data, path) != named.get("weight_integrity"):
        message = "the passport there now is not of the weights that were evaluated"
        return _failed("passport-of-others", message, path)
    if data is None:
        message = (
            "the passport that the evaluation names is gone; it is kept in the journal's folder"
        )
    else:
        message = "the passport was made again after the evaluation, of the same weights"
    return Check(
        category="provenance",
        name="passport-made-again",
        status="soft_signal",
        message=message,
        where=str(path),
    )


def _weights_of(data: bytes, path: Path) -> object:
    """What a passport says of the weights, as it stands there; "unreadable" for a damaged one,
    which is the same as no other.
    """
    try:
        return parse_document(data, str(path)).get("weight_integrity")
    except UsageError:
        return "unreadable"


def _followed(path: Path, journals: Sequence[Path], heads: Sequence[Head]) -> list[Check]:
    """The checks of the journals that a passport names, back to their first events. One that names
    none leads nowhere, which is said and is no failure.
    """
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
    """The heads of the journals that a passport states; of one that states none, no writers, with
    the hash of nothing as their common head.
    """
    provenance = document.get("provenance")
    if isinstance(provenance, dict) and provenance.get("journal_chain"):
        return provenance["journal_chain"]
    return {"head": hashlib.sha256().hexdigest(), "writers": []}


def _changed(path: Path, data: bytes | None) -> Check:
    """That the passport is gone (`data` None), or is another one than the evaluation names."""
    if data is None:
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
