"""Bytes that are no UTF-8, carried through text that must be: the name of a job, a path, what a
command printed.

Python reads such a byte as half a surrogate, which no JSON holds. In a journal it is a sign for
private use, one for each byte, and `as_path` makes the byte of it again where a file of that name
is opened.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from watchkeeper.core.text import lazy

T = TypeVar("T")
# Half surrogates stand for the bytes 80 to FF (PEP 383); any other one stands for nothing.
_HALF = lazy.pattern("[\ud800-\udfff]")
_SIGN = lazy.pattern("[\U0010f780-\U0010f7ff]")
_SURROGATE, _PRIVATE = 0xDC00, 0x10F700


def as_text(text: str) -> str:
    """The text with a sign for private use in place of each byte that is no UTF-8; most texts are
    themselves. Half a surrogate that stands for no byte becomes U+FFFD.
    """
    if text.isascii():
        return text
    return _HALF.sub(_sign, text)


def as_path(text: str) -> str:
    """A path that `as_text` gave, as the system's calls take it: with the bytes that the file's
    name has.
    """
    if text.isascii():
        return text
    return _SIGN.sub(_byte, text)


def _byte(match: re.Match[str]) -> str:
    """Half a surrogate, as Python reads the byte that a sign stands for."""
    return chr(ord(match[0]) - _PRIVATE + _SURROGATE)


def in_all(value: T) -> T:
    """The struct with every text in it as `as_text` gives it, keys of mappings included. Its type
    stays.
    """
    return msgspec.convert(plain(value), type(value))


def plain(value: object) -> Any:
    """The same as lists, dicts and plain values, as JSON can hold them."""
    return _walk(msgspec.to_builtins(value))


def _sign(match: re.Match[str]) -> str:
    """The sign for private use that stands for a byte, which Python has read as half a
    surrogate.
    """
    byte = ord(match[0]) - _SURROGATE
    if 0x80 <= byte <= 0xFF:
        return chr(_PRIVATE + byte)
    return "\ufffd"


def _walk(value: Any) -> Any:
    """A plain value with every text in it as `as_text` gives it."""
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, dict):
        return {_walk(key): _walk(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(inner) for inner in value]
    return value
