"""A checkpoint validated as a whole: its passport, its sign-off, and the files that both name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.publish import names
from watchkeeper.publish.checks import Check, Status, verdict
from watchkeeper.publish.documents import DocumentError, read_document
from watchkeeper.publish.manifest.hashing import Progress, hash_each
from watchkeeper.publish.passport.checks import check_passport
from watchkeeper.publish.signing.signers import Signers
from watchkeeper.publish.signoff import claims, files
from watchkeeper.publish.signoff.document import Signoff, read_signoff
from watchkeeper.publish.signoff.passport import generated_at
from watchkeeper.publish.signoff.signatures import check_signatures

NO_PASSPORT: Mapping[str, Any] = {}


class Papers(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a checkpoint's folder before any file is hashed. `passport` is empty and
    `signoff` None where there is none, or it cannot be read; `faults` is what is wrong with the
    sign-off's document, and `paths` are the files to hash.
    """

    passport: Mapping[str, Any]
    signoff: Signoff | None
    faults: list[Check]
    weights: list[str]
    paths: list[str]


def validate(
    root: Path,
    *,
    require_signoff: bool = False,
    signers: Signers | None = None,
    clock: Clock = utc_now,
    progress: Progress | None = None,
) -> list[Check]:
    """Every check of a checkpoint. Each file that its documents name, and each weight file that is
    there, is hashed anew. `signers` are those whose signatures count, and then a signature of
    theirs is required; None: whoever signed, it proves nothing.

    Raises:
        UsageError: the root is no folder.
        OSError: the root cannot be looked at.
    """
    checks, _ = validate_with_signoff(
        root, require_signoff=require_signoff, signers=signers, clock=clock, progress=progress
    )
    return checks


def validate_with_signoff(
    root: Path,
    *,
    require_signoff: bool = False,
    signers: Signers | None = None,
    clock: Clock = utc_now,
    progress: Progress | None = None,
) -> tuple[list[Check], Signoff | None]:
    """As `validate`, with the sign-off; None: there is none that can be read."""
    papers = read_papers(root, require_signoff=require_signoff)
    records, faults = files.parted(hash_each(root, papers.paths, progress=progress))
    checks = [*judge(root, papers, records, now=clock()), *faults]
    checks += check_signatures(root, papers.signoff, records, signers)
    return checks, papers.signoff


def read_papers(root: Path, *, require_signoff: bool = False) -> Papers:
    """Read the documents of a checkpoint, and list what there is to hash.

    Raises:
        UsageError: the root is no folder.
    """
    weights = files.weights_in(root)
    passport = read_passport(root)
    signoff, faults = _read_signoff(root, required=require_signoff)
    paths = [*files.to_sign(root, weights)]
    if signoff is not None:  # else nothing is compared with its hash, and it may have any size
        readable, unreadable = files.readable_paths(root, signoff)
        paths += [names.SIGNOFF, *readable]
        faults += unreadable
    there = [path for path in dict.fromkeys(paths) if (root / path).is_file()]
    too_large = files.check_sizes(root, there)
    refused = {fault.where for fault in too_large}
    return Papers(
        passport=passport,
        signoff=signoff,
        faults=[*faults, *too_large],
        weights=weights,
        paths=[path for path in there if path not in refused],
    )


def read_passport(root: Path) -> Mapping[str, Any]:
    """The passport of a checkpoint; empty where there is none that can be read, which the checks of
    the passport report.
    """
    try:
        return read_document(root / names.PASSPORT)
    except (DocumentError, OSError):
        return NO_PASSPORT


def _read_signoff(root: Path, *, required: bool) -> tuple[Signoff | None, list[Check]]:
    try:
        signoff = read_signoff(root)
    except (UsageError, OSError) as error:
        return None, [
            claims.check("signoff-present", "fail", str(error), names.SIGNOFF, claims.SIGN)
        ]
    if signoff is None:
        return None, [claims.missing(required=required)]
    return signoff, []


def judge(root: Path, papers: Papers, records: files.Records, *, now: datetime) -> list[Check]:
    """Every check of a checkpoint whose files have these records."""
    checks = check_passport(root, records=records, now=now)
    signed = papers.signoff
    if signed is None:
        return [*checks, *papers.faults]
    return [
        *checks,
        *papers.faults,
        *claims.check_claims(
            signed, vouched=verdict(checks), generated=generated_at(papers.passport), now=now
        ),
        *files.check_hashes(signed, records),
        *files.check_cover(root, signed, papers.weights),
    ]


def worst(checks: list[Check], status: Status) -> list[Check]:
    """The checks that have this status."""
    return [check for check in checks if check.status == status]
