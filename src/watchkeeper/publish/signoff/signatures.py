"""Signatures on a sign-off: the files by model_signing, and what was said of them as DSSE
statements, both by the signer's own key.

Three statements lie in SIGNOFF.sig.json: how the weights were made (SLSA provenance), what was
checked (a test result), and the sign-off itself (a simple verification result). Each names the
passport, the weights and SIGNOFF.json by their hashes, so that none can be moved beside others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.publish import names
from watchkeeper.publish.checks import Check
from watchkeeper.publish.documents import (
    GENERATED_BY,
    DocumentError,
    read_document,
    refuse_foreign,
    write_document,
)
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.passport.document import get
from watchkeeper.publish.signing.dsse import digests_of, sign_statement, verify_envelope
from watchkeeper.publish.signing.keys import Key
from watchkeeper.publish.signing.model import sign_model, verify_model
from watchkeeper.publish.signing.outcomes import Bad, Outcome, Unknown, Verified
from watchkeeper.publish.signing.signers import Signers
from watchkeeper.publish.signoff.claims import check
from watchkeeper.publish.signoff.document import Signoff
from watchkeeper.publish.signoff.files import Records

SCHEMA_VERSION = "1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
VERIFICATION = "https://in-toto.io/attestation/svr/v0.1"
PREDICATES = (PROVENANCE, TEST_RESULT, VERIFICATION)
BUILD_TYPE = "https://watchkeeper.dev/training/v1"
BUILDER = "https://watchkeeper.dev/run"
_RESULTS = {"pass": "PASSED", "soft_signal": "WARNED"}
_PROPERTIES = {"pass": "WATCHKEEPER_PASS", "soft_signal": "WATCHKEEPER_SOFT_SIGNAL"}
_MOST_ENVELOPES = 20
_TRUST = "name the keys that you trust: --signers FILE"


class Vouch(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed: a sign-off that was just written, the checks that it rests on, the passport,
    and the records of the files that it names.
    """

    signoff: Signoff
    checks: list[Check]
    passport: Mapping[str, Any]
    records: Records


def add_signatures(root: Path, vouch: Vouch, key: Key) -> None:
    """Sign what was vouched for.

    Raises:
        UsageError: signatures are there that this key did not make.
        StorageError, OSError: a file could not be read or written.
    """
    path = root / names.SIGNOFF_SIGNATURE
    refuse_foreign(path)
    (own,) = hash_files(root, [names.SIGNOFF])
    subjects = [own, *vouch.records.values()]
    predicates = {
        PROVENANCE: _provenance(vouch.passport),
        TEST_RESULT: _test_result(vouch.signoff, vouch.checks),
        VERIFICATION: _verification(vouch.signoff, key),
    }
    envelopes = [
        sign_statement(kind, predicate, subjects, key) for kind, predicate in predicates.items()
    ]
    document = {
        "schema_version": SCHEMA_VERSION,
        "generated_by": GENERATED_BY,
        "envelopes": envelopes,
    }
    write_document(path, document)
    listed, _ = list_files(root)
    known = {**vouch.records, names.SIGNOFF: own}
    sign_model(root, key, hash_files(root, listed.files, known=known))


def _provenance(passport: Mapping[str, Any]) -> dict[str, Any]:
    """How the weights were made, as far as the passport says."""
    commit = get(passport, "provenance.training_repo_commit")
    repository = get(passport, "provenance.training_repo")
    dependency = {
        "uri": repository or "",
        "digest": {"gitCommit": commit} if isinstance(commit, str) else {},
    }
    internal = {
        "config_sha256": get(passport, "provenance.merged_config_sha256"),
        "journal_chain": get(passport, "provenance.journal_chain"),
    }
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"run": get(passport, "provenance.run_key")},
            "internalParameters": {name: one for name, one in internal.items() if one is not None},
            "resolvedDependencies": [dependency] if commit else [],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"tool": GENERATED_BY}},
            "metadata": {"startedOn": get(passport, "provenance.started_at")},
        },
    }


def _test_result(signoff: Signoff, checks: Iterable[Check]) -> dict[str, Any]:
    """What was checked, by name."""
    by_status: dict[str, list[str]] = {"pass": [], "soft_signal": [], "not_checked": []}
    for one in checks:
        by_status.setdefault(one.status, []).append(one.name)
    return {
        "result": _RESULTS[signoff.verdict],
        "configuration": [{"name": signoff.signed_by.tool, "version": signoff.signed_by.version}],
        "passedTests": by_status["pass"],
        "warnedTests": by_status["soft_signal"],
        "failedTests": [],
    }


