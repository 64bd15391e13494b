"""The initializers of an ONNX model, read from its protobuf message without its library: names,
types, shapes, and where their bytes lie, in the file or in one beside it.

Source: onnx.proto3. Of the message only the fields below are followed; all others are passed over.
Constants inside nodes and subgraphs are no initializers of the model, and are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from watchkeeper.core.disk.files import open_regular
from watchkeeper.publish.passport.tensors.tensor import (
    MOST_TENSORS,
    Span,
    Tensor,
    UnreadError,
)
from watchkeeper.tools.file_formats import FaultError, short

_GRAPH = 7
_INITIALIZER, _SPARSE = 5, 15
_DIMS, _DTYPE, _FLOATS, _NAME, _RAW, _DOUBLES, _EXTERNAL, _LOCATION = 1, 2, 4, 8, 9, 10, 13, 14
_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_KEY, _VALUE = 1, 2
_MOST_TEXT_BYTES = 2**16
_MOST_VARINT_BYTES = 10
# Type → our name for it, and the bits of one number; 0: it has none of one size.
_DTYPES = {
    1: ("F32", 32), 2: ("U8", 8), 3: ("I8", 8), 4: ("U16", 16), 5: ("I16", 16), 6: ("I32", 32),
    7: ("I64", 64), 8: ("STRING", 0), 9: ("BOOL", 8), 10: ("F16", 16), 11: ("F64", 64),
    12: ("U32", 32), 13: ("U64", 64), 14: ("C64", 64), 15: ("C128", 128), 16: ("BF16", 16),
    17: ("F8_E4M3", 8), 18: ("F8_E4M3FNUZ", 8), 19: ("F8_E5M2", 8), 20: ("F8_E5M2FNUZ", 8),
    21: ("U4", 4), 22: ("I4", 4), 23: ("F4_E2M1", 4), 24: ("F8_E8M0", 8),
}  # fmt: skip


class Field(NamedTuple):
    """A field of a message: its number, its value where it is a number, and where its bytes lie in
    the file, from `begin` up to `end`.
    """

    number: int
    value: int
    begin: int
    end: int


class Initializer(NamedTuple):
    """A tensor, and where its numbers lie: in `file`, relative to the model's folder ("": the model
    itself), from `begin` on; None: in a form of protobuf's own.
    """

    tensor: Tensor
    file: str
    begin: int | None


def read(path: Path, size: int) -> list[Tensor]:
    """The initializers of a model of `size` bytes.

    Raises:
        FaultError: it is torn, or no ONNX model.
        UnreadError: some of its tensors are sparse.
        OSError: it cannot be read.
    """
    return [one.tensor for one in initializers(path, size)]


def spans(path: Path, size: int) -> list[Span]:
    """Where the tensors lie; those in protobuf's own form are left out.

    That form packs numbers of variable length, which have no place of their own.

    Raises:
        FaultError, UnreadError, OSError: as `read`.
    """
    return [
        Span(one.tensor.name, one.tensor.dtype, one.begin, one.tensor.size_bytes, one.file)
        for one in initializers(path, size)
        if one.begin is not None and one.tensor.size_bytes is not None
    ]


def initializers(path: Path, size: int) -> list[Initializer]:
    """The tensors of a model, each with its place.

    Raises:
        FaultError, UnreadError, OSError: as `read`.
    """
    with open_regular(path) as file:
        graphs = [one for one in _fields(file, 0, size) if one.number == _GRAPH and one.end]
        if not graphs:
            raise FaultError("is no ONNX model: it holds no graph")
        listed: list[Initializer] = []
        for field in _fields(file, graphs[-1].begin, graphs[-1].end):
            if field.number == _SPARSE:
                raise UnreadError("holds sparse tensors, which are not read here")
            if field.number == _INITIALIZER:
                listed.append(_initializer(file, field))
            if len(listed) > MOST_TENSORS:
                raise FaultError(f"holds more than {MOST_TENSORS:,} tensors")
    return listed


def _fields(file: BinaryIO, begin: int, end: int) -> Iterator[Field]:
    """The fields of the message between two places of a file.

    A field begins with a number that holds its own number and, in the lowest three bits, how it is
    written. Source: protobuf.dev, "Encoding".

    Raises:
        FaultError: it is torn, or no message.
    """
    if end < begin:  # a number stands where a message should
        raise FaultError("is torn, or no ONNX model")
    file.seek(begin)
    while file.tell() < end:
        tag = _varint(file)
        field = _field(file, tag >> 3, tag & 7)
        if field.end > end or not field.number:
            raise FaultError("is torn, or no ONNX model")
        yield field
        file.seek(max(field.begin, field.end))


def _field(file: BinaryIO, number: int, wire: int) -> Field:
    """The field that begins here; `wire` is how it is written. Of a number `end` is 0.

    Raises:
        FaultError: it is written in no way that protobuf still has.
    """
    if wire == _VARINT:
        value = _varint(file)
        return Field(number, value, file.tell(), 0)
    lengths = {_FIXED_64: 8, _FIXED_32: 4}
    length = _varint(file) if wire == _LENGTH else lengths.get(wire)
    if length is None:
        raise FaultError("is torn, or no ONNX model")
    return Field(number, 0, file.tell(), file.tell() + length)


def _varint(file: BinaryIO) -> int:
    """The next number of variable length: seven bits a byte, the lowest first, and the eighth bit
    says that more follow. Ten bytes hold any number of 64 bits.
    """
    value = 0
    for at in range(_MOST_VARINT_BYTES):
        byte = file.read(1)
        if not byte:
            raise FaultError("is torn: it ends inside a number")
        value |= (byte[0] & 0x7F) << (7 * at)
        if byte[0] < 0x80:
            return value
    raise FaultError("is torn, or no ONNX model")


def _initializer(file: BinaryIO, message: Field) -> Initializer:
    """The tensor that a message `TensorProto` describes.

    Its fields come in any order, and a later one wins.

    Raises:
        FaultError: it is torn, or its bytes do not fit its shape.
    """
    name, dims, dtype = "", [], ("unknown", 0)
    place: int | None = None
    stored_bytes = None
    external: dict[str, str] = {}
    is_external = False
    for field in _fields(file, message.begin, message.end):
        if field.number == _NAME:
            name = _text(file, field)
        elif field.number == _DIMS:
            dims += _numbers(file, field)
        elif field.number == _DTYPE:
            dtype = _DTYPES.get(field.value, (f"ONNX type {field.value}", 0))
        elif field.number in (_RAW, _FLOATS, _DOUBLES) and field.end:
            place, stored_bytes = field.begin, field.end - field.begin
        elif field.number == _EXTERNAL:
            external |= _entry(file, field)
        elif field.number == _LOCATION:
            is_external = field.value == 1
    # Types of four bits put two numbers into a byte, and the last byte may hold one.
    size_bytes = -(-math.prod(dims) * dtype[1] // 8) if dtype[1] else None
    tensor = Tensor(name, dtype[0], tuple(dims), size_bytes)
    if is_external:
        return Initializer(tensor, external.get("location", ""), _whole(external.get("offset")))
    if stored_bytes is not None and size_bytes not in (None, stored_bytes):
        raise FaultError(f"holds {stored_bytes:,} bytes of {short(name)!r}, not {size_bytes:,}")
    return Initializer(tensor, "", place)


def _whole(text: str | None) -> int:
    """The number in a text of an external tensor's; 0 where it says none."""
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FaultError(f"places a tensor at {short(text)!r}, which is no place")
    return int(text)


def _text(file: BinaryIO, field: Field) -> str:
    """The text in a field. More than 64 KiB are no name, and are not read."""
    length = field.end - field.begin
    if not 0 <= length <= _MOST_TEXT_BYTES:
        raise FaultError(f"has a name of {length:,} bytes")
    file.seek(field.begin)
    return file.read(length).decode("utf-8", "replace")


def _numbers(file: BinaryIO, field: Field) -> list[int]:
    """The sizes in a field, of which there is one or, packed, a row."""
    if not field.end:
        return [_size(field.value)]
    file.seek(field.begin)
    numbers: list[int] = []
    while file.tell() < field.end:
        numbers.append(_size(_varint(file)))
    return numbers


def _size(number: int) -> int:
    """A size as it was read. Numbers below 0 are written as very large ones."""
    if number >= 2**63:
        raise FaultError("gives a tensor a size below 0")
    return number


def _entry(file: BinaryIO, field: Field) -> dict[str, str]:
    """One key with its value, such as `location` and the file that the tensor lies in."""
    texts = {one.number: _text(file, one) for one in _fields(file, field.begin, field.end)}
    return {texts.get(_KEY, ""): texts.get(_VALUE, "")}
