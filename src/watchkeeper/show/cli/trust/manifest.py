"""`watchkeeper checkpoint manifest`: write down a checkpoint's files, sizes and hashes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.core.text.figures import size
from watchkeeper.publish import names
from watchkeeper.publish.checks import Check
from watchkeeper.publish.documents import refuse_foreign
from watchkeeper.publish.manifest import cache, sums
from watchkeeper.publish.manifest.document import write_manifest
from watchkeeper.publish.manifest.files import FileRecord, Listed, list_files
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.trust.shown import HashingProgress, echo_checks, problems_of
from watchkeeper.show.text import printable


@click.command("manifest")
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--sha256sums",
    "sums_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the hashes also into a new FILE that `sha256sum -c` reads, e.g. ROOT/SHA256SUMS.",
)
@click.option(
    "--no-cache",
    is_flag=True,
    help="Hash every file, also those that look as they did when they were last hashed.",
)
@answer_options
@command_errors
def command(root: Path, sums_file: Path | None, no_cache: bool, as_json: bool) -> int:
    """Write CHECKPOINT_MANIFEST.json into a checkpoint's folder ROOT: each file with its size and
    its SHA-256. The passport, the sign-off and the signatures are not in it: they come after it.

    Nothing is written, and the exit code is 1, if a link leads out of ROOT, a shard is missing, or
    something cannot be read. It is 2 if ROOT is no folder, or holds a manifest that another tool
    wrote.

    Example: watchkeeper checkpoint manifest artifacts/epoch_1
    """
    listed, checks = list_files(root)
    if checks:
        return _refuse(root, checks, as_json=as_json)
    refuse_foreign(root / names.MANIFEST)
    if sums_file is not None:
        sums.refuse_other_sums(root, sums_file)
    records = _hash(root, listed, is_fresh=no_cache)
    if sums_file is not None:
        sums.write_sums(sums_file, records)
    path = write_manifest(root, records, now=datetime.now(UTC), skipped_symlinks=listed.links)
    size_bytes = sum(record.size_bytes for record in records)
    word = "file" if len(records) == 1 else "files"
    summary = f"{path}: {len(records):,} {word}, {size(size_bytes)}"
    if not as_json:
        click.echo(printable(str(path) if is_quiet() else summary))
        return EXIT_OK
    return answer(
        EXIT_OK,
        summary=summary,
        counts={"files": len(records), "bytes": size_bytes, "links": len(listed.links)},
        data=ManifestData(
            root=str(root),
            file=str(path),
            size_bytes=size_bytes,
            skipped_symlinks=list(listed.links),
        ),
    )


def _refuse(root: Path, checks: Sequence[Check], *, as_json: bool) -> int:
    """Say why no manifest was written; EXIT_FAILED."""
    problems = problems_of(root, checks)
    summary = f"No manifest was written: {root} is not as a checkpoint must be"
    if not as_json:
        echo_checks(root, checks)
        click.echo(printable(f"{summary}."))
        return EXIT_FAILED
    return answer(
        EXIT_FAILED,
        summary=summary,
        counts={"errors": len(problems)},
        problems=problems,
        data=ManifestData(root=str(root), file=None, size_bytes=0, skipped_symlinks=[]),
    )


def _hash(root: Path, listed: Listed, *, is_fresh: bool) -> list[FileRecord]:
    """The records of what belongs into a manifest."""
    paths = [path for path in listed.files if path not in names.ABOUT_THE_MANIFEST]
    known = {} if is_fresh else cache.known_records(root, paths)
    progress = HashingProgress(sum(listed.sizes[path] for path in paths if path not in known))
    began_ns = time.time_ns()
    try:
        records = hash_files(root, paths, progress=progress.add, known=known)
    finally:
        progress.end()
    cache.remember(root, records, began_ns)
    return records


class ManifestData(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest that was written, null where none was: the bytes of its files, and the links to
    folders that it names and does not follow.
    """

    root: str
    file: str | None
    size_bytes: int
    skipped_symlinks: list[str]


ANSWERS = (ManifestData,)
