"""CHECKPOINT_MANIFEST.json: reading and writing it. docs/checkpoints.md shows one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.publish import names
from watchkeeper.publish.documents import (
    GENERATED_BY,
    DocumentError,
    read_document,
    write_document,
)
from watchkeeper.publish.manifest.files import FileRecord

SCHEMA_VERSION = "1"
ALGORITHM = "sha256"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest as it was read: its records in its own order, with paths that nobody has looked at
    yet. `generated_at` is as the document has it, "" where it has none.
    """

    generated_at: str = ""
    artifacts: tuple[FileRecord, ...] = ()
    skipped_symlinks: tuple[str, ...] = ()


def read_manifest(root: Path, file: Path | None = None) -> Manifest:
    """The manifest of a checkpoint, or the one in `file`.

    Raises:
        DocumentError: it is no manifest of schema version 1 with SHA-256.
        OSError: it cannot be read, or there is none.
    """
    path = file or root / names.MANIFEST
    document = read_document(path)
    _expect(path, document, "schema_version", SCHEMA_VERSION)
    _expect(path, document, "algorithm", ALGORITHM)
    artifacts = document.get("artifacts")
    if not isinstance(artifacts, list):
        raise DocumentError(f"{path} has no list of artifacts")
    records = [_record(path, number, entry) for number, entry in enumerate(artifacts)]
    return Manifest(
        generated_at=str(document.get("generated_at", "")),
        artifacts=tuple(records),
        skipped_symlinks=_skipped(path, document),
    )


def _expect(path: Path, document: dict[str, Any], field: str, value: str) -> None:
    """See that a field of a manifest has the one value that is read here.

    Raises:
        DocumentError: it has another, or none.
    """
    if field not in document:
        raise DocumentError(f"{path} has no {field}: it is no checkpoint manifest")
    if document[field] != value:
        raise DocumentError(
            f"{path} has {field} {str(document[field])[:40]!r}; this version of Watchkeeper reads "
            f"{value!r}"
        )


def _record(path: Path, number: int, entry: object) -> FileRecord:
    """One entry of the artifacts.

    Raises:
        DocumentError: a field is missing, or not as it must be.
    """
    if not isinstance(entry, dict):
        raise DocumentError(f"{path}: artifacts[{number}] is no object")
    place, size, sha256 = entry.get("path"), entry.get("size_bytes"), entry.get("sha256")
    if not isinstance(place, str):
        raise DocumentError(f"{path}: artifacts[{number}].path is no text")
    if type(size) is not int or size < 0:
        raise DocumentError(f"{path}: artifacts[{number}].size_bytes is no count of bytes")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise DocumentError(f"{path}: artifacts[{number}].sha256 is not 64 hexadecimal digits")
    return FileRecord(path=place, size_bytes=size, sha256=sha256.lower())


def _skipped(path: Path, document: dict[str, Any]) -> tuple[str, ...]:
    """The links that a manifest left out; DocumentError: they are no list of paths."""
    links = document.get("skipped_symlinks", [])
    if not isinstance(links, list) or not all(isinstance(link, str) for link in links):
        raise DocumentError(f"{path}: skipped_symlinks is no list of paths")
    return tuple(links)


def write_manifest(
    root: Path,
    records: Iterable[FileRecord],
    *,
    now: datetime,
    skipped_symlinks: Iterable[str] = (),
) -> Path:
    """Write the manifest of these files into the root, in the order of their paths, and return its
    place. `now` is an aware time. What is about the manifest (the passport, the sign-off, …) is
    left out of it.

    Raises:
        ForeignDocumentError: Watchkeeper did not write the manifest that is there; it is kept.
        StorageError: it could not be written.
    """
    path = root / names.MANIFEST
    listed = [record for record in records if record.path not in names.ABOUT_THE_MANIFEST]
    listed.sort(key=lambda record: record.path)
    document = {
        "schema_version": SCHEMA_VERSION,
        "generated_by": GENERATED_BY,
        "generated_at": utc(now),
        "algorithm": ALGORITHM,
        "artifacts": [msgspec.structs.asdict(record) for record in listed],
        "skipped_symlinks": sorted(skipped_symlinks),
    }
    write_document(path, document)
    return path


def utc(time: datetime) -> str:
    """An aware time as the documents have it: UTC in whole seconds."""
    whole = time.timestamp() // 1
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
