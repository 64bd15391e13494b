"""Keys for the tests of signatures."""

from __future__ import annotations

from pathlib import Path

from watchkeeper.publish.signing import keys
from watchkeeper.publish.signing.signers import Signer, signer_of

PASSPHRASE = b"correct horse"


def make_key(folder: Path, name: str, passphrase: bytes | None = None) -> keys.Key:
    """A new key in a folder."""
    return keys.generate(folder / f"{name}.pem", passphrase)


def signer(key: keys.Key, name: str = "Ada") -> Signer:
    """The owner of a key, as somebody who is trusted."""
    return signer_of(name, key.public)


def refuse(path: Path) -> bytes:
    """A source of passphrases that must not be asked."""
    raise AssertionError(f"asked for the passphrase of {path}")
