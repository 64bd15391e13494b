"""The hash of an event: a tree of salted hashes, one for each of its values.

Whoever knows an event's salt can compute its hash. To show a part of an event and hide the rest,
the owner gives the part with its salt, and of the rest the hash alone: the hash of the whole can
still be computed. A salt opens its own value and everything in it, and nothing beside it.

Which parts are private plays no role here, so the hash never changes when a version of Watchkeeper
comes to know more kinds, more fields, or a field that is to be hidden.

    salt of an event    SHA-256("watchkeeper salt 1" NUL, the writer's secret, "WRITER/SEQ")
    salt of a part      SHA-256("watchkeeper salt 1" NUL, salt of the whole, name or number)
                        each cut to 16 bytes, so that no salt leads to another beside it
    text, number, true, false, null, and an empty object or list
                        SHA-256("watchkeeper value 1" NUL, salt, its JSON in ASCII)
    object              SHA-256("watchkeeper object 1" NUL, then by name: length of the name in four
                        bytes, name, hash of the part)
    list                SHA-256("watchkeeper list 1" NUL, then in order the hashes of its parts)
"""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from typing import Any

SECRET_BYTES = 32
SALT_BYTES = 16

_SALT = b"watchkeeper salt 1\0"
_VALUE = b"watchkeeper value 1\0"
_OBJECT = b"watchkeeper object 1\0"
_LIST = b"watchkeeper list 1\0"
_encode = json.JSONEncoder().encode
_text_in_ascii = encode_basestring_ascii  # what `_encode` makes of a text, in a tenth of the time


def new_secret() -> bytes:
    """A random secret for one writer."""
    return secrets.token_bytes(SECRET_BYTES)


def event_salt(secret: bytes, writer: str, seq: int) -> bytes:
    """The salt of a writer's event number `seq`: 16 bytes, which open this event and no other."""
    return part_salt(secret, f"{writer}/{seq}")


def part_salt(salt: bytes, part: str | int) -> bytes:
    """The salt of a part: of an object by its name, of a list by its number from 0. Whoever has the
    salt of the whole can make those of its parts; not the other way round.
    """
    return sha256(_SALT + salt + str(part).encode()).digest()[:SALT_BYTES]


def hash_value(value: Any, salt: bytes) -> bytes:
    """The hash of a value as JSON has it: 32 bytes.

    Raises:
        RecursionError: it is nested too deeply.
    """
    kind = type(value)
    if kind is str:
        return sha256(_VALUE + salt + _text_in_ascii(value).encode()).digest()
    if kind is int:
        return sha256(b"%b%b%d" % (_VALUE, salt, value)).digest()
    if value and kind is dict:
        return _hash_object(value, _SALT + salt)
    if value and kind is list:
        return _hash_list(value, _SALT + salt)
    return sha256(_VALUE + salt + _encode(value).encode()).digest()


# The salts of parts are made here without a call for each: a journal of 50,000 events has a million
# parts, and a call costs as much as a hash.


def _hash_object(value: Mapping[str, Any], seed: bytes) -> bytes:
    """The hash of an object that is not empty. `seed`: what the salts of its parts begin with."""
    pieces = [_OBJECT]
    for name, encoded, framed in _in_order(tuple(value)):
        salt = sha256(seed + encoded).digest()[:SALT_BYTES]
        pieces += (framed, hash_value(value[name], salt))
    return sha256(b"".join(pieces)).digest()


def _hash_list(value: Sequence[Any], seed: bytes) -> bytes:
    """The hash of a list that is not empty. `seed`: what the salts of its parts begin with."""
    pieces = [_LIST]
    for at, part in enumerate(value):
        salt = sha256(b"%b%d" % (seed, at)).digest()[:SALT_BYTES]
        pieces.append(hash_value(part, salt))
    return sha256(b"".join(pieces)).digest()


@functools.lru_cache(maxsize=1024)  # most events are of a few kinds
def _in_order(names: tuple[str, ...]) -> list[tuple[str, bytes, bytes]]:
    """The names of an object's parts in their order: each as it is, in bytes, and as an object's
    hash has it, after the number of these bytes.
    """
    framed: list[tuple[str, bytes, bytes]] = []
    for name in sorted(names):
        encoded = name.encode()
        framed.append((name, encoded, len(encoded).to_bytes(4, "big") + encoded))
    return framed


def join_object(parts: Mapping[str, bytes]) -> bytes:
    """The hash of an object from those of its parts, name → 32 bytes: whoever sees some of its
    parts only can still compute it.
    """
    pieces = [_OBJECT]
    for name, _, framed in _in_order(tuple(parts)):
        pieces += (framed, parts[name])
    return sha256(b"".join(pieces)).digest()


def join_list(parts: Iterable[bytes]) -> bytes:
    """The hash of a list from those of its parts, in their order."""
    return sha256(_LIST + b"".join(parts)).digest()
