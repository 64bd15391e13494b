"""A package checked as a whole, by its publisher before it leaves and by whoever received it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from watchkeeper.core.code import git
from watchkeeper.core.disk.files import lines_of, open_regular, read_most
from watchkeeper.core.errors import UsageError
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.publish import names
from watchkeeper.publish.chain.bundle import events_of, verify_bundle
from watchkeeper.publish.chain.heads import Head, from_document
from watchkeeper.publish.checks import Check, of_provenance
from watchkeeper.publish.documents import MOST_DOCUMENT_BYTES
from watchkeeper.publish.manifest.document import read_manifest
from watchkeeper.publish.manifest.files import FileRecord, Listed, list_files
from watchkeeper.publish.manifest.hashing import Progress, hash_each
from watchkeeper.publish.manifest.verify import verify_manifest
from watchkeeper.publish.package import layout
from watchkeeper.publish.package.pages import hub
from watchkeeper.publish.package.passport import commits_of
from watchkeeper.publish.package.scan import scan
from watchkeeper.publish.passport.document import get
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.signing.signers import Signers
from watchkeeper.publish.signoff import files as signed_files
from watchkeeper.publish.signoff.signatures import check_signatures
from watchkeeper.publish.signoff.validate import judge, read_papers

STAGE = "watchkeeper publish stage"
_FRONT_MATTER = re.compile(rb"\A---\n.*?\n---\n", re.DOTALL)
_TEXTS = (names.README, names.TRAINING_LOG)
_BLANK_BYTES = 2**20
_NO_RECORDS: Mapping[str, FileRecord] = {}


def check_package(
    root: Path,
    *,
    signers: Signers | None = None,
    known: Known | None = None,
    records: Mapping[str, FileRecord] = _NO_RECORDS,
    clock: Clock = utc_now,
    progress: Progress | None = None,
) -> list[Check]:
    """Every check of the package in `root`: what is missing, blank, unsigned, changed, private, or
    not where it belongs. Every file is hashed but those in `records`, which were hashed just now.
    `signers` are those whose signatures count, and then one of theirs is required. `known` are
    private values that must not be in it, beside what looks private; None: none are known.

    Raises:
        UsageError: the root is no folder.
    """
    listed, _ = list_files(root)
    shape = [*_missing(root, listed), *_places(listed), *_links(root)]
    outcomes = hash_each(root, listed.files, known=_of(records, listed), progress=progress)
    hashed, unread = signed_files.parted(outcomes)
    papers = read_papers(root, require_signoff=True)
    private = known or Known()
    private.commits |= _commits(root, papers.passport)
    return [
        *shape,
        *unread,
        *_manifest(root, hashed),
        *judge(root, papers, hashed, now=clock()),
        *check_signatures(root, papers.signoff, hashed, signers),
        *_events(root, papers.passport),
        *_metadata(root),
        *scan(
            root,
            listed.files,
            private,
            keep_links=_public_links(papers.passport),
        ),
    ]


def bytes_to_hash(root: Path) -> int:
    """How many bytes a check of the package reads.

    Raises:
        UsageError: the root is no folder.
    """
    return list_files(root)[0].size_bytes


def _of(records: Mapping[str, FileRecord], listed: Listed) -> dict[str, FileRecord]:
    """Those of the records that are of files in the package: none of another checkpoint counts."""
    return {path: records[path] for path in listed.files if path in records}


# ── what is there


def _missing(root: Path, listed: Listed) -> Iterator[Check]:
    """What every package holds and this one lacks, or holds blank. One check that passes where all
    of it is there, blank or not.
    """
    lacking = 0
    for path in layout.REQUIRED:
        if path not in listed.sizes:
            lacking += 1
            yield of_provenance("fail", "package-missing", "it is not in the package", path, STAGE)
        elif not listed.sizes[path]:
            yield of_provenance("fail", "package-blank", "it is empty", path, STAGE)
        elif path in _TEXTS and _is_blank(root / path):
            yield of_provenance("fail", "package-blank", "it is blank", path, STAGE)
    if not lacking:
        count = len(layout.REQUIRED)
        yield of_provenance(
            "pass", "package-missing", f"the {count} documents of a package are there"
        )


def _is_blank(place: Path) -> bool:
    """Whether a text has no word beside its metadata and its headings."""
    try:
        with open_regular(place) as file:
            data = read_most(file, _BLANK_BYTES)
    except OSError:
        return True
    body = _FRONT_MATTER.sub(b"", data)
    lines = (line.strip() for line in body.splitlines())
    return not any(line and not line.startswith(b"#") for line in lines)


def _places(listed: Listed) -> Iterator[Check]:
    """Whether weights are there, and nothing of the trainer's lies among them.

    Weights lie in `checkpoints/STEP/params` or `…/adapter`, and what a trainer keeps in
    `…/trainer`, where somebody asked for it.
    """
    weights = [path for path in listed.files if names.is_weights(path)]
    kinds = {path: _kind_of(path) for path in listed.files}
    if not any(kinds[path] in (layout.PARAMS, layout.ADAPTER) for path in weights):
        message = "no weights lie in checkpoints/STEP/params"
        yield of_provenance("fail", "package-weights", message, layout.CHECKPOINTS, STAGE)
    for path in weights:
        if not kinds[path]:
            message = "weights lie outside of checkpoints/STEP"
            yield of_provenance("fail", "package-place", message, path, STAGE)
    for path, kind in kinds.items():
        if kind != layout.TRAINER and layout.is_of_trainer(path):
            message = "it is the trainer's own state, which nobody asked for"
            yield of_provenance("fail", "package-trainer", message, path, f"{STAGE} leaves it out")


def _kind_of(path: str) -> str:
    """`params` of a path below `checkpoints/STEP/params`; "" elsewhere."""
    parts = PurePosixPath(path).parts
    if len(parts) < 4 or parts[0] != layout.CHECKPOINTS:
        return ""
    kind = parts[2]
    if kind not in (layout.PARAMS, layout.ADAPTER, layout.TRAINER):
        return ""
    return kind


def _links(root: Path) -> Iterator[Check]:
    """Links of any kind: a package holds files, since a copy of a link is another file."""
    for folder, folders, entries in os.walk(root):
        for name in sorted((*folders, *entries)):
            place = Path(folder, name)
            if place.is_symlink():
                where = str(place.relative_to(root))
                message = "it is a link, and a package holds files alone"
                yield of_provenance(
                    "fail", "package-link", message, where, "put the file in its place"
                )


# ── what vouches for it


def _manifest(root: Path, hashed: Mapping[str, FileRecord]) -> list[Check]:
    """Whether the files are those of the manifest. Without one there is nothing to compare: that it
    is missing is found where the shape is checked.
    """
    try:
        manifest = read_manifest(root)
    except FileNotFoundError:
        return []
    except (UsageError, OSError) as error:
        return [of_provenance("fail", "manifest-unreadable", str(error), names.MANIFEST, STAGE)]
    return verify_manifest(root, manifest, strict=True, known=hashed)


def _events(root: Path, passport: Mapping[str, Any]) -> list[Check]:
    """Whether the events are those of the chain that the passport states."""
    try:
        heads = _heads(passport)
        with open_regular(root / layout.EVENTS) as file:
            checks = verify_bundle(lines_of(file), heads)
    except FileNotFoundError:
        return []
    except (UsageError, OSError) as error:
        return [of_provenance("fail", "events-unreadable", str(error), layout.EVENTS, STAGE)]
    if not heads:
        message = "the passport states no journal, so that the events prove nothing"
        checks.append(of_provenance("fail", "journal-not-named", message, names.PASSPORT, STAGE))
    return checks


def _heads(passport: Mapping[str, Any]) -> Sequence[Head]:
    """The heads of the journals that the passport states; [] for none.

    Raises:
        UsageError: what it states are no heads.
    """
    stated = get(passport, "provenance.journal_chain")
    if not stated:
        return []
    return from_document(stated)


def _metadata(root: Path) -> Iterator[Check]:
    """Whether the Hub can read the card's metadata."""
    try:
        with open_regular(root / names.README) as file:
            card = read_most(file, MOST_DOCUMENT_BYTES).decode("utf-8", "replace")
        hub.require_hub()
    except OSError:
        return
    except UsageError as error:
        yield of_provenance("not_checked", "card-metadata", str(error), names.README, error.hint)
        return
    fault = hub.fault_of_metadata(card)
    if fault:
        yield of_provenance("fail", "card-metadata", fault, names.README, STAGE)
    else:
        yield of_provenance("pass", "card-metadata", "the Hub can read its metadata", names.README)


def _commits(root: Path, passport: Mapping[str, Any]) -> set[str]:
    """The commits that the passport and the events name."""
    named = commits_of(passport)
    # What is wrong with the events is found where they are verified.
    with contextlib.suppress(UsageError, OSError, RecursionError, AttributeError):
        named |= _commits_in(root / layout.EVENTS)
    return named


def _commits_in(events: Path) -> set[str]:
    """The commits that the events of a bundle name where all can read them."""
    commits: set[str] = set()
    with open_regular(events) as file:
        for event in events_of(lines_of(file)):
            commit = event.get("git_sha") if event else None
            if isinstance(commit, str) and git.is_sha(commit):
                commits.add(commit)
    return commits


def _public_links(passport: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses that the publisher said to be public."""
    links = get(passport, "provenance.public_links")
    if not isinstance(links, list):
        return ()
    return tuple(link for link in links if isinstance(link, str))
