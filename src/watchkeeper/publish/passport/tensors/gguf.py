"""The header of a GGUF file of version 2 or 3: metadata, then names, shapes and types of tensors.

Source: the GGUF specification in ggml's docs/gguf.md. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from watchkeeper.core.disk.files import open_regular
from watchkeeper.publish.passport.tensors.tensor import MOST_TENSORS, Tensor, UnreadError
from watchkeeper.tools.file_formats import FaultError

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


def read(path: Path, size: int) -> list[Tensor]:
    """The tensors of a GGUF file. Their bytes are not counted: each type packs them in its own way.

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
        for _ in range(entries):
            _text(file)
            _skip_value(file, _number(file, "<I"), size, 0)
        return [_tensor(file) for _ in range(tensors)]


def _tensor(file: BinaryIO) -> Tensor:
    name = _text(file)
    dimensions = _number(file, "<I")
    if dimensions > _MOST_DIMENSIONS:
        raise FaultError(f"gives a tensor {dimensions:,} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", _take(file, 8 * dimensions))
    kind = _number(file, "<I")
    _take(file, 8)
    return Tensor(name, _DTYPES.get(kind, f"GGUF type {kind}"), shape, None)


def _skip_value(file: BinaryIO, kind: int, size: int, depth: int) -> None:
    if kind in _SIZES:
        _take(file, _SIZES[kind])
    elif kind == _STRING:
        _text(file)
    elif kind == _ARRAY and depth < _MOST_DEPTH:
        _skip_array(file, size, depth)
    else:
        raise FaultError(f"holds metadata of type {kind}, which the format does not have")


def _skip_array(file: BinaryIO, size: int, depth: int) -> None:
    kind, count = _number(file, "<I"), _number(file, "<Q")
    if count > min(_MOST_ENTRIES, size):
        raise FaultError(f"claims a list of {count:,} entries")
    for _ in range(count):
        _skip_value(file, kind, size, depth + 1)


def _number(file: BinaryIO, form: str) -> int:
    value: int = struct.unpack(form, _take(file, struct.calcsize(form)))[0]
    return value


def _text(file: BinaryIO) -> str:
    length = _number(file, "<Q")
    if length > _MOST_TEXT_BYTES:
        raise FaultError(f"claims a text of {length:,} bytes")
    return _take(file, length).decode("utf-8", "replace")


def _take(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise FaultError("is torn: it ends inside its header")
    return data
