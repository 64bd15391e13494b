"""Signing a checkpoint: validate, refuse what fails, hash, write, and validate again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.core.criteria import Standing
from watchkeeper.core.errors import UsageError, WatchkeeperError
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.publish import names
from watchkeeper.publish.checks import Check, Status, verdict
from watchkeeper.publish.documents import refuse_foreign, write_document
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.manifest.hashing import Progress, hash_files
from watchkeeper.publish.passport.checks import check_passport
from watchkeeper.publish.signing.keys import Key, refuse_inside
from watchkeeper.publish.signing.model import refuse_foreign_signature
from watchkeeper.publish.signoff import claims, document, files
from watchkeeper.publish.signoff.document import OwnFields, SignedFile, Signoff, StatedCriterion
from watchkeeper.publish.signoff.passport import generated_at
from watchkeeper.publish.signoff.signatures import Vouch, add_signatures
from watchkeeper.publish.signoff.validate import Papers, judge, read_papers, worst

_MOST_REASON_CHARACTERS = 2000
_NO_RECORDS: Mapping[str, FileRecord] = {}
Stamp = tuple[int, int, int]
"""A file's size in bytes, its time of modification in nanoseconds, and its inode."""


class NotSignedError(WatchkeeperError):
    """A checkpoint was not signed; `checks` are those that stand against it."""

    code = "not-signed"

    def __init__(self, message: str, checks: Iterable[Check] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.checks = tuple(checks)


class NoReasonError(UsageError):
    """A checkpoint with soft signals was to be signed without a reason."""

    code = "no-reason"

    def __init__(self, message: str, checks: Iterable[Check] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.checks = tuple(checks)


def sign(
    root: Path,
    *,
    reason: str = "",
    tool: str = document.TOOL,
    key: Key | None = None,
    known: Mapping[str, FileRecord] = _NO_RECORDS,
    expected: Iterable[Standing] = (),
    clock: Clock = utc_now,
    progress: Progress | None = None,
) -> Signoff:
    """Write the sign-off of a checkpoint, and return it. `known` are records of files that are as
    they were when they were hashed; all others are hashed here. `key` signs the sign-off and the
    files; None: it is attribution alone. `expected` are the criteria on the evaluations of this
    checkpoint, which the sign-off repeats.

    Raises:
        NotSignedError: a check fails, nothing was checked, a file changed meanwhile, or the clock
            is behind the passport. What was there before is as it was, or removed where it was
            ours and is no longer true.
        NoReasonError: there are soft signals, and no reason is given.
        UsageError: the root is no folder, the reason is not one line, a SIGNOFF.json is there that
            this program did not write, or the key lies in the root.
        StorageError, OSError: a file could not be read or written.
    """
    check_reason(reason)
    if key is None:
        _refuse_beside_signatures(root)
    else:
        refuse_inside(key.path, root)
        refuse_foreign(root / names.SIGNOFF_SIGNATURE)
        refuse_foreign_signature(root / names.MODEL_SIGNATURE, key)
    refuse_foreign(root / names.SIGNOFF)
    now = clock()
    papers = read_papers(root)
    paths = [path for path in papers.paths if path in files.to_sign(root, papers.weights)]
    stamps = {path: stamp_of(root / path) for path in paths}
    hashed = hash_files(root, paths, known=known, progress=progress)
    records = {record.path: record for record in hashed}
    checks = check_passport(root, records=records, now=now)
    signoff = _draw_up(papers, checks, records, reason=reason, tool=tool, now=now)
    signoff = msgspec.structs.replace(signoff, watchkeeper=_own_fields(expected))
    write_document(root / names.SIGNOFF, document.write_out(signoff))
    _validate_again(root, stamps, records, now)
    if key is not None:
        vouch = Vouch(signoff=signoff, checks=checks, passport=papers.passport, records=records)
        add_signatures(root, vouch, key)
    return signoff


def _own_fields(expected: Iterable[Standing]) -> OwnFields | None:
    criteria = tuple(map(StatedCriterion.of, expected))
    if not criteria:
        return None
    return OwnFields(criteria=criteria)


def _refuse_beside_signatures(root: Path) -> None:
    """Refuse a sign-off without a key where signatures lie: they are of another sign-off.

    Raises:
        NotSignedError: some lie there.
    """
    for name in (names.SIGNOFF_SIGNATURE, names.MODEL_SIGNATURE):
        if (root / name).exists():
            raise NotSignedError(
                f"not signed: the signature in {name} would no longer hold",
                hint=f"sign with --key FILE, or move {name} away",
            )


def check_reason(reason: str) -> None:
    """Refuse a reason that is not one line of text.

    Raises:
        UsageError: it is not.
    """
    if reason and (not reason.strip() or not reason.isprintable()):
        raise UsageError("--reason must be one line of text")
    if len(reason) > _MOST_REASON_CHARACTERS:
        raise UsageError(f"--reason has more than {_MOST_REASON_CHARACTERS} characters")


def stamp_of(path: Path) -> Stamp:
    """What shows that a file was changed, without reading it.

    Raises:
        OSError: there is none.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _draw_up(
    papers: Papers,
    checks: list[Check],
    records: files.Records,
    *,
    reason: str,
    tool: str,
    now: datetime,
) -> Signoff:
    """The sign-off for what was read, checked and hashed."""
    late = claims.check_clock(now, generated_at(papers.passport))
    if late is not None:
        checks.append(late)
    status = _signable(checks, reason)
    return Signoff(
        schema_version=document.SCHEMA_VERSION,
        signed_at=now.replace(microsecond=0),
        signed_by=document.signer(tool),
        artifacts=tuple(SignedFile(record.path, record.sha256) for record in records.values()),
        verdict=status,
        verdict_reason=reason.strip() or None,
    )


def _signable(checks: list[Check], reason: str) -> Status:
    """The verdict to sign.

    Raises:
        NotSignedError, NoReasonError: none can be signed.
    """
    status = verdict(checks)
    if status == "fail":
        failures = worst(checks, "fail")
        message = f"not signed: {_counted(failures, 'check')} failed: {_first(failures)}"
        raise NotSignedError(message, failures, hint=failures[0].hint)
    if status == "not_checked":
        raise NotSignedError("not signed: nothing about this checkpoint could be checked", checks)
    if status == "soft_signal" and not reason:
        signals = worst(checks, "soft_signal")
        message = f"not signed: {_counted(signals, 'soft signal')}: {_first(signals)}"
        hint = "say why it is good all the same: --reason TEXT"
        raise NoReasonError(message, signals, hint=hint)
    return status


def _counted(checks: list[Check], noun: str) -> str:
    return f"1 {noun}" if len(checks) == 1 else f"{len(checks)} {noun}s"


def _first(checks: list[Check]) -> str:
    where = f"{checks[0].where}: " if checks[0].where else ""
    return f"{where}{checks[0].message}"


def _validate_again(
    root: Path, stamps: Mapping[str, Stamp], records: files.Records, now: datetime
) -> None:
    """Read back what was written, and hold it against the disk.

    Raises:
        NotSignedError: it does not hold; the sign-off is removed.
    """
    changed = [path for path, stamp in stamps.items() if _changed(root / path, stamp)]
    faults = worst(judge(root, read_papers(root, require_signoff=True), records, now=now), "fail")
    if not changed and not faults:
        return
    (root / names.SIGNOFF).unlink(missing_ok=True)
    if changed:
        raise NotSignedError(
            f"not signed: {changed[0]} changed while it was hashed",
            hint="wait until nothing writes into the checkpoint, then sign it again",
        )
    raise NotSignedError(f"not signed: {_first(faults)}", faults)


def _changed(path: Path, stamp: Stamp) -> bool:
    try:
        return stamp_of(path) != stamp
    except OSError:
        return True
