"""The chain of one writer's events: after each event a hash over it and all events before it.

    before the first event    SHA-256("watchkeeper chain 1" NUL, the writer's id)
    after an event            SHA-256("watchkeeper link 1" NUL, the chain before it, its hash)

The hash of an event is in core/chain/tree.py.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from watchkeeper.core.chain import tree
from watchkeeper.core.text import lazy

_START = b"watchkeeper chain 1\0"
_LINK = b"watchkeeper link 1\0"
_HEX = lazy.pattern(r"[0-9a-f]*")
FAULTS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What `hash_line` raises for a line that is no event."""


def read_hex(text: object, size_bytes: int) -> bytes | None:
    """The bytes that a text of lower-case hexadecimal digits states; None where it states none of
    this size.
    """
    if not isinstance(text, str) or len(text) != 2 * size_bytes or not _HEX.fullmatch(text):
        return None
    return bytes.fromhex(text)


def hash_event(event: dict[str, Any], secret: bytes) -> bytes:
    """The hash of an event as JSON has it: 32 bytes."""
    salt = tree.event_salt(secret, event["writer"], event["seq"])
    return tree.hash_value(event, salt)


def hash_line(line: bytes, secret: bytes) -> bytes:
    """The hash of the event on a journal's line: 32 bytes.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is none.
    """
    return hash_event(msgspec.json.decode(line), secret)


class Chain:
    """The chain of one writer, as far as it was followed."""

    def __init__(self, writer: str) -> None:
        self.events = 0
        self._value = sha256(_START + writer.encode()).digest()

    @property
    def value(self) -> str:
        """The chain after the events so far: 64 hexadecimal digits."""
        return self._value.hex()

    def resume(self, value: str) -> None:
        """Continue from what a seal states, so that a break shows only where it is. Anything that
        is no hash is passed over.
        """
        self._value = read_hex(value, sha256().digest_size) or self._value

    def add(self, event_hash: bytes) -> None:
        """Follow it over one more event, of this hash: 32 bytes, as `hash_event` gives them."""
        self._value = sha256(_LINK + self._value + event_hash).digest()
        self.events += 1
