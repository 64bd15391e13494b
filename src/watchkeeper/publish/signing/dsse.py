"""Signed statements: an in-toto Statement v1 in a DSSE envelope.

The signature covers the payload's type and bytes (PAE), so nothing is parsed before it holds. What
is around them is read strictly: one spelling of base64, no field but DSSE's own.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from watchkeeper.publish.documents import DocumentError, parse_document
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.signing.keys import Key
from watchkeeper.publish.signing.outcomes import Bad, Outcome, Unknown, Verified
from watchkeeper.publish.signing.signers import Signer, Signers
from watchkeeper.tools.file_formats import short

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: str
    payloadType: str
    signatures: list[_Signature]


def sign_statement(
    predicate_type: str,
    predicate: Mapping[str, Any],
    subjects: Iterable[FileRecord],
    key: Key,
) -> dict[str, Any]:
    """The envelope with a statement that the predicate holds for these files. `predicate_type` is
    a URI.

    Raises:
        ValueError: the predicate holds NaN or an infinite number.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": record.path, "digest": {"sha256": record.sha256}} for record in subjects
        ],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    payload = json.dumps(statement, ensure_ascii=False, allow_nan=False, sort_keys=True).encode()
    return {
        "payload": _encoded(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key.fingerprint, "sig": _encoded(_signed(key, payload))}],
    }


def _signed(key: Key, payload: bytes) -> bytes:
    """The signature of a payload, over the bytes that DSSE says (`pae`), as ECDSA on P-256."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.private.sign(pae(payload), ECDSA(SHA256()))


def pae(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of the type and the payload."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def verify_envelope(envelope: Mapping[str, Any], signers: Signers) -> Outcome:
    """Whether a trusted signer signed the statement in an envelope. A signature that names a
    trusted key and does not hold is bad, whatever else is there.
    """
    try:
        read = msgspec.convert(envelope, _Envelope)
        payload = _decoded(read.payload)
        signatures = [(one.keyid, _decoded(one.sig)) for one in read.signatures]
    except (msgspec.ValidationError, binascii.Error, ValueError) as error:
        return Bad(message=f"it is no DSSE envelope: {error}")
    if read.payloadType != PAYLOAD_TYPE:
        return Bad(message=f"its payload is no in-toto statement: {short(read.payloadType)}")
    if not signatures:
        return Bad(message="it holds no signature")
    return _verify(payload, signatures, signers)


def _verify(payload: bytes, signatures: list[tuple[str, bytes]], signers: Signers) -> Outcome:
    """What the signatures of an envelope are worth: one of a trusted signer that does not hold is
    worse than none; those of others count for nothing.
    """
    trusted = {signer.fingerprint: signer for signer in signers}
    outcome: Outcome = Unknown(fingerprint=short(signatures[0][0]))
    for keyid, signature in signatures:
        signer = trusted.get(keyid)
        if signer is None:
            continue
        if not _holds(signer, signature, payload):
            return Bad(message=f"the signature of {signer.name} does not hold: it was changed")
        if not isinstance(outcome, Verified):
            outcome = _statement(payload, signer)
    return outcome


def _holds(signer: Signer, signature: bytes, payload: bytes) -> bool:
    """Whether a signature is the signer's, and of this payload."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        signer.public.verify(signature, pae(payload), ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _statement(payload: bytes, signer: Signer) -> Outcome:
    """The statement in a signed payload; it is bad where it is no statement of in-toto."""
    try:
        statement = parse_document(payload, "the statement")
    except DocumentError as error:
        return Bad(message=str(error))
    if statement.get("_type") != STATEMENT_TYPE:
        return Bad(message=f"the statement is no {STATEMENT_TYPE}")
    return Verified(name=signer.name, fingerprint=signer.fingerprint, statement=statement)


def digests_of(statement: Mapping[str, Any]) -> dict[str, str]:
    """The subjects of a statement: each path → its SHA-256. Subjects without one are left out; a
    path that stands twice with two digests has "".
    """
    digests: dict[str, str] = {}
    subjects = statement.get("subject")
    if not isinstance(subjects, list):
        return digests
    for subject in subjects:
        name, sha256 = _subject(subject)
        if name and sha256:
            is_other = digests.setdefault(name, sha256) != sha256
            digests[name] = "" if is_other else sha256
    return digests


def _subject(subject: object) -> tuple[str, str]:
    """The name and the SHA-256 of a subject of a statement; ("", "") where it has none."""
    if not isinstance(subject, dict) or not isinstance(subject.get("digest"), dict):
        return "", ""
    name, sha256 = subject.get("name"), subject["digest"].get("sha256")
    if not isinstance(name, str) or not isinstance(sha256, str):
        return "", ""
    return name, sha256


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    """The bytes of a text in base64.

    Raises:
        ValueError: it is none, or another spelling of the same bytes.
    """
    data = base64.b64decode(text, validate=True)
    if _encoded(data) != text:
        raise ValueError("base64 in a second spelling")
    return data
