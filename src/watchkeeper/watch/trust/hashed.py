"""Records of a checkpoint's files as its job hashed them: a login node reads none of them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.schedulers.wrapper.hashes import HashedFile


def known_records(
    root: Path, paths: Iterable[str], hashed: Mapping[Path, HashedFile]
) -> dict[str, FileRecord]:
    """Path below the root → the record of each of these files that still has the size and the time
    with which the job hashed it.
    """
    known: dict[str, FileRecord] = {}
    for path in paths:
        one = hashed.get(root / path)
        if one is not None and one.is_still(root / path):
            known[path] = FileRecord(path=path, size_bytes=one.size_bytes, sha256=one.sha256)
    return known
