"""What came of verifying a signature."""

from __future__ import annotations

from typing import Any

import msgspec


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The signature holds, and is a trusted signer's. `statement` is what was signed."""

    name: str
    fingerprint: str
    statement: dict[str, Any]


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """No trusted signer's key made the signature. `fingerprint` names the key by the signature's
    own word, "" where it has none.
    """

    fingerprint: str

    @property
    def message(self) -> str:
        """The outcome in words."""
        if not self.fingerprint:
            return "signed by an unknown key"
        return f"signed by unknown key {self.fingerprint}"


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """The signature does not hold, or is none; `message` says why."""

    message: str


Outcome = Verified | Unknown | Bad
