"""`model.sig`: model_signing accepts it, and what changed afterwards fails."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.publish.checkpoints import SHARD, make_checkpoint, put_manifest
from tests.publish.signing.keyring import PASSPHRASE, make_key, signer
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.signing.keys import KeyFileError, public_path_of
from watchkeeper.publish.signing.model import (
    ForeignSignatureError,
    is_signed_over,
    sign_model,
    verify_model,
)
from watchkeeper.publish.signing.outcomes import Bad, Unknown, Verified


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A key with a passphrase, and one without."""
    folder = tmp_path_factory.mktemp("keys")
    return {"ada": make_key(folder, "ada", PASSPHRASE), "eve": make_key(folder, "eve")}


@pytest.fixture
def root(tmp_path, keys):
    """A checkpoint that Ada signed."""
    root = make_checkpoint(tmp_path / "model")
    put_manifest(root)
    sign_model(root, keys["ada"])
    return root


def test_model_signing_accepts_the_signature(root, keys):
    """The tool itself verifies what was signed here, with links and with files that belong to other
    programs.
    """
    for folder in (".watchkeeper", ".git", ".cache/huggingface"):
        (root / folder).mkdir(parents=True)
        (root / folder / "x").write_text("x")
    (root / "SIGNOFF.sig.json").write_text("{}")
    (root / "tokenizer.model").symlink_to("original/tokenizer.model")
    sign_model(root, keys["ada"])
    verify = ["verify", "key", root, "--allow_symlinks", "--signature", root / "model.sig"]
    public = public_path_of(keys["ada"].path)
    done = subprocess.run(
        [sys.executable, "-m", "model_signing", *verify, "--public_key", public],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr


def test_a_signed_checkpoint_is_verified_by_its_signer(root, keys):
    """The signature holds with hashes made here or given, and names its signer."""
    trusted = (signer(keys["eve"], "Eve"), signer(keys["ada"]))
    outcome = verify_model(root, trusted)
    assert isinstance(outcome, Verified) and outcome.name == "Ada"
    records = hash_files(root, list_files(root)[0].files)
    assert verify_model(root, trusted, records) == outcome


def test_a_checkpoint_that_changed_is_bad(root, keys):
    """Files that changed, went or came, the manifest included, are named; of many, some are."""
    trusted = (signer(keys["ada"]),)
    data = bytearray((root / SHARD).read_bytes())
    data[-1] ^= 1
    (root / SHARD).write_bytes(data)
    (root / "config.json").unlink()
    for number in range(7):
        (root / f"extra{number}").write_text("x")
    outcome = verify_model(root, trusted)
    assert outcome == Bad(
        message="the signature of Ada does not fit the files: "
        f"changed: {SHARD}; missing: config.json; "
        "not signed: extra0, extra1, extra2, extra3, extra4, and 2 more"
    )


@pytest.mark.parametrize("change", ["extra.bin", "config.json", "CHECKPOINT_MANIFEST.json"])
def test_one_change_is_enough(root, keys, change):
    """One file that came or changed breaks the signature."""
    (root / change).write_text("x")
    outcome = verify_model(root, (signer(keys["ada"]),))
    assert isinstance(outcome, Bad) and outcome.message.endswith(change)


def test_another_key_is_unknown_or_bad(root, keys):
    """A stranger's signature is named by its key; one in a trusted name does not hold."""
    outcome = verify_model(root, (signer(keys["eve"]),))
    assert outcome == Unknown(fingerprint=keys["ada"].fingerprint)
    path = root / "model.sig"
    names = [key.fingerprint.removeprefix("SHA256:") for key in (keys["ada"], keys["eve"])]
    path.write_text(path.read_text().replace(*names))
    outcome = verify_model(root, (signer(keys["eve"], "Eve"),))
    assert outcome == Bad(message="the signature of Eve does not hold: it was changed")


def test_a_signature_that_names_no_key_is_unknown(root, keys):
    """A bundle of another kind of signature, or of no kind, is not this signer's."""
    path = root / "model.sig"
    for bundle in ({}, {"verificationMaterial": {"certificate": {}}}, {"verificationMaterial": 3}):
        path.write_text(json.dumps(bundle))
        assert verify_model(root, (signer(keys["ada"]),)) == Unknown(fingerprint="")
    path.write_text("{")
    assert isinstance(verify_model(root, ()), Bad)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        verify_model(root, ())


def test_a_damaged_bundle_is_bad_and_no_traceback(root, keys):
    """What the library cannot read is a bad signature."""
    path = root / "model.sig"
    bundle = json.loads(path.read_text())
    for damage in ({"dsseEnvelope": {}}, {"dsseEnvelope": None}, {"mediaType": 3}):
        path.write_text(json.dumps(bundle | damage))
        assert isinstance(verify_model(root, (signer(keys["ada"]),)), Bad)


def test_a_signature_cannot_leave_out_weights(root, keys):
    """A signature that leaves out more than its own files is bad, though the library accepts it."""
    from model_signing import hashing, signing

    config = signing.Config().set_hashing_config(
        hashing.Config().set_ignored_paths(paths=["model.sig", SHARD])
    )
    config.use_elliptic_key_signer(private_key=keys["ada"].path, password=PASSPHRASE)
    config.sign(root, root / "model.sig")
    outcome = verify_model(root, (signer(keys["ada"]),))
    assert isinstance(outcome, Bad) and f"it leaves out {SHARD}" in outcome.message


def test_a_signature_of_somebody_else_is_kept(root, keys):
    """A `model.sig` by another key is not replaced; one of the same key is."""
    before = (root / "model.sig").read_bytes()
    with pytest.raises(ForeignSignatureError, match="was made with another key"):
        sign_model(root, keys["eve"])
    assert (root / "model.sig").read_bytes() == before
    (root / "config.json").write_text("{}")
    sign_model(root, keys["ada"])
    assert isinstance(verify_model(root, (signer(keys["ada"]),)), Verified)
    (root / "model.sig").write_text("theirs")
    with pytest.raises(ForeignSignatureError):
        sign_model(root, keys["ada"])


def test_a_key_in_the_checkpoint_signs_nothing(root):
    """A private key that would be handed on with the checkpoint is refused, also below it."""
    key = make_key(root / "original", "ada")
    with pytest.raises(KeyFileError, match="lies inside the checkpoint"):
        sign_model(root, key)


def test_what_is_covered_is_everything_but_the_signatures():
    """Documents are covered, and so is a file of a signature's name in a folder below."""
    for path in ("SIGNOFF.json", "MODEL_PASSPORT.json", "a/model.sig", ".gitignored", "b/.git/x"):
        assert is_signed_over(path)
    for path in ("model.sig", "SIGNOFF.sig.json", "SHA256SUMS", ".git/x", ".gitattributes"):
        assert not is_signed_over(path)
