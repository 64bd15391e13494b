"""Keys lie where their owner alone can read them, and what is no key is named."""

from __future__ import annotations

import hashlib
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.publish.signing.keyring import PASSPHRASE, make_key, refuse
from watchkeeper.publish.signing import keys
from watchkeeper.publish.signing.keys import KeyFileError, load_private


def test_a_key_is_read_back_as_it_was_made(tmp_path):
    """The private half has mode 600, the public half lies beside it, and the fingerprint is what
    `sha256sum` says of that file.
    """
    made = make_key(tmp_path / "new", "ada")
    assert made.path.stat().st_mode & 0o777 == 0o600
    loaded = load_private(made.path, refuse)
    public = keys.public_path_of(made.path)
    digest = hashlib.sha256(public.read_bytes()).hexdigest()
    assert loaded.fingerprint == made.fingerprint == f"SHA256:{digest}"
    assert keys.fingerprint(keys.load_public(public.read_bytes(), "x")) == made.fingerprint
    assert loaded.passphrase is None and "PRIVATE" not in repr(loaded)


def test_a_passphrase_is_asked_for_only_where_there_is_one(tmp_path):
    """An encrypted key opens with its passphrase, and with no other; the message holds neither."""
    made = make_key(tmp_path, "ada", PASSPHRASE)
    assert b"ENCRYPTED" in made.path.read_bytes()
    loaded = load_private(made.path, lambda path: PASSPHRASE)
    assert loaded.fingerprint == made.fingerprint and loaded.passphrase == PASSPHRASE
    for wrong in (b"wrong", b""):
        with pytest.raises(KeyFileError, match="the passphrase does not open the key") as caught:
            load_private(made.path, lambda path, wrong=wrong: wrong)
        assert "horse" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_is_open_to_others_is_refused(tmp_path, mode):
    """One bit for the group or for others is enough, and the command that closes it is named."""
    made = make_key(tmp_path, "ada")
    made.path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"is open to others: its mode is {mode:04o}") as caught:
        load_private(made.path, refuse)
    assert f"chmod 600 {made.path}" in caught.value.hint


def test_a_key_of_another_user_is_refused(tmp_path, monkeypatch):
    """A key that somebody else owns is not used."""
    made = make_key(tmp_path, "ada")
    monkeypatch.setattr(os, "geteuid", lambda: made.path.stat().st_uid + 1)
    with pytest.raises(KeyFileError, match="belongs to another user"):
        load_private(made.path, refuse)


def _pem(private):
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("kind", ["text", "public", "ed25519", "p384"])
def test_what_is_no_key_on_the_curve_is_refused(tmp_path, kind):
    """A text, a public key, and keys of other kinds are no private keys to sign with."""
    made = make_key(tmp_path, "ada")
    data = {
        "text": b"hello",
        "public": keys.public_pem(made.public),
        "ed25519": _pem(ed25519.Ed25519PrivateKey.generate()),
        "p384": _pem(ec.generate_private_key(ec.SECP384R1())),
    }[kind]
    path = tmp_path / "other.pem"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="holds no private key on the curve P-256"):
        load_private(path, refuse)


def test_public_keys_of_other_kinds_are_refused():
    """A public key on another curve, or none at all, is named by its place."""
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyFileError, match=r"^here is a public key, and not"):
        keys.load_public(pem, "here")
    with pytest.raises(KeyFileError, match=r"^here is no public key"):
        keys.load_public(b"hello", "here")


def test_a_key_is_made_only_where_there_is_none(tmp_path):
    """Neither half of a key is replaced."""
    made = make_key(tmp_path, "ada")
    for gone in (keys.public_path_of(made.path), made.path):
        data = made.path.read_bytes()
        kept = gone.read_bytes()
        gone.unlink()
        with pytest.raises(KeyFileError, match="exists, and is kept"):
            keys.generate(made.path, None)
        assert gone == made.path or made.path.read_bytes() == data
        gone.write_bytes(kept)


def test_no_key_is_made_in_a_repository(tmp_path):
    """A folder below a Git repository holds no key, a worktree's `.git` file included."""
    (tmp_path / ".git").write_text("gitdir: elsewhere")
    with pytest.raises(KeyFileError, match="would lie in the Git repository"):
        make_key(tmp_path / "below", "ada")
    assert not (tmp_path / "below").exists()


def test_a_link_into_a_repository_leads_there(tmp_path):
    """A folder that only looks as if it were outside is none."""
    (tmp_path / "repository/.git").mkdir(parents=True)
    (tmp_path / "keys").symlink_to("repository")
    with pytest.raises(KeyFileError, match="would lie in the Git repository"):
        make_key(tmp_path / "keys", "ada")


def test_openssl_reads_the_key(tmp_path):
    """The files are those that other programs know."""
    made = make_key(tmp_path, "ada")
    done = subprocess.run(
        ["openssl", "pkey", "-in", made.path, "-pubout"], capture_output=True, check=True
    )
    assert done.stdout == keys.public_path_of(made.path).read_bytes()
