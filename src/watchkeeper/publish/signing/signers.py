"""Whose signatures count: a file of names and public keys, which the verifier keeps.

    # Ada Lovelace, evaluation
    -----BEGIN PUBLIC KEY-----
    …
    -----END PUBLIC KEY-----

The comment right above a key is its name. A file inside the checkpoint is refused: whoever packed
the checkpoint could have written it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.signing.keys import fingerprint, load_public, require_trust
from watchkeeper.tools.file_formats import short

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

MOST_SIGNERS_BYTES = 2**20
_BEGIN = "-----BEGIN PUBLIC KEY-----"
_END = "-----END PUBLIC KEY-----"


class SignersError(UsageError):
    """A file of signers cannot be used."""

    code = "bad-signers"


@dataclass(frozen=True)
class Signer:
    """Somebody whose signatures count."""

    name: str
    public: EllipticCurvePublicKey
    fingerprint: str


Signers = tuple[Signer, ...]


def signer_of(name: str, public: EllipticCurvePublicKey) -> Signer:
    """The signer of this name with this key."""
    return Signer(name=name, public=public, fingerprint=fingerprint(public))


def read_signers(path: Path, root: Path | None = None) -> Signers:
    """The signers in a file. `root` is the checkpoint that is verified; None: none.

    Raises:
        SignersError: the file lies inside the root, names no key, holds a key without a name or
            twice, or something that is no public key on the curve P-256.
        OSError: it cannot be read.
    """
    require_trust()
    if root is not None and path.resolve().is_relative_to(root.resolve()):
        raise SignersError(
            f"{path} lies inside the checkpoint, whose packer may have written it",
            hint="keep the keys that you trust elsewhere",
        )
    text = files.read_whole(path, MOST_SIGNERS_BYTES).decode(errors="replace")
    signers: dict[str, Signer] = {}
    for signer in _signers(path, text.splitlines()):
        if signer.fingerprint in signers:
            raise SignersError(f"{path} holds the key of {signer.name} twice")
        signers[signer.fingerprint] = signer
    if not signers:
        raise SignersError(f"{path} holds no public key")
    return tuple(signers.values())


def _signers(path: Path, lines: list[str]) -> Iterator[Signer]:
    name = ""
    begun = 0
    for number, line in enumerate(map(str.strip, lines), 1):
        where = f"{path}:{number}"
        if begun:
            if line == _END:
                pem = "\n".join(lines[begun - 1 : number]) + "\n"
                key = load_public(pem.encode(), f"{path}:{begun}")
                yield signer_of(name, key)
                name, begun = "", 0
        elif line.startswith("#"):
            name = short(line.lstrip("# "))
        elif line == _BEGIN:
            begun = number
            _require_name(where, name)
        elif line:
            _refuse(where, line)
    if begun:
        raise SignersError(f"{path}:{begun}: the key does not end")


def _require_name(where: str, name: str) -> None:
    if not name:
        raise SignersError(
            f"{where}: the key has no name", hint="put a line above it: # Ada Lovelace"
        )


def _refuse(where: str, line: str) -> None:
    if "PRIVATE KEY" in line:
        raise SignersError(
            f"{where}: a private key", hint="take it out: the public half alone belongs here"
        )
    raise SignersError(f"{where}: neither a name (# …) nor a public key")
