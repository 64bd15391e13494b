"""What an upload would change in a repository, decided before anything is sent. Pure, but for the
hashes of small files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core.disk.files import read_regular
from watchkeeper.publish.hub.messages import Entry, Seen
from watchkeeper.publish.hub.place import Place
from watchkeeper.publish.manifest.files import FileRecord

OF_THE_HUB = frozenset((".gitattributes",))
"""What the Hub itself puts into a new repository."""
BYTES_PER_S = 10 * 10**6
"""What the estimate of the time assumes: ten megabytes in a second."""
MOST_NAMED = 8

State = Literal["new", "there", "other"]


class PlannedFile(msgspec.Struct, frozen=True):
    """One file of the package. `there`: the repository has it; `other`: one of this name with other
    bytes.
    """

    path: str
    size_bytes: int
    sha256: str
    state: State


class UploadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be sent where. `parent` is the commit that is there, "" where the repository is to
    be made; `others` are its files that the package has not. `refusal` is why nothing is sent, ""
    for nothing.
    """

    place: Place
    account: str
    private: bool
    exists: bool
    parent: str
    files: tuple[PlannedFile, ...]
    others: tuple[str, ...]
    create_pr: bool
    refusal: str = ""
    hint: str = ""

    @property
    def unsent(self) -> tuple[PlannedFile, ...]:
        """The files that the repository does not have yet."""
        return tuple(one for one in self.files if one.state != "there")

    @property
    def unsent_bytes(self) -> int:
        """Their bytes."""
        return sum(one.size_bytes for one in self.unsent)

    @property
    def estimate_s(self) -> float:
        """How many seconds it takes at `BYTES_PER_S`."""
        return self.unsent_bytes / BYTES_PER_S


def plan_upload(
    place: Place,
    root: Path,
    records: Sequence[FileRecord],
    seen: Seen,
    *,
    private: bool,
    create_pr: bool,
) -> UploadPlan:
    """Compare a package with what the repository holds. `private`: it was asked for a private one.
    `create_pr`: the package is to be proposed, and changes no branch.

    `root` is the package's folder, `records` its files as they were hashed, `seen` the repository
    as the Hub listed it. Whether it may be sent is in the plan's `refusal`.
    """
    listed = {entry.path: entry for entry in seen.entries if entry.kind != "directory"}
    files = tuple(_planned(root, record, listed.get(record.path)) for record in records)
    own = {record.path for record in records} | OF_THE_HUB
    others = tuple(sorted(path for path in listed if path not in own))
    plan = UploadPlan(
        place=place,
        account=seen.account,
        private=seen.private if seen.exists else private,
        exists=seen.exists,
        parent=seen.commit,
        files=files,
        others=others,
        create_pr=create_pr,
    )
    refusal, hint = _refusal(plan, wants_private=private)
    return msgspec.structs.replace(plan, refusal=refusal, hint=hint)


def _planned(root: Path, record: FileRecord, entry: Entry | None) -> PlannedFile:
    """A file of the package, compared with the repository's of that name. None: it has none."""
    state: State = "new"
    if entry is not None:
        state = "there" if is_same(root, record, entry) else "other"
    return PlannedFile(record.path, record.size_bytes, record.sha256, state)


def is_same(root: Path, record: FileRecord, entry: Entry) -> bool:
    """Whether the Hub's entry is this file, by its size and its hash.

    Large files have their SHA-256 there; of small ones Git's own hash is listed, which is a SHA-1
    over `blob SIZE`, a zero byte and the content.

    Raises:
        OSError: the file cannot be read.
    """
    if entry.kind != "file" or entry.size_bytes != record.size_bytes:
        return False
    if entry.sha256:
        return entry.sha256 == record.sha256
    # The Hub keeps files without a SHA-256 up to 10 MB.
    data = read_regular(root / record.path, record.size_bytes)
    return entry.oid == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _refusal(plan: UploadPlan, *, wants_private: bool) -> tuple[str, str]:
    """Why nothing is sent, and what to do; ("", ""): it may be.

    Files of the repository that the package would change or does not know are somebody's: they are
    changed by a proposal alone.
    """
    if plan.create_pr and not plan.exists:
        return "there is nothing yet that --create-pr could propose a change to", "leave it out"
    if plan.exists and wants_private and not plan.private:
        return (
            "the repository is public, and --private was given",
            f"make it private at {plan.place.page}/settings, or leave --private out",
        )
    if plan.create_pr or not plan.unsent:
        return "", ""
    clashing = [one.path for one in plan.files if one.state == "other"]
    theirs = sorted({*clashing, *plan.others})
    if not theirs:
        return "", ""
    return (
        f"the repository has other files: {_named(theirs)}",
        "pass --create-pr to propose the package there, or take another --repo",
    )


def _named(paths: Sequence[str]) -> str:
    """Up to eight paths, and how many more there are: `a.txt, b.txt and 7 more`."""
    shown = ", ".join(paths[:MOST_NAMED])
    rest = len(paths) - MOST_NAMED
    if rest <= 0:
        return shown
    return f"{shown} and {rest:,} more"


def missing(root: Path, records: Sequence[FileRecord], seen: Seen) -> list[str]:
    """The files of a package that a commit does not list as they are; []: it has them all.

    Raises:
        OSError: a file of the package cannot be read.
    """
    listed = {entry.path: entry for entry in seen.entries}
    paths: list[str] = []
    for record in records:
        entry = listed.get(record.path)
        if entry is None or not is_same(root, record, entry):
            paths.append(record.path)
    return paths
