"""Comparing a checkpoint with its manifest. A size costs nothing to compare, so it comes before the
hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from watchkeeper.publish import names
from watchkeeper.publish.checks import Check
from watchkeeper.publish.manifest.document import Manifest
from watchkeeper.publish.manifest.files import FileRecord, Listed, failure, list_files
from watchkeeper.publish.manifest.hashing import ChangingFileError, Progress, hash_each
from watchkeeper.publish.manifest.safe import UnsafePathError, inside
from watchkeeper.tools.file_formats import printable, short

_UNSEEN = -1
_COPY_AGAIN = "copy the file again from where the checkpoint comes from"


def verify_manifest(
    root: Path,
    manifest: Manifest,
    *,
    strict: bool = False,
    progress: Progress | None = None,
    known: Mapping[str, FileRecord] | None = None,
) -> list[Check]:
    """Compare the files below a root with a manifest: one check for each that is not as listed, and
    one that passes for all that are. Files that the manifest does not list are a soft signal; with
    `strict` they fail. Files in `known` are not read, and taken to have the hashes there.

    Raises:
        UsageError: the root is no folder.
    """
    listed, checks = list_files(root)
    checks += _entries(manifest)
    sizes, unsafe = _sizes_now(root, manifest, listed)
    checks += unsafe
    candidates = {record.path: record for record in manifest.artifacts if record.path in sizes}
    checks += _sizes(candidates, sizes)
    alike = [
        path for path, record in candidates.items() if sizes[path] in (record.size_bytes, _UNSEEN)
    ]
    outcomes = hash_each(root, alike, progress=progress, known=known)
    checks += _hashes(candidates, outcomes)
    checks += _extra(manifest, listed, strict=strict)
    sound = sum(outcomes[path] == candidates[path] for path in alike)
    return [*_pass(manifest, sound), *checks, *_left_out(listed)]


def _entries(manifest: Manifest) -> Iterator[Check]:
    """What is wrong with the list itself."""
    if not manifest.artifacts:
        yield failure("nothing-listed", names.MANIFEST, "the manifest lists no file")
    counts = Counter(record.path for record in manifest.artifacts)
    for path, count in counts.items():
        if count > 1:
            yield failure("listed-twice", path, f"the manifest lists it {count} times")


def _sizes_now(
    root: Path, manifest: Manifest, listed: Listed
) -> tuple[dict[str, int | None], list[Check]]:
    """The size in bytes of each listed file whose path stays inside: None where there is none,
    `_UNSEEN` where it cannot be looked at, which is for the hashing to say. Beside it, the paths
    that do not stay inside.
    """
    sizes: dict[str, int | None] = dict(listed.sizes)
    unsafe = []
    for path in [*(record.path for record in manifest.artifacts), *manifest.skipped_symlinks]:
        if path in sizes:
            continue
        try:
            sizes[path] = _size_of(inside(root, path))
        except UnsafePathError as error:
            unsafe.append(failure("unsafe-path", short(path), str(error)))
    return sizes, unsafe


def _size_of(place: Path) -> int | None:
    """The bytes of a file; None: it is not there. One that cannot be looked at has a size of its
    own, which is compared with nothing.
    """
    try:
        return place.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return _UNSEEN


def _sizes(
    candidates: Mapping[str, FileRecord], sizes: Mapping[str, int | None]
) -> Iterator[Check]:
    """The listed files that are missing, or of another size: they need no hashing."""
    for path, record in candidates.items():
        size = sizes[path]
        if size is None:
            yield failure("missing", path, "it is listed, and is not there", _COPY_AGAIN)
        elif size not in (record.size_bytes, _UNSEEN):
            message = f"it has {size:,} bytes, and the manifest says {record.size_bytes:,}"
            yield failure("size-changed", path, message, _COPY_AGAIN)


def _hashes(
    candidates: Mapping[str, FileRecord], outcomes: Mapping[str, FileRecord | Exception]
) -> Iterator[Check]:
    """The listed files whose hash is another, that were written to meanwhile, or cannot be read."""
    for path, outcome in outcomes.items():
        if isinstance(outcome, ChangingFileError):
            yield failure("changing", path, str(outcome), outcome.hint)
        elif isinstance(outcome, Exception):
            yield failure("unreadable", path, f"it cannot be read: {outcome}")
        elif outcome.sha256 != candidates[path].sha256:
            message = (
                f"its SHA-256 is {outcome.sha256[:12]}…, and the manifest says "
                f"{candidates[path].sha256[:12]}…"
            )
            yield failure("changed", path, message, _COPY_AGAIN)


def _extra(manifest: Manifest, listed: Listed, *, strict: bool) -> Iterator[Check]:
    """The files and links that the manifest does not list."""
    known = {record.path for record in manifest.artifacts} | names.ABOUT_THE_MANIFEST
    links = set(listed.links).difference(manifest.skipped_symlinks)
    for path in sorted(links.union(listed.files).difference(known)):
        kind = "a weights file" if names.is_weights(path) else "it"
        yield Check(
            category="provenance",
            name="extra-file",
            status="fail" if strict else "soft_signal",
            where=printable(path),
            message=f"{kind} is there, and the manifest does not list it",
            hint="remove it, or write the manifest again",
        )


def _pass(manifest: Manifest, sound: int) -> Iterator[Check]:
    """How many files are as listed; nothing where none is."""
    if not sound:
        return
    count = len(manifest.artifacts)
    if sound == count:
        message = f"{sound:,} files are as the manifest lists them"
    else:
        message = f"{sound:,} of {count:,} files are as the manifest lists them"
    yield Check(category="provenance", name="files", status="pass", message=message)


def _left_out(listed: Listed) -> Iterator[Check]:
    """That a folder is no part of the checkpoint: what lies there is vouched for by nothing."""
    for folder in listed.left_out:
        yield Check(
            category="provenance",
            name="left-out",
            status="not_checked",
            where=folder,
            message="the folder is no part of the checkpoint, and was not looked into",
        )