def _verification(signoff: Signoff, key: Key) -> dict[str, Any]:
    """The sign-off as a simple verification result."""
    properties = [_PROPERTIES[signoff.verdict]]
    return {
        "verifier": {"id": key.fingerprint},
        "timeVerified": signoff.signed_at.isoformat(),
        "properties": properties,
        "verdict": signoff.verdict,
        "reason": signoff.verdict_reason,
    }


# ── checking them


def check_signatures(
    root: Path, signoff: Signoff | None, records: Records, signers: Signers | None
) -> list[Check]:
    """Check the signatures beside a sign-off. `signers` are those whose signatures count; None:
    the verifier named none, so that no signature proves anything.
    """
    has_any = any(
        (root / name).exists() for name in (names.SIGNOFF_SIGNATURE, names.MODEL_SIGNATURE)
    )
    if signers is None:
        return [_unasked()] if has_any else []
    if signoff is None:
        return []
    statements = _check_statements(root, signoff, records, signers)
    return [*statements, _check_model(root, records, signers)]


def _unasked() -> Check:
    message = "there are signatures, and nobody said whose count: they prove nothing yet"
    return check("signature", "not_checked", message, names.SIGNOFF_SIGNATURE, _TRUST)


def _unsigned(name: str) -> Check:
    message = "no key has signed this checkpoint: the sign-off is attribution, not proof"
    return check("signature", "fail", message, name, "watchkeeper checkpoint sign --key FILE")


def _check_statements(
    root: Path, signoff: Signoff, records: Records, signers: Signers
) -> Iterator[Check]:
    name = names.SIGNOFF_SIGNATURE
    if not (root / name).exists():
        yield _unsigned(name)
        return
    try:
        envelopes = read_document(root / name).get("envelopes")
    except (DocumentError, OSError) as error:
        yield check("signature", "fail", str(error), name)
        return
    entries = envelopes if isinstance(envelopes, list) else []
    found: set[str] = set()
    for envelope in entries[:_MOST_ENVELOPES]:
        outcome: Outcome = Bad(message="it is no DSSE envelope")
        if isinstance(envelope, dict):
            outcome = verify_envelope(envelope, signers)
        if isinstance(outcome, Verified):
            found.add(str(outcome.statement.get("predicateType")))
            yield _check_statement(outcome, signoff, records)
        else:
            yield _refusal(name, outcome)
    for kind in PREDICATES:
        if kind not in found:
            message = f"no trusted key has signed a statement of {kind}"
            yield check("signature-statement", "fail", message, name)


def _refusal(name: str, outcome: Unknown | Bad) -> Check:
    hint = "ask who signed it, by another way" if isinstance(outcome, Unknown) else ""
    return check("signature", "fail", outcome.message, name, hint)


def _check_statement(verified: Verified, signoff: Signoff, records: Records) -> Check:
    """Whether a signed statement is of these very files, and says what the sign-off says."""
    kind = str(verified.statement.get("predicateType"))
    digests = digests_of(verified.statement)
    needed = {names.SIGNOFF, *(file.path for file in signoff.artifacts)}
    wrong = [
        path
        for path in sorted(needed)
        if path not in records or digests.get(path) != records[path].sha256
    ]
    if wrong:
        message = f"{kind}: signed for another {wrong[0]} than the one that is here"
        return check("signature-statement", "fail", message, names.SIGNOFF_SIGNATURE)
    predicate = verified.statement.get("predicate")
    said = predicate.get("verdict") if isinstance(predicate, dict) else None
    if kind == VERIFICATION and said != signoff.verdict:
        message = f"{verified.name} signed the verdict {said!r}, the sign-off has {signoff.verdict}"
        return check("signature-statement", "fail", message, names.SIGNOFF_SIGNATURE)
    message = f"{kind}: signed by {verified.name}, {verified.fingerprint}"
    return check("signature-statement", "pass", message, names.SIGNOFF_SIGNATURE)


def _check_model(root: Path, records: Records, signers: Signers) -> Check:
    """Whether a trusted key signed all files. `records` are those that were hashed just now."""
    name = names.MODEL_SIGNATURE
    if not (root / name).exists():
        return _unsigned(name)
    listed, _ = list_files(root)
    outcome = verify_model(root, signers, hash_files(root, listed.files, known=records))
    if isinstance(outcome, Verified):
        message = f"all files signed by {outcome.name}, {outcome.fingerprint}"
        return check("signature", "pass", message, name)
    return _refusal(name, outcome)
