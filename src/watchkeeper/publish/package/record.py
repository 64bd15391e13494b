"""What stays with the publisher: `DIR.REDACTIONS.json` beside a package in `DIR`.

It says which run the package was made of, and what was hidden in which file; never a hidden value.
It names places on this machine, and so is no part of the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.documents import GENERATED_BY, read_document, write_document
from watchkeeper.publish.manifest.document import utc
from watchkeeper.publish.package.story import Source
from watchkeeper.publish.sanitize.text import Redaction

SUFFIX = ".REDACTIONS.json"
SCHEMA_VERSION = "1"


class Staging(msgspec.Struct, frozen=True, kw_only=True):
    """Where a package comes from: the checkpoint's folder, the experiment or recorded run, the
    run's key ("": a recorded run), the attempt, and the folders that were recorded.
    """

    checkpoint: str
    folder: str
    key: str = ""
    attempt: int = 1
    path: str = ""
    recorded: tuple[str, ...] = ()


def path_of(package: Path) -> Path:
    """Where the record of a package lies: beside it."""
    place = package.absolute()
    return place.with_name(f"{place.name}{SUFFIX}")


def write_record(
    package: Path, source: Source, redactions: Mapping[str, Iterable[Redaction]], now: datetime
) -> Path:
    """Write the record of a package; `redactions` are by the path in the package.

    Raises:
        ForeignDocumentError: Watchkeeper did not write the file that is there.
        StorageError: it could not be written.
    """
    path = path_of(package)
    hidden = [
        {"file": file, **msgspec.structs.asdict(one)}
        for file, found in redactions.items()
        for one in found
    ]
    staging = Staging(
        checkpoint=str(source.root.absolute()),
        folder=str(source.folder.absolute()),
        key=source.key,
        attempt=source.attempt,
        path=source.path,
        recorded=tuple(str(folder.absolute()) for folder in source.recorded),
    )
    document = {
        "schema_version": SCHEMA_VERSION,
        "generated_by": GENERATED_BY,
        "generated_at": utc(now),
        "source": msgspec.to_builtins(staging),
        "redactions": hidden,
    }
    write_document(path, document)
    return path


def read_record(package: Path) -> Staging | None:
    """Where a package that was staged here comes from; None: nothing beside it says so.

    Raises:
        UsageError: the record is there and cannot be read.
    """
    path = path_of(package)
    try:
        document = read_document(path)
    except FileNotFoundError:
        return None
    try:
        return msgspec.convert(document.get("source"), Staging)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path} is no record of a package: {error}", code="bad-file") from error
