"""The wire format of protocol buffers, as far as W&B's records need it: fields by their number
(https://protobuf.dev/programming-guides/encoding/). Fields that nobody asks for cost nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Value = int | bytes
Fields = dict[int, list[Value]]
"""A field's number → its values in their order; more than one where it is repeated."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10
_DOUBLE = struct.Struct("<d")


class WireError(ValueError):
    """The bytes are no message."""


def fields_of(message: bytes) -> Fields:
    """The fields of a message: a number for a varint, bytes for anything else.

    Raises:
        WireError: the bytes are no message.
    """
    fields: Fields = {}
    for number, value in _each(message):
        fields.setdefault(number, []).append(value)
    return fields


def _each(message: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind == _EIGHT_BYTES:
            size = 8
        elif kind == _FOUR_BYTES:
            size = 4
        else:
            raise WireError(f"unknown kind {kind} of a field")
        if at + size > len(message):
            raise WireError("a field is longer than its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the bytes behind it begin."""
    number = 0
    for index, byte in enumerate(message[at : at + _MOST_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, at + index + 1
    raise WireError("a number has no end")


def message_in(fields: Fields, number: int) -> Fields:
    """The last message in a field; no fields where there is none."""
    values = messages_in(fields, number)
    return values[-1] if values else {}


def messages_in(fields: Fields, number: int) -> list[Fields]:
    """Every message in a repeated field."""
    return [fields_of(value) for value in fields.get(number, ()) if isinstance(value, bytes)]


def texts_in(fields: Fields, number: int) -> list[str]:
    """Every text in a repeated field."""
    values = fields.get(number, ())
    return [value.decode("utf-8", "replace") for value in values if isinstance(value, bytes)]


def text_in(fields: Fields, number: int) -> str:
    """The text in a field, "" for none."""
    texts = texts_in(fields, number)
    return texts[-1] if texts else ""


def integer_in(fields: Fields, number: int) -> int | None:
    """The signed number in a field of type int32 or int64; None where there is none."""
    values = fields.get(number)
    if not values or not isinstance(values[-1], int):
        return None
    value = values[-1] & (2**64 - 1)
    return value - 2**64 if value >> 63 else value


def zigzag_in(fields: Fields, number: int) -> int | None:
    """The signed number in a field of type sint32 or sint64; None where there is none."""
    values = fields.get(number)
    if not values or not isinstance(values[-1], int):
        return None
    return (values[-1] >> 1) ^ -(values[-1] & 1)


def double_in(fields: Fields, number: int) -> float | None:
    """The number in a field of type double; None where there is none."""
    values = fields.get(number)
    if not values or not isinstance(values[-1], bytes) or len(values[-1]) != _DOUBLE.size:
        return None
    return float(_DOUBLE.unpack(values[-1])[0])
