"""Statements are signed as other tools read them, and verified strictly."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest

from tests.publish.signing.keyring import make_key, signer
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.signing import dsse
from watchkeeper.publish.signing.dsse import digests_of, sign_statement, verify_envelope
from watchkeeper.publish.signing.keys import public_path_of
from watchkeeper.publish.signing.outcomes import Bad, Unknown, Verified

TYPE = "https://example.org/test/v1"
SUBJECT = FileRecord(path="model.safetensors", size_bytes=1, sha256="0" * 64)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The keys of two people."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("ada", "eve")}


@pytest.fixture
def envelope(keys):
    """A statement that Ada signed."""
    return sign_statement(TYPE, {"verdict": "pass", "ü": 1}, [SUBJECT], keys["ada"])


def test_a_signed_statement_is_verified_by_its_signer(keys, envelope):
    """The outcome names the signer as the verifier does, and has the statement that was signed."""
    trusted = (signer(keys["eve"], "Eve"), signer(keys["ada"], "Ada L."))
    outcome = verify_envelope(envelope, trusted)
    assert isinstance(outcome, Verified)
    assert (outcome.name, outcome.fingerprint) == ("Ada L.", keys["ada"].fingerprint)
    assert outcome.statement == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.safetensors", "digest": {"sha256": "0" * 64}}],
        "predicateType": TYPE,
        "predicate": {"verdict": "pass", "ü": 1},
    }
    assert digests_of(outcome.statement) == {"model.safetensors": "0" * 64}


def test_a_strangers_key_is_unknown_and_never_passes(keys, envelope):
    """A signature by a key that the verifier does not trust is named by that key."""
    outcome = verify_envelope(envelope, (signer(keys["eve"]),))
    assert outcome == Unknown(fingerprint=keys["ada"].fingerprint)
    assert outcome.message == f"signed by unknown key {keys['ada'].fingerprint}"
    assert verify_envelope(envelope, ()) == outcome
    assert Unknown(fingerprint="").message == "signed by an unknown key"


def test_a_stranger_cannot_sign_in_a_trusted_name(keys, envelope):
    """A signature that claims a trusted key and is another's is bad."""
    forged = sign_statement(TYPE, {}, [], keys["eve"])
    forged["signatures"][0]["keyid"] = keys["ada"].fingerprint
    outcome = verify_envelope(forged, (signer(keys["ada"]),))
    assert outcome == Bad(message="the signature of Ada does not hold: it was changed")


def test_one_bad_signature_of_a_trusted_key_outweighs_a_good_one(keys, envelope):
    """Of several signatures each trusted one must hold, in either order; a stranger's beside it
    changes nothing.
    """
    trusted = (signer(keys["ada"]), signer(keys["eve"], "Eve"))
    (good,) = envelope["signatures"]
    wrong = good | {"keyid": keys["eve"].fingerprint}
    for both in ([good, wrong], [wrong, good]):
        assert isinstance(verify_envelope(envelope | {"signatures": both}, trusted), Bad)
    stranger = good | {"keyid": "SHA256:stranger"}
    for both in ([good, stranger], [stranger, good]):
        outcome = verify_envelope(envelope | {"signatures": both}, trusted[:1])
        assert isinstance(outcome, Verified)


def test_one_flipped_byte_of_an_envelope_never_verifies(keys, envelope):
    """Each character of the payload, the signature, the key's name and the type, changed alone,
    fails.
    """
    trusted = (signer(keys["ada"]),)
    text = json.dumps(envelope)
    for at in range(len(text)):
        changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        try:
            value = json.loads(changed)
        except ValueError:
            continue
        outcome = verify_envelope(value, trusted) if isinstance(value, dict) else Bad(message="")
        assert not isinstance(outcome, Verified), at


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signatures": []}, "it holds no signature"),
        ({"signatures": {}}, "it is no DSSE envelope"),
        ({"signatures": [{"keyid": "x"}]}, "it is no DSSE envelope"),
        ({"payload": 3}, "it is no DSSE envelope"),
        ({"payload": "e30"}, "it is no DSSE envelope"),
        ({"payload": "e30\n"}, "it is no DSSE envelope"),
        ({"payload": "e31="}, "base64 in a second spelling"),
        ({"other": 1}, "it is no DSSE envelope"),
        ({"payloadType": "text/plain"}, "its payload is no in-toto statement: text/plain"),
    ],
)
def test_what_is_no_envelope_is_bad(keys, envelope, change, message):
    """Fields that DSSE does not have, and values of another kind, are no signature."""
    outcome = verify_envelope(envelope | change, (signer(keys["ada"]),))
    assert isinstance(outcome, Bad) and message in outcome.message


@pytest.mark.parametrize("payload", [b'{"_type": "other"}', b'{"a": 1, "a": 2}', b"[]", b"\xff"])
def test_a_signed_payload_must_be_a_statement(keys, payload):
    """A trusted signature over something else says nothing about a checkpoint."""
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": dsse.PAYLOAD_TYPE,
        "signatures": [
            {
                "keyid": keys["ada"].fingerprint,
                "sig": base64.b64encode(dsse._signed(keys["ada"], payload)).decode(),
            }
        ],
    }
    outcome = verify_envelope(envelope, (signer(keys["ada"]),))
    assert isinstance(outcome, Bad) and "statement" in outcome.message


def test_openssl_verifies_the_signature(tmp_path, keys, envelope):
    """What is signed is DSSE's encoding, which any tool can make and verify."""
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    encoded = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    (tmp_path / "pae").write_bytes(encoded)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    public = public_path_of(keys["ada"].path)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", public, "-signature", "sig", "pae"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Verified OK\n")


def test_subjects_without_a_digest_are_left_out():
    """A subject that names no SHA-256 vouches for nothing; one that has two vouches for neither."""
    one = {"name": "a", "digest": {"sha256": "1"}}
    two = one | {"digest": {"sha256": "2"}}
    odd = ["x", {"name": "b"}, {"name": "c", "digest": {}}, {"name": 1, "digest": {"sha256": "1"}}]
    assert digests_of({"subject": [one, one, *odd]}) == {"a": "1"}
    assert digests_of({"subject": [one, two]}) == digests_of({"subject": [one, two, one]})
    assert digests_of({"subject": [one, two]}) == {"a": ""}
    assert digests_of({"subject": None}) == {}
