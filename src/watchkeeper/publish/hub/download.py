"""Fetching a package into a new folder: listed first, fetched beside its place, verified, and only
then named.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core.errors import StorageError, UsageError
from watchkeeper.core.text.figures import size
from watchkeeper.publish.checks import Check, verdict
from watchkeeper.publish.documents import MOST_DOCUMENT_BYTES
from watchkeeper.publish.hub.client import Ask, HubError
from watchkeeper.publish.hub.messages import Entry, Fetch, Look, Seen
from watchkeeper.publish.hub.place import Place
from watchkeeper.publish.hub.plan import OF_THE_HUB
from watchkeeper.publish.manifest.safe import fault_of
from watchkeeper.tools.file_formats import printable

Verify = Callable[[Path], list[Check]]
"""Checks a package in a folder."""
# What is read as a whole when the package is verified.
_READ_WHOLE = frozenset((".json", ".jsonl", ".md", ".yaml", ".yml"))


class Listed(msgspec.Struct, frozen=True):
    """What a commit holds that would be fetched."""

    place: Place
    commit: str
    entries: tuple[Entry, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of all files."""
        return sum(entry.size_bytes for entry in self.entries)


class UnverifiedError(StorageError):
    """A package was fetched, and is not what its sign-off says; it was removed."""

    code = "unverified"

    def __init__(self, message: str, checks: Sequence[Check], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.checks = tuple(checks)


def list_package(ask: Ask, place: Place, revision: str) -> Listed:
    """What the repository holds at a revision.

    Raises:
        HubError: the Hub does not list it, or lists what no package holds: a path that leads out of
            the folder, a link, a document that is too large to be read.
    """
    seen = ask(Look(place.repo, revision=revision))
    assert isinstance(seen, Seen)
    entries = [entry for entry in seen.entries if entry.kind != "directory"]
    entries = [entry for entry in entries if entry.path not in OF_THE_HUB]
    for fault in _faults(entries):
        raise HubError(
            f"{place.repo}: {fault}; nothing was fetched",
            "bad-answer",
            hint="it is no package that `watchkeeper publish upload` made: do not use it",
        )
    return Listed(place, seen.commit, tuple(entries))


def _faults(entries: Sequence[Entry]) -> Iterable[str]:
    """What is wrong with a list of files."""
    if not entries:
        yield "the repository is empty"
    names: set[str] = set()
    for entry in entries:
        shown = repr(printable(entry.path)[:80])
        why = _fault_of(entry)
        if entry.path in names:
            why = "is listed twice"
        names.add(entry.path)
        if why:
            yield f"the path {shown} {why}"
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    for path in sorted(names & folders):
        yield f"{printable(path)!r} is a file and a folder"


def _fault_of(entry: Entry) -> str:
    """Why a file that the Hub lists is not fetched; "": it is. The words follow its name.

    A document larger than one may be is not fetched to find out that it is.
    """
    if entry.kind != "file":
        return f"is no file: the Hub calls it {printable(entry.kind)[:20]!r}"
    if not entry.path.isprintable():
        return "holds control characters"
    if entry.size_bytes < 0:
        return "has a size below 0"
    is_read = PurePosixPath(entry.path).suffix in _READ_WHOLE
    if is_read and entry.size_bytes > MOST_DOCUMENT_BYTES:
        return f"has {size(entry.size_bytes)}: a document has at most {size(MOST_DOCUMENT_BYTES)}"
    return fault_of(entry.path)


def part_of(target: Path, commit: str) -> Path:
    """The folder beside the target in which a commit is fetched."""
    return target.parent / f".{target.name}.part-{commit[:12]}"


def require_free(target: Path, listed: Listed) -> None:
    """Refuse a target that is there, or a disk that is too small.

    Raises:
        UsageError: something has the name already, or its folder is not there.
        StorageError: the files need more than is free.
    """
    if os.path.lexists(target):
        raise UsageError(
            f"{target} is there already, and is kept", hint="give another folder with -o"
        )
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", hint="make it first")
    free_bytes = shutil.disk_usage(target.parent).free
    part = part_of(target, listed.commit)
    had_bytes = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    if listed.size_bytes - had_bytes > free_bytes:
        raise StorageError(
            f"{target.parent} has {size(free_bytes)} free, and {listed.place.repo} needs "
            f"{size(listed.size_bytes)}; nothing was fetched",
            hint="give a folder on a larger disk with -o",
        )


def fetch(ask: Ask, listed: Listed, target: Path, verify: Verify) -> list[Check]:
    """Fetch a listed package, verify it, and give it its name. What a broken connection left is
    kept beside the target, and used by the next try.

    Raises:
        UnverifiedError: a check failed; what was fetched is removed.
        HubError, HubDoubtError: not all of it came.
        UsageError, StorageError: as `require_free`.
    """
    require_free(target, listed)
    part = part_of(target, listed.commit)
    if part.is_symlink():
        raise UsageError(f"{part} is a link", hint="remove it")
    part.mkdir(exist_ok=True)
    ask(
        Fetch(
            repo=listed.place.repo,
            commit=listed.commit,
            folder=str(part.resolve()),
            entries=listed.entries,
        )
    )
    try:
        checks = verify(part)
        if verdict(checks) not in ("pass", "soft_signal"):
            raise _unverified(listed, checks)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    _name(part, target)
    return checks


def _unverified(listed: Listed, checks: Sequence[Check]) -> UnverifiedError:
    """The error that a package is not what was signed, with the first check that failed."""
    failed = [check for check in checks if check.status == "fail"]
    first = "nothing could be checked"
    if failed:
        first = f"{failed[0].where or 'the package'}: {failed[0].message}"
    return UnverifiedError(
        f"{listed.place.repo} is not what was signed: {first}; what was fetched is removed",
        checks,
        hint=f"ask whoever published {listed.place.page}, and do not use it",
    )


def _name(part: Path, target: Path) -> None:
    """Give a folder its name, if nothing has it: an empty folder that was just made is replaced."""
    try:
        target.mkdir()
    except FileExistsError:
        raise UsageError(
            f"{target} came to be meanwhile, and is kept; the package lies in {part}",
            hint="move one of them",
        ) from None
    part.rename(target)
