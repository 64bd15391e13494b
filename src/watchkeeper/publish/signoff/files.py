"""The files that a sign-off names, held against what lies on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from watchkeeper.publish import names
from watchkeeper.publish.checks import Check
from watchkeeper.publish.documents import MOST_DOCUMENT_BYTES
from watchkeeper.publish.manifest.files import FileRecord, list_files
from watchkeeper.publish.manifest.safe import UnsafePathError, inside
from watchkeeper.publish.signoff.claims import SIGN, check
from watchkeeper.publish.signoff.document import Signoff

Records = Mapping[str, FileRecord]
"""Path → size and hash of the file as it lies on the disk."""

_BESIDE = (names.README, names.TRAINING_LOG, names.MANIFEST)
_SHORT = frozenset([names.PASSPORT, names.MANIFEST])
_NEW = "if it belongs here, write the passport again, then sign"


def weights_in(root: Path) -> list[str]:
    """The weight files below a checkpoint's folder, in order.

    Raises:
        UsageError: the root is no folder.
    """
    listed, _ = list_files(root)
    return [path for path in listed.files if names.is_weights(path)]


def bytes_to_hash(root: Path) -> int:
    """How many bytes of weights and documents a checkpoint has.

    Raises:
        UsageError: the root is no folder.
    """
    listed, _ = list_files(root)
    return sum(
        size_bytes
        for path, size_bytes in listed.sizes.items()
        if names.is_weights(path) or names.is_document(path)
    )


def to_sign(root: Path, weights: Iterable[str]) -> list[str]:
    """The paths that a sign-off names: the passport, the weights, and the documents that are there
    beside them.
    """
    beside = [name for name in _BESIDE if (root / name).is_file()]
    return [names.PASSPORT, *weights, *beside]


def readable_paths(root: Path, signoff: Signoff) -> tuple[list[str], list[Check]]:
    """The paths of a sign-off that lie inside the root and are there, and what is wrong with the
    others.
    """
    paths: list[str] = []
    faults: list[Check] = []
    for path in dict.fromkeys(file.path for file in signoff.artifacts):
        fault = _fault_of(root, path)
        if fault is None:
            paths.append(path)
        else:
            faults.append(fault)
    return paths, faults


def check_sizes(root: Path, paths: Iterable[str]) -> list[Check]:
    """What is wrong with the sizes of documents among some files: one that is too large to be read
    is not hashed either.
    """
    faults: list[Check] = []
    for path in paths:
        if path not in _SHORT:
            continue
        size_bytes = (root / path).stat().st_size
        if size_bytes > MOST_DOCUMENT_BYTES:
            message = (
                f"it has {size_bytes:,} bytes and was not hashed: a document of a checkpoint has "
                f"at most {MOST_DOCUMENT_BYTES:,}"
            )
            faults.append(check("too-large", "fail", message, path, "do not use this checkpoint"))
    return faults


def _fault_of(root: Path, path: str) -> Check | None:
    try:
        place = inside(root, path)
    except UnsafePathError as error:
        message = f"the sign-off names a file outside the checkpoint: {error}"
        return check("signoff-path", "fail", message, path, "do not use this sign-off")
    if not place.is_file():
        message = "the sign-off names this file, and it is not there"
        return check("signoff-file", "fail", message, path, "get the whole checkpoint again")
    return None


def parted(outcomes: Mapping[str, FileRecord | Exception]) -> tuple[Records, list[Check]]:
    """The records of the files that could be hashed, and what is wrong with the others."""
    records = {path: one for path, one in outcomes.items() if isinstance(one, FileRecord)}
    faults = [
        check("unreadable", "fail", f"it could not be hashed: {one}", path)
        for path, one in outcomes.items()
        if isinstance(one, Exception)
    ]
    return records, faults


def check_hashes(signoff: Signoff, records: Records) -> Iterator[Check]:
    """Compare the signed hashes with those on the disk. A file without a record is passed over:
    `readable_paths` says why there is none.
    """
    compared = changed = 0
    for file in signoff.artifacts:
        record = records.get(file.path)
        if record is None:
            continue
        compared += 1
        if record.sha256 == file.sha256.lower():
            continue
        changed += 1
        message = (
            f"its sha256 is {record.sha256}, and the sign-off has {file.sha256[:64]}: "
            "it was changed after it was signed, or the sign-off is another's"
        )
        yield check("signoff-hash", "fail", message, file.path, "get it again, or sign anew")
    if compared and not changed:
        yield check("signoff-hash", "pass", f"{compared} signed files have the signed sha256")


def check_cover(root: Path, signoff: Signoff, weights: Iterable[str]) -> Iterator[Check]:
    """Whether the sign-off covers every weight file; of other documents it is only said."""
    signed = {file.path for file in signoff.artifacts}
    for path in weights:
        if path not in signed:
            message = "a weight file that the sign-off does not name"
            yield check("signoff-unlisted", "fail", message, path, _NEW)
    for name in _BESIDE:
        if name not in signed and (root / name).is_file():
            message = "it was not there when the checkpoint was signed: nobody vouches for it"
            yield check("signoff-unlisted", "not_checked", message, name, SIGN)
