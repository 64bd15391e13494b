"""Keys to sign with: ECDSA on the curve P-256, in PEM files.

A private key lies in a file that its owner alone can read, outside of every Git repository.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

MOST_KEY_BYTES = 64 * 2**10
PUBLIC_SUFFIX = ".pub"
_CURVE = "secp256r1"

PassphraseSource = Callable[[Path], bytes]
"""Gives the passphrase of the key in a file. It is called only where the key has one.

Raises:
    KeyFileError: there is none to be had.
"""


class KeyFileError(UsageError):
    """A key cannot be used; the message names its file, and never what is in it."""

    code = "bad-key"


@dataclass(frozen=True, repr=False)
class Key:
    """A private key. `passphrase` is None where its file has none."""

    path: Path
    passphrase: bytes | None
    private: EllipticCurvePrivateKey

    @property
    def public(self) -> EllipticCurvePublicKey:
        """The public half."""
        return self.private.public_key()

    @property
    def fingerprint(self) -> str:
        """What the public half is called."""
        return fingerprint(self.public)


def require_trust() -> None:
    """See that the packages for signing are there.

    Raises:
        UsageError: the extra `trust` is not installed.
    """
    try:
        import cryptography  # noqa: F401 - asked for, and not used here
    except ImportError as error:
        raise UsageError(
            "signing needs packages that are not installed",
            hint="type: pip install 'watchkeeper[trust]'",
            code="not-installed",
        ) from error


def public_pem(public: EllipticCurvePublicKey) -> bytes:
    """The public key as PEM, as a file of `keygen` holds it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(public: EllipticCurvePublicKey) -> str:
    """`SHA256:` and the 64 hexadecimal digits that `sha256sum` gives for the key's PEM file;
    model_signing names keys by the same digits.
    """
    return f"SHA256:{hashlib.sha256(public_pem(public)).hexdigest()}"


def generate(path: Path, passphrase: bytes | None) -> Key:
    """Make a key: the private half in a new file that only its owner can read, encrypted where
    there is a passphrase, and the public half beside it, with `.pub` after its name.

    Raises:
        KeyFileError: a file is there already, or the place is in a Git repository.
        StorageError: it could not be written.
    """
    refuse_place(path)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if passphrase is None:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    else:
        encryption = serialization.BestAvailableEncryption(passphrase)
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    files.make_folder(path.parent)
    if not files.create(path, pem, mode=0o600):
        _refuse_existing(path)
    files.create(public_path_of(path), public_pem(private.public_key()), mode=0o644)
    return Key(path=path, passphrase=passphrase, private=private)


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a key lies for which no file is named: in the user's configuration folder."""
    named = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(named) / "watchkeeper" / "signing.pem"


def refuse_place(path: Path) -> None:
    """Refuse to make a key where one is, or where one could be committed.

    Raises:
        KeyFileError: a file is there already, or the place is in a Git repository.
        UsageError: the extra `trust` is not installed.
    """
    require_trust()
    _refuse_repository(path)
    for place in (path, public_path_of(path)):
        _refuse_existing(place)


def public_path_of(path: Path) -> Path:
    """Where the public half of a key lies."""
    return path.with_name(path.name + PUBLIC_SUFFIX)


def _refuse_existing(path: Path) -> None:
    """Refuse to write a key over a file. KeyFileError: one is there."""
    if os.path.lexists(path):
        raise KeyFileError(
            f"{path} exists, and is kept: a key that is gone cannot be made again",
            hint="name another file",
        )


def _refuse_repository(path: Path) -> None:
    """Refuse to write a key into a Git repository. KeyFileError: the file would lie in one."""
    for folder in path.resolve().parents:
        if (folder / ".git").exists():
            raise KeyFileError(
                f"{path} would lie in the Git repository {folder}, where a key can be committed",
                hint="name a file outside of it",
            )


def load_private(path: Path, passphrase_source: PassphraseSource) -> Key:
    """The private key in a PEM file. The source is asked only where the key has a passphrase.

    Raises:
        KeyFileError: others can read the file or it is somebody else's, it holds no private key on
            the curve P-256, or the passphrase is wrong.
        OSError: it cannot be read.
    """
    require_trust()
    data = _read_private(path)
    passphrase = None
    try:
        private = _decrypted(data, None)
    except TypeError:  # the key is encrypted, in cryptography's way of saying so
        passphrase = passphrase_source(path)
        private = _with_passphrase(path, data, passphrase)
    except ValueError:
        private = None
    return Key(path=path, passphrase=passphrase, private=_on_the_curve(path, private))


def _read_private(path: Path) -> bytes:
    """The bytes of a private key's file.

    Raises:
        KeyFileError: others may read it, or it is another user's.
        OSError: it cannot be read.
    """
    with files.open_regular(path) as file:
        status = os.fstat(file.fileno())
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(
                f"the key {path} is open to others: its mode is {status.st_mode & 0o777:04o}",
                hint=f"type: chmod 600 {path}; if others can log in here, make a new key",
            )
        if status.st_uid != os.geteuid():
            raise KeyFileError(f"the key {path} belongs to another user", hint="use your own key")
        return file.read(MOST_KEY_BYTES)


def _with_passphrase(path: Path, data: bytes, passphrase: bytes) -> object:
    """The key in a file, opened with its passphrase; KeyFileError: that does not open it."""
    try:
        return _decrypted(data, passphrase)
    except (ValueError, TypeError) as error:
        raise KeyFileError(
            f"the passphrase does not open the key {path}", hint="try again with the right one"
        ) from error


def _decrypted(data: bytes, passphrase: bytes | None) -> object:
    """The key in PEM. `passphrase` None: it has none.

    Raises:
        ValueError: it is damaged, of a kind that is not known, or the passphrase is wrong.
        TypeError: it needs a passphrase, or was given one that it does not need.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(data, passphrase)
    except UnsupportedAlgorithm as error:
        raise ValueError from error


def _on_the_curve(path: Path, private: object) -> EllipticCurvePrivateKey:
    """The key, if it is one on P-256; KeyFileError: it is none."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    if isinstance(private, EllipticCurvePrivateKey) and private.curve.name == _CURVE:
        return private
    raise KeyFileError(
        f"{path} holds no private key on the curve P-256",
        hint="`watchkeeper checkpoint keygen` makes one",
    )


def refuse_inside(path: Path, root: Path) -> None:
    """Refuse a private key in a checkpoint's folder, with which it would be handed on.

    Raises:
        KeyFileError: it lies there.
    """
    if path.resolve().is_relative_to(root.resolve()):
        raise KeyFileError(
            f"the key {path} lies inside the checkpoint, and would be handed on with it",
            hint="move it out; if the checkpoint was handed on already, make a new key",
        )


def load_public(pem: bytes, where: str) -> EllipticCurvePublicKey:
    """The public key in a PEM text; `where` names it in an error.

    Raises:
        KeyFileError: it is none on the curve P-256.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{where} is no public key") from error
    if isinstance(public, EllipticCurvePublicKey) and public.curve.name == _CURVE:
        return public
    raise KeyFileError(f"{where} is a public key, and not one on the curve P-256")
