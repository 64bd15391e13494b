"""The file of those whose signatures count."""

from __future__ import annotations

import pytest

from tests.publish.signing.keyring import make_key
from watchkeeper.publish.signing.keys import KeyFileError, public_pem
from watchkeeper.publish.signing.signers import SignersError, read_signers


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """Two public keys, as text."""
    folder = tmp_path_factory.mktemp("keys")
    return [public_pem(make_key(folder, name).public).decode() for name in ("ada", "bob")]


def test_each_key_has_the_name_above_it(tmp_path, pems):
    """Comments, blank lines and line ends of Windows do not matter; the nearest comment counts."""
    path = tmp_path / "signers"
    text = f"# our team\n# Ada Lovelace\n\n{pems[0]}\n\n#Bob\n  {pems[1]}"
    path.write_text(text.replace("\n", "\r\n"), newline="")
    ada, bob = read_signers(path)
    assert (ada.name, bob.name) == ("Ada Lovelace", "Bob")
    assert ada.fingerprint != bob.fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no public key"),
        ("# Ada\n", "holds no public key"),
        ("{0}", "signers:1: the key has no name"),
        ("# Ada\n{0}{1}", "signers:6: the key has no name"),
        ("# Ada\n{0}# Bob\n{0}", "holds the key of Bob twice"),
        ("# Ada\n-----BEGIN PUBLIC KEY-----\nMFk\n", "signers:2: the key does not end"),
        ("# Ada\nssh-ed25519 AAAA\n", "signers:2: neither a name"),
        ("# Ada\n-----BEGIN EC PRIVATE KEY-----\n", "signers:2: a private key"),
    ],
)
def test_what_is_no_list_of_signers_is_refused(tmp_path, pems, text, message):
    """A key without a name, a key twice, and other text are named by their line."""
    path = tmp_path / "signers"
    path.write_text(text.format(*pems))
    with pytest.raises(SignersError, match=message):
        read_signers(path)


def test_a_damaged_key_is_named_by_its_line(tmp_path):
    """A block that is no key is an error, and not one signer fewer."""
    path = tmp_path / "signers"
    path.write_text("# Ada\n-----BEGIN PUBLIC KEY-----\nMFk\n-----END PUBLIC KEY-----\n")
    with pytest.raises(KeyFileError, match="signers:2 is no public key"):
        read_signers(path)


def test_the_package_cannot_bring_its_own_signers(tmp_path, pems):
    """A file inside the checkpoint, also by a link from it, is not whom the verifier trusts."""
    root = tmp_path / "model"
    root.mkdir()
    (root / "signers").write_text(f"# Ada\n{pems[0]}")
    (tmp_path / "link").symlink_to("model/signers")
    for path in (root / "signers", tmp_path / "link"):
        with pytest.raises(SignersError, match="lies inside the checkpoint"):
            read_signers(path, root)
    assert len(read_signers(root / "signers")) == 1
