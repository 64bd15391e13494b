"""The header of a GGUF file of version 2 or 3: metadata, then names, shapes and types of tensors.

Source: the GGUF specification in ggml's docs/gguf.md. All numbers are little-endian.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

from watchkeeper.core.disk.files import open_regular
from watchkeeper.publish.passport.tensors.tensor import (
    MOST_TENSORS,
    Span,
    Tensor,
    UnreadError,
)
from watchkeeper.tools.file_formats import FaultError, short

_VERSIONS = (2, 3)
_MOST_TEXT_BYTES = 16 * 2**20
_MOST_ENTRIES = 16 * 2**20
_MOST_DIMENSIONS = 8
_MOST_DEPTH = 4
_STRING, _ARRAY = 8, 9
# The sizes of the metadata's plain types, in bytes.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_DTYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
    23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16",
}  # fmt: skip
# How many numbers a type packs into how many bytes. Source: ggml's table of types.
_BLOCKS = {
    "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "F64": (1, 8), "I8": (1, 1), "I16": (1, 2),
    "I32": (1, 4), "I64": (1, 8), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22),
    "Q5_1": (32, 24), "Q8_0": (32, 34), "Q8_1": (32, 40), "Q2_K": (256, 84), "Q3_K": (256, 110),
    "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210), "Q8_K": (256, 292),
    "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ3_XXS": (256, 98), "IQ1_S": (256, 50),
    "IQ4_NL": (32, 18), "IQ3_S": (256, 110), "IQ2_S": (256, 82), "IQ4_XS": (256, 136),
    "IQ1_M": (256, 56),
}  # fmt: skip
_ALIGNMENT = "general.alignment"
_USUAL_ALIGNMENT = 32
_U32 = 4


def read(path: Path, size: int) -> list[Tensor]:
    """The tensors of a GGUF file of `size` bytes.

    Raises:
        FaultError: it is torn, or its header claims more than it can hold.
        UnreadError: it is of a version that is not known here.
        OSError: it cannot be read.
    """
    placed = _read(path, size)
    for tensor, begin in placed:
        if begin + (tensor.size_bytes or 0) > size:
            raise FaultError(f"is torn: it ends before its tensor {short(tensor.name)!r} does")
    return [tensor for tensor, _ in placed]


def spans(path: Path, size: int) -> list[Span]:
    """Where the tensors lie in the file; those of a type that is not known here are left out.

    Raises:
        FaultError, UnreadError, OSError: as `read`.
    """
    return [
        Span(tensor.name, tensor.dtype, begin, tensor.size_bytes)
        for tensor, begin in _read(path, size)
        if tensor.size_bytes is not None
    ]


def _read(path: Path, size: int) -> list[tuple[Tensor, int]]:
    """The tensors, each with the byte of the file at which it begins.

    Raises:
        FaultError: the header is torn, or claims more than it can hold.
        UnreadError: it is of a version that is not known here.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        if _take(file, 4) != b"GGUF":
            raise FaultError("is no GGUF file")
        (version,) = struct.unpack("<I", _take(file, 4))
        if version not in _VERSIONS:
            raise UnreadError(f"is a GGUF file of version {version}, which is not read here")
        tensors, entries = struct.unpack("<QQ", _take(file, 16))
        if tensors > min(MOST_TENSORS, size) or entries > min(_MOST_ENTRIES, size):
            raise FaultError("claims more tensors or metadata than it has bytes")
        alignment = _alignment(file, entries, size)
        placed = [_tensor(file) for _ in range(tensors)]
        begin = -(-file.tell() // alignment) * alignment
    return [(tensor, begin + offset) for tensor, offset in placed]


def _alignment(file: BinaryIO, entries: int, size: int) -> int:
    """Pass over the metadata, and return the bytes of which the tensors' begin is a multiple."""
    alignment = _USUAL_ALIGNMENT
    for _ in range(entries):
        name, kind = _text(file), _number(file, "<I")
        if name == _ALIGNMENT and kind == _U32:
            alignment = _number(file, "<I")
        else:
            _skip_value(file, kind, size, 0)
    if alignment == 0:
        raise FaultError(f"has the {_ALIGNMENT} 0")
    return alignment


def _tensor(file: BinaryIO) -> tuple[Tensor, int]:
    """The next tensor, and its distance in bytes from where the tensors begin."""
    name = _text(file)
    dimensions = _number(file, "<I")
    if dimensions > _MOST_DIMENSIONS:
        raise FaultError(f"gives a tensor {dimensions:,} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", _take(file, 8 * dimensions))
    kind = _number(file, "<I")
    offset = _number(file, "<Q")
    dtype = _DTYPES.get(kind, f"GGUF type {kind}")
    return Tensor(name, dtype, shape, _size_of(dtype, math.prod(shape))), offset


def _size_of(dtype: str, elements: int) -> int | None:
    """The bytes of so many numbers; None: the type is not known here, or packs no such count.

    256 numbers of `Q4_K` are one block of 144 bytes.
    """
    numbers, size_bytes = _BLOCKS.get(dtype, (0, 0))
    if numbers == 0 or elements % numbers:
        return None
    return elements // numbers * size_bytes


def _skip_value(file: BinaryIO, kind: int, size: int, depth: int) -> None:
    """Pass over a value of the metadata, whose type is `kind`. A list may hold lists, four deep.

    Raises:
        FaultError: the format has no such type, or the file ends in the value.
    """
    if kind in _SIZES:
        _take(file, _SIZES[kind])
    elif kind == _STRING:
        _text(file)
    elif kind == _ARRAY and depth < _MOST_DEPTH:
        _skip_array(file, size, depth)
    else:
        raise FaultError(f"holds metadata of type {kind}, which the format does not have")


def _skip_array(file: BinaryIO, size: int, depth: int) -> None:
    """Pass over a list: the type of its entries, how many there are, and the entries."""
    kind, count = _number(file, "<I"), _number(file, "<Q")
    if count > min(_MOST_ENTRIES, size):
        raise FaultError(f"claims a list of {count:,} entries")
    for _ in range(count):
        _skip_value(file, kind, size, depth + 1)


def _number(file: BinaryIO, form: str) -> int:
    """The next number, in a form of `struct`: `<I` is 4 bytes without a sign, `<Q` 8."""
    value: int = struct.unpack(form, _take(file, struct.calcsize(form)))[0]
    return value


def _text(file: BinaryIO) -> str:
    """The next text: the number of its bytes, in 8 bytes, and these in UTF-8."""
    length = _number(file, "<Q")
    if length > _MOST_TEXT_BYTES:
        raise FaultError(f"claims a text of {length:,} bytes")
    return _take(file, length).decode("utf-8", "replace")


def _take(file: BinaryIO, size: int) -> bytes:
    """The next `size` bytes, all of them."""
    data = file.read(size)
    if len(data) < size:
        raise FaultError("is torn: it ends inside its header")
    return data
