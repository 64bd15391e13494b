"""The arrays of a MessagePack file as Flax writes it: names, types, shapes, and where their bytes
lie. Nothing is loaded.

Source: the MessagePack specification, and flax/serialization.py: an array is an extension of type 1
(a scalar of type 3) that holds, packed once more, its shape, its type's name and its bytes. A large
array is a mapping of pieces, `{"__msgpack_chunked_array__": true, "shape": …, "chunks": …}`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from watchkeeper.core.disk.files import open_regular
from watchkeeper.publish.passport.tensors.tensor import (
    MOST_TENSORS,
    NUMPY_DTYPES,
    Span,
    Tensor,
    UnreadError,
)
from watchkeeper.tools.file_formats import FaultError

_ARRAY_TYPES = (1, 3)
_MOST_DEPTH = 64
_MOST_KEY_BYTES = 2**16
_MOST_DIMENSIONS = 64
_PIECE = re.compile(r"(?P<name>.+)\.chunks\.\d+")

Kind = Literal["mapping", "list", "extension", "bytes", "number", "plain"]

# The first byte of a value → its kind and the bytes of its length or of its number.
_LONG: dict[int, tuple[Kind, int]] = {
    0xDE: ("mapping", 2), 0xDF: ("mapping", 4), 0xDC: ("list", 2), 0xDD: ("list", 4),
    0xC7: ("extension", 1), 0xC8: ("extension", 2), 0xC9: ("extension", 4),
    0xC4: ("bytes", 1), 0xC5: ("bytes", 2), 0xC6: ("bytes", 4),
    0xD9: ("bytes", 1), 0xDA: ("bytes", 2), 0xDB: ("bytes", 4),
    0xCC: ("number", 1), 0xCD: ("number", 2), 0xCE: ("number", 4),
}  # fmt: skip
# The first byte of a value that needs no length → the bytes that follow it.
_SHORT: dict[int, tuple[Kind, int]] = {
    0xC0: ("plain", 0), 0xC2: ("plain", 0), 0xC3: ("plain", 0), 0xCA: ("plain", 4),
    0xCB: ("plain", 8), 0xCF: ("plain", 8), 0xD0: ("plain", 1), 0xD1: ("plain", 2),
    0xD2: ("plain", 4), 0xD3: ("plain", 8), 0xD4: ("extension", 1), 0xD5: ("extension", 2),
    0xD6: ("extension", 4), 0xD7: ("extension", 8), 0xD8: ("extension", 16),
}  # fmt: skip


class Head(NamedTuple):
    """The beginning of a value: its kind, and its length in entries or bytes, or its number. Whole
    numbers from 0 on, which keys and sizes are, are of the kind `number`, all others `plain`.
    """

    kind: Kind
    length: int


class Placed(NamedTuple):
    """An array, or a piece of one, and where its bytes begin in the file."""

    tensor: Tensor
    begin: int


def read(path: Path, size: int) -> list[Tensor]:
    """The arrays of a file of `size` bytes. One in pieces is listed as one row of numbers.

    Raises:
        FaultError: it is torn, or holds more than one value.
        UnreadError: it holds no array as Flax writes them.
        OSError: it cannot be read.
    """
    pieces: dict[str, list[Tensor]] = defaultdict(list)
    for tensor, _ in _placed(path, size):
        pieces[_whole_name(tensor.name)].append(tensor)
    return [_joined(name, tensors) for name, tensors in pieces.items()]


def spans(path: Path, size: int) -> list[Span]:
    """Where the arrays lie, each piece by itself.

    Raises:
        FaultError, UnreadError, OSError: as `read`.
    """
    return [
        Span(_whole_name(tensor.name), tensor.dtype, begin, tensor.size_bytes or 0)
        for tensor, begin in _placed(path, size)
    ]


def _whole_name(name: str) -> str:
    """The name of an array, of a piece of which this may be the name: `w.chunks.3` is of `w`."""
    match = _PIECE.fullmatch(name)
    if match is None:
        return name
    return match["name"]


def _joined(name: str, tensors: list[Tensor]) -> Tensor:
    """One tensor of all the pieces of an array; the array itself where it is in one piece.

    The shape of a whole in pieces stands in the file, too, but nothing here needs more than how
    many numbers there are.
    """
    if len(tensors) == 1 and tensors[0].name == name:
        return tensors[0]
    elements = sum(tensor.elements for tensor in tensors)
    size_bytes = sum(tensor.size_bytes or 0 for tensor in tensors)
    return Tensor(name, tensors[0].dtype, (elements,), size_bytes)


def _placed(path: Path, size: int) -> list[Placed]:
    """The arrays and pieces of a file, each with where its bytes begin.

    Raises:
        FaultError, UnreadError, OSError: as `read`.
    """
    placed: list[Placed] = []
    with open_regular(path) as file:
        for one in _values(file, size, "", 0):
            placed.append(one)
            if len(placed) > MOST_TENSORS:
                raise FaultError(f"holds more than {MOST_TENSORS:,} arrays")
        if file.tell() != size:
            raise FaultError("holds more than one value")
    if not placed:
        raise UnreadError("holds no array as Flax writes them")
    return placed


def _values(file: BinaryIO, size: int, name: str, depth: int) -> Iterator[Placed]:
    """The arrays in the next value. The file stands behind the value afterwards.

    `size` is the file's, in bytes; `name` the keys that lead to the value, "" for the whole;
    `depth` in how many values it lies.
    """
    head = _head(file)
    if depth > _MOST_DEPTH:
        raise FaultError(f"nests its values more than {_MOST_DEPTH} deep")
    prefix = f"{name}." if name else ""
    if head.kind == "mapping":
        for _ in range(head.length):
            yield from _values(file, size, f"{prefix}{_key(file)}", depth + 1)
    elif head.kind == "list":
        for at in range(head.length):
            yield from _values(file, size, f"{prefix}{at}", depth + 1)
    elif head.kind == "extension":
        yield from _extension(file, size, name, head.length)
    elif head.kind in ("bytes", "plain"):
        _pass(file, size, head.length)


def _extension(file: BinaryIO, size: int, name: str, length: int) -> Iterator[Placed]:
    """The array of an extension of `length` bytes; nothing for one that is no array of Flax's.

    One byte with its type stands before those.
    """
    kind = _take(file, 1)[0]
    end = file.tell() + length
    if kind in _ARRAY_TYPES:
        yield _array(file, name, end)
    file.seek(end)
    _pass(file, size, 0)


def _array(file: BinaryIO, name: str, end: int) -> Placed:
    """The array of an extension that ends at `end`: a list of its shape, its type and its bytes,
    such as `[[8, 4], "float32", b"…"]`.

    Raises:
        FaultError: its shape and its bytes disagree.
    """
    head, sizes = _head(file), _head(file)
    if head != ("list", 3) or sizes.kind != "list" or sizes.length > _MOST_DIMENSIONS:
        raise FaultError("holds an array that is none of Flax's")
    shape = tuple(_number(file) for _ in range(sizes.length))
    dtype, number_bytes = NUMPY_DTYPES.get(_key(file), ("unknown", 0))
    data = _head(file)
    begin = file.tell()
    needs = math.prod(shape) * number_bytes
    if data.kind != "bytes" or begin + data.length != end:
        raise FaultError("holds an array that is none of Flax's")
    if number_bytes and data.length != needs:
        raise FaultError(f"holds {data.length:,} bytes of an array that needs {needs:,}")
    return Placed(Tensor(name, dtype, shape, data.length), begin)


def _head(file: BinaryIO) -> Head:
    """The beginning of the next value. Small values have their length in their first byte: `0x82`
    is a mapping of two entries, `0xa3` a text of three bytes.

    Raises:
        FaultError: MessagePack has no such value, or the file ends in it.
    """
    first = _take(file, 1)[0]
    if first < 0x80:
        return Head("number", first)
    if first < 0x90:
        return Head("mapping", first & 0x0F)
    if first < 0xA0:
        return Head("list", first & 0x0F)
    if first < 0xC0:
        return Head("bytes", first & 0x1F)
    if first >= 0xE0:
        return Head("plain", 0)  # a number from -32 to -1
    if first in _SHORT:
        return Head(*_SHORT[first])
    if first not in _LONG:
        raise FaultError("is no MessagePack file")
    kind, width = _LONG[first]
    return Head(kind, int.from_bytes(_take(file, width), "big"))


def _key(file: BinaryIO) -> str:
    """The next value, which is a text or a whole number, as a text. Flax writes lists as mappings
    from `"0"` on, other programs as numbers.

    Raises:
        FaultError: it is of another kind, or longer than 64 KiB.
    """
    head = _head(file)
    if head.kind == "number":
        return str(head.length)
    if head.kind != "bytes" or head.length > _MOST_KEY_BYTES:
        raise FaultError("has a key that is no text")
    return _take(file, head.length).decode("utf-8", "replace")


def _number(file: BinaryIO) -> int:
    """The next value, which is a whole number from 0 on: one size of a shape."""
    head = _head(file)
    if head.kind != "number":
        raise FaultError("holds an array whose shape is no list of sizes")
    return head.length


def _pass(file: BinaryIO, size: int, length: int) -> None:
    """Go `length` bytes further, without reading them. A file of `size` bytes has to have them."""
    file.seek(length, 1)
    if file.tell() > size:
        raise FaultError("is torn: it ends inside a value")


def _take(file: BinaryIO, count: int) -> bytes:
    """The next `count` bytes, all of them."""
    data = file.read(count)
    if len(data) < count:
        raise FaultError("is torn: it ends inside a value")
    return data
