"""A sign-off with a key: who signed is known by the keys that the verifier brings."""

import base64
import json

import pytest

from tests.publish.signing.keyring import make_key, signer
from tests.publish.vouched import (
    LATER,
    SIGNED,
    at,
    change,
    checkpoint,
    fails,
    safetensors,
    write_passport,
)
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.signoff.sign import NotSignedError, sign
from watchkeeper.publish.signoff.signatures import PREDICATES
from watchkeeper.publish.signoff.validate import validate


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Ada's key, and a stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    return make_key(folder, "ada"), make_key(folder, "stranger")


@pytest.fixture
def root(tmp_path, keys):
    """A checkpoint that Ada signed."""
    folder = checkpoint(tmp_path / "ck")
    sign(folder, key=keys[0], clock=at(SIGNED))
    return folder


def check(root, *trusted):
    """The checks, with these keys trusted."""
    signers = tuple(signer(key) for key in trusted)
    return validate(root, require_signoff=True, signers=signers, clock=at(LATER))


def signature_checks(checks):
    """The status and the message of each check of a signature."""
    return [(one.status, one.message) for one in checks if one.name.startswith("signature")]


def test_a_trusted_key_is_named(root, keys):
    """Each statement and the files are signed by Ada, with her key's fingerprint."""
    checks = check(root, keys[0])
    assert not fails(checks)
    said = signature_checks(checks)
    assert len(said) == len(PREDICATES) + 1
    assert all(status == "pass" and keys[0].fingerprint in text for status, text in said)


def test_the_statements_are_those_of_the_vetted_predicates(root):
    """Provenance, test result and verification, each of the same files by hash."""
    document = json.loads((root / "SIGNOFF.sig.json").read_text())
    statements = [json.loads(base64.b64decode(one["payload"])) for one in document["envelopes"]]
    assert tuple(one["predicateType"] for one in statements) == PREDICATES
    provenance, result, verification = (one["predicate"] for one in statements)
    commit = provenance["buildDefinition"]["resolvedDependencies"][0]["digest"]["gitCommit"]
    assert commit == "ab" * 20
    assert result["result"] == "PASSED" and result["failedTests"] == []
    assert verification["verdict"] == "pass"
    names = [one["name"] for one in statements[2]["subject"]]
    assert names == ["SIGNOFF.json", "MODEL_PASSPORT.json", "model.safetensors"]


def test_a_strangers_key_never_passes(root, keys):
    """A signature by a key that the verifier did not name fails, and says whose it is."""
    said = signature_checks(check(root, keys[1]))
    assert {status for status, _ in said} == {"fail"}
    assert any(text == f"signed by unknown key {keys[0].fingerprint}" for _, text in said)


def test_without_signers_a_signature_is_not_checked(root):
    """A verifier who names no key is not told that the signature holds."""
    checks = validate(root, clock=at(LATER))
    assert [status for status, _ in signature_checks(checks)] == ["not_checked"]


def test_no_signature_fails_where_one_is_required(tmp_path, keys):
    """Attribution is no proof for whoever names the keys that count."""
    folder = checkpoint(tmp_path / "ck")
    sign(folder, clock=at(SIGNED))
    assert {status for status, _ in signature_checks(check(folder, keys[0]))} == {"fail"}


def test_a_sign_off_made_again_by_a_stranger_fails(root, keys):
    """Whoever swaps a weight, and writes passport and sign-off again, has no key of Ada's."""
    (root / "model.safetensors").write_bytes(safetensors(66.0))
    write_passport(root)
    signatures = {name: (root / name).read_bytes() for name in ("model.sig", "SIGNOFF.sig.json")}
    for name in signatures:
        (root / name).unlink()
    sign(root, clock=at(SIGNED))
    for name, data in signatures.items():
        (root / name).write_bytes(data)
    said = signature_checks(check(root, keys[0]))
    assert {status for status, _ in said} == {"fail"}
    assert any("than the one that is here" in text for _, text in said)


def test_an_old_signature_does_not_fit_a_new_sign_off(root, keys):
    """Statements that were signed for another sign-off are not replayed onto this one."""
    change(root / "SIGNOFF.json", verdict_reason="a reason that nobody signed")
    said = signature_checks(check(root, keys[0]))
    assert sum("another SIGNOFF.json" in text for _, text in said) == len(PREDICATES)


def test_a_statement_that_is_missing_is_missed(root, keys):
    """Taking one statement out is no smaller signature."""
    path = root / "SIGNOFF.sig.json"
    document = json.loads(path.read_text())
    change(path, envelopes=document["envelopes"][:2])
    assert "signature-statement" in fails(check(root, keys[0]))


@pytest.mark.parametrize("text", ["{", "{}", '{"envelopes": [7]}', '{"envelopes": {}}'])
def test_damaged_signatures_fail(root, keys, text):
    """What is no envelope fails, and is never an error of the program."""
    (root / "SIGNOFF.sig.json").write_text(text)
    assert fails(check(root, keys[0])) & {"signature", "signature-statement"}


def test_a_missing_model_signature_fails(root, keys):
    """The statements alone do not cover the other files."""
    (root / "model.sig").unlink()
    assert fails(check(root, keys[0])) == {"signature"}


@pytest.mark.parametrize("name", ["model.sig", "SIGNOFF.sig.json"])
def test_a_signature_of_somebody_else_stops_before_anything_is_written(tmp_path, keys, name):
    """Where a foreign signature stands in the way, the folder is as it was before."""
    root = checkpoint(tmp_path / "foreign")
    (root / name).write_text('{"theirs": true}')
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(UsageError):
        sign(root, key=keys[0], clock=at(SIGNED))
    assert {path.name: path.read_bytes() for path in root.iterdir()} == before


@pytest.mark.parametrize("name", ["model.sig", "SIGNOFF.sig.json"])
def test_signatures_are_not_left_beside_another_sign_off(root, name):
    """Without a key nothing is signed where a signature lies, which would no longer hold."""
    for other in {"model.sig", "SIGNOFF.sig.json"} - {name}:
        (root / other).unlink()
    before = (root / "SIGNOFF.json").read_bytes()
    with pytest.raises(NotSignedError, match=name):
        sign(root, clock=at(LATER))
    assert (root / "SIGNOFF.json").read_bytes() == before
    (root / name).unlink()
    sign(root, clock=at(LATER))
