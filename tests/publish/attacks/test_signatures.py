"""Attacks on signatures and keys: each must fail."""

from __future__ import annotations

import json

import pytest

from tests.publish.checkpoints import SHARD, make_checkpoint, put_manifest
from tests.publish.signing.keyring import make_key, refuse, signer
from tests.publish.vouched import SIGNED, at, checkpoint
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.documents import read_document
from watchkeeper.publish.manifest.document import read_manifest
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.manifest.verify import verify_manifest
from watchkeeper.publish.signing.dsse import digests_of, sign_statement, verify_envelope
from watchkeeper.publish.signing.keys import KeyFileError, load_private, public_path_of
from watchkeeper.publish.signing.model import sign_model, verify_model
from watchkeeper.publish.signing.outcomes import Bad, Unknown, Verified
from watchkeeper.publish.signing.signers import SignersError, read_signers
from watchkeeper.publish.signoff.sign import sign

TYPE = "https://example.org/test/v1"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The key of Ada, who is trusted, and the one of Eve, who is not."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("ada", "eve")}


@pytest.fixture
def root(tmp_path, keys):
    """A checkpoint with a manifest, which Ada signed."""
    root = make_checkpoint(tmp_path / "model")
    put_manifest(root)
    sign_model(root, keys["ada"])
    return root


def test_a_signature_by_another_key_never_passes(root, keys):
    """Eve signs the checkpoint again with her own key: both signatures are named by that key, and
    neither is taken for Ada's.
    """
    (root / "model.sig").unlink()
    sign_model(root, keys["eve"])
    envelope = sign_statement(TYPE, {}, [], keys["eve"])
    for outcome in (
        verify_model(root, (signer(keys["ada"]),)),
        verify_envelope(envelope, (signer(keys["ada"]),)),
    ):
        assert isinstance(outcome, Unknown)
        assert outcome.message == f"signed by unknown key {keys['eve'].fingerprint}"


def test_the_package_cannot_say_whom_to_trust(root, keys):
    """Eve packs her own key as a list of signers: it is refused for where it lies."""
    pem = public_path_of(keys["eve"].path).read_text()
    (root / "signers").write_text(f"# Ada\n{pem}")
    with pytest.raises(SignersError, match="lies inside the checkpoint"):
        read_signers(root / "signers", root)


def test_a_weight_swapped_together_with_its_manifest_hash_breaks_the_signature(root, keys):
    """The manifest that was written again holds, and the signature over both does not."""
    (root / SHARD).write_bytes((root / SHARD).read_bytes()[:-1] + b"\0")
    put_manifest(root)
    assert verdict(verify_manifest(root, read_manifest(root), strict=True)) == "pass"
    outcome = verify_model(root, (signer(keys["ada"]),))
    assert isinstance(outcome, Bad) and SHARD in outcome.message


def test_a_signature_of_one_checkpoint_is_no_signature_of_another(root, keys, tmp_path):
    """A signature that is moved to other files does not fit them, and a statement names its own."""
    other = make_checkpoint(tmp_path / "other")
    (other / SHARD).write_bytes((root / SHARD).read_bytes()[:-1] + b"\0")
    put_manifest(other)
    (other / "model.sig").write_bytes((root / "model.sig").read_bytes())
    trusted = (signer(keys["ada"]),)
    assert isinstance(verify_model(other, trusted), Bad)
    records = hash_files(root, list_files(root)[0].files)
    outcome = verify_envelope(sign_statement(TYPE, {}, records, keys["ada"]), trusted)
    assert isinstance(outcome, Verified)
    others = {record.path: record.sha256 for record in hash_files(other, [SHARD])}
    assert digests_of(outcome.statement)[SHARD] != others[SHARD]


@pytest.mark.parametrize("field", ["payload", "hint", "sig"])
def test_one_changed_byte_of_the_signature_never_verifies(root, keys, field):
    """What is in `model.sig` cannot be changed: not the payload, not the key, not the signature."""
    path = root / "model.sig"
    bundle = read_document(path)
    envelope = bundle["dsseEnvelope"]
    public = bundle["verificationMaterial"]["publicKey"]
    holder = {"payload": envelope, "hint": public, "sig": envelope["signatures"][0]}[field]
    value = holder[field]
    for offset in range(0, len(value) - 4, max(len(value) // 12, 1)):
        changed = "A" if value[offset] != "A" else "B"
        holder[field] = value[:offset] + changed + value[offset + 1 :]
        path.write_text(json.dumps(bundle))
        assert not isinstance(verify_model(root, (signer(keys["ada"]),)), Verified), offset
    holder[field] = value
    path.write_text(json.dumps(bundle))
    assert isinstance(verify_model(root, (signer(keys["ada"]),)), Verified)


def test_a_key_that_is_open_to_others_signs_nothing(keys):
    """A private key that others could have copied is refused before it is read."""
    path = keys["eve"].path
    path.chmod(0o644)
    try:
        with pytest.raises(KeyFileError, match="is open to others"):
            load_private(path, refuse)
    finally:
        path.chmod(0o600)


def test_a_key_in_the_checkpoint_leaves_no_half_of_a_signature(tmp_path):
    """A private key that lies in the checkpoint is refused before anything is written."""
    root = checkpoint(tmp_path / "ck")
    before = {path.name for path in root.iterdir()}
    key = make_key(root / "keys", "ada")
    with pytest.raises(KeyFileError, match="lies inside the checkpoint"):
        sign(root, key=key, clock=at(SIGNED))
    assert {path.name for path in root.iterdir()} == before | {"keys"}


def test_a_key_with_a_passphrase_signs_nothing_without_it(tmp_path):
    """A copied key file alone is not enough."""
    made = make_key(tmp_path, "ada", b"correct horse")
    with pytest.raises(KeyFileError, match="the passphrase does not open the key"):
        load_private(made.path, lambda path: b"guess")
