"""`watchkeeper checkpoint verify`: compare a checkpoint with its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.core.text.figures import size
from watchkeeper.publish import names
from watchkeeper.publish.checks import Check, Status, exit_code, verdict
from watchkeeper.publish.manifest import cache
from watchkeeper.publish.manifest.document import Manifest, read_manifest
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.manifest.verify import verify_manifest
from watchkeeper.show.cli.answering import answer
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options
from watchkeeper.show.cli.trust.shown import (
    CheckEntry,
    HashingProgress,
    echo_checks,
    entries_of,
    problems_of,
)
from watchkeeper.show.text import printable


@click.command("verify")
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Files that the manifest does not list fail.")
@click.option(
    "--manifest",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with this manifest, and not with the one in ROOT.",
)
@click.option(
    "--trust-cache",
    is_flag=True,
    help="Do not hash a file that looks as it did when it was last hashed here.",
)
@page_options
@command_errors
def command(root: Path, strict: bool, file: Path | None, trust_cache: bool, as_json: bool) -> int:
    """Compare the files in a checkpoint's folder ROOT with its CHECKPOINT_MANIFEST.json: sizes,
    then hashes, and whether anything is missing or was added. Every file is hashed; nothing in it
    is run.

    A manifest says what the bytes are, and not whose: take it from somebody that you trust, or
    check the signature.

    Exit code: 0 if every listed file is as listed, also where others lie beside them; 1 if one is
    not; 2 if there is no manifest that can be read.

    Example: watchkeeper checkpoint verify artifacts/epoch_1 --strict
    """
    manifest = _read(root, file)
    known = _known(root, manifest) if trust_cache else {}
    checks = _verify(root, manifest, known, strict=strict)
    result = verdict(checks)
    summary = _summary(manifest, checks, result)
    code = exit_code(result)
    if not as_json:
        echo_checks(root, checks)
        click.echo(printable(f"{summary}."))
        return code
    return answer(
        code,
        summary=summary,
        counts={status: _count(checks, status) for status in ("pass", "fail", "soft_signal")},
        problems=problems_of(root, checks),
        data=VerifyData(
            checks=entries_of(checks),
            verdict=result,
            root=str(root),
            manifest=str(file or root / names.MANIFEST),
            generated_at=manifest.generated_at,
            files=len(manifest.artifacts),
            from_cache=len(known),
        ),
    )


class VerifyData(msgspec.Struct, frozen=True, kw_only=True):
    """The checks and their verdict; which manifest, when it was written by its own word ("" where
    it has none), and how many files it lists. `from_cache`: for how many of them `--trust-cache`
    took an earlier hash.
    """

    checks: list[CheckEntry]
    verdict: Status
    root: str
    manifest: str
    generated_at: str
    files: int
    from_cache: int


ANSWERS = (VerifyData,)


def _read(root: Path, file: Path | None) -> Manifest:
    """The manifest of a checkpoint; `file` None: the one that lies in it.

    Raises:
        UsageError: there is no such folder, or no manifest.
    """
    if not root.is_dir():
        raise UsageError(
            f"{root} is no folder",
            hint="a checkpoint is a folder: name the one that holds the weights",
        )
    try:
        return read_manifest(root, file)
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no {error.filename}",
            hint=f"watchkeeper checkpoint manifest {root} writes one, of the files as they are now",
        ) from error


def _known(root: Path, manifest: Manifest) -> dict[str, FileRecord]:
    """Path → the record of each listed file that was hashed before, and has not changed since."""
    return cache.known_records(root, [record.path for record in manifest.artifacts])


def _verify(
    root: Path, manifest: Manifest, known: Mapping[str, FileRecord], *, strict: bool
) -> list[Check]:
    """The checks of a checkpoint by its manifest. Only files that are not `known` are hashed."""
    unknown = [record for record in manifest.artifacts if record.path not in known]
    progress = HashingProgress(sum(record.size_bytes for record in unknown))
    try:
        return verify_manifest(root, manifest, strict=strict, progress=progress.add, known=known)
    finally:
        progress.end()


def _count(checks: Sequence[Check], status: Status) -> int:
    """How many of the checks have this status."""
    return sum(check.status == status for check in checks)


def _summary(manifest: Manifest, checks: Sequence[Check], result: Status) -> str:
    """In one line whether the files are as the manifest lists them. Files beyond it are counted."""
    if result == "fail":
        return f"The checkpoint is not as its manifest says: {_count(checks, 'fail')} failed"
    size_bytes = sum(record.size_bytes for record in manifest.artifacts)
    listed = f"All {len(manifest.artifacts):,} listed files hold, {size(size_bytes)}"
    extra = _count(checks, "soft_signal")
    if extra:
        return f"{listed}; not listed: {extra:,}"
    return listed
