"""PyTorch's pickles, read without unpickling: the tensors that they describe, and what loading them
would run.

Since PyTorch 1.6 a checkpoint is a zip whose member `data.pkl` describes the tensors; each names a
storage, `('storage', torch.FloatStorage, key, device, count)`. Older files are a row of pickles.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.publish.passport.tensors.symbols import Call, Name, Reading, Stored, follow
from watchkeeper.publish.passport.tensors.tensor import MOST_TENSORS, Tensor, UnreadError
from watchkeeper.tools.file_formats import ZIP_ERRORS, FaultError

MOST_PICKLE_BYTES = 64 * 2**20
"""A longer pickle is not read; a checkpoint's describes its tensors and does not hold them."""
_MOST_PICKLES = 8
"""Of a file of PyTorch before 1.6, which has five."""
_MOST_DEPTH = 64
_STORAGE = re.compile(r"(?P<dtype>[A-Z][A-Za-z0-9]*)Storage")
_DTYPES = {
    "Float": ("F32", 4), "Double": ("F64", 8), "Half": ("F16", 2), "BFloat16": ("BF16", 2),
    "Long": ("I64", 8), "Int": ("I32", 4), "Short": ("I16", 2), "Char": ("I8", 1),
    "Byte": ("U8", 1), "Bool": ("BOOL", 1), "Untyped": ("U8", 1),
    "ComplexFloat": ("C64", 8), "ComplexDouble": ("C128", 16),
}  # fmt: skip
# What a state dictionary needs: it builds values and runs no code. Source: the names
# that `torch.load(weights_only=True)` accepts without being asked.
_HARMLESS = re.compile(
    r"collections\.(?:OrderedDict|Counter|defaultdict)|builtins\.(?:set|frozenset|bytearray|complex)"
    r"|__builtin__\.set|copyreg\._reconstructor|_codecs\.encode|torch\.[A-Za-z0-9]+Storage"
    r"|torch\.(?:storage\.(?:Untyped|Typed)Storage|Tensor|Size|device|nn\.parameter\.Parameter)"
    r"|torch\._utils\._rebuild_(?:tensor|tensor_v2|tensor_v3|parameter|parameter_with_state"
    r"|qtensor|sparse_tensor|meta_tensor_no_storage|wrapper_subclass)"
    r"|torch\._tensor\._rebuild_from_type_v2|torch\.serialization\._get_layout"
    r"|torch\.(?:float|double|half|bfloat|int|uint|quint|qint|complex|bool|long|short)[a-z0-9_]*"
    r"|numpy\.(?:_core|core)\.multiarray\.(?:scalar|_reconstruct)|numpy\.(?:dtype|ndarray)"
)


class Pickled(NamedTuple):
    """The tensors of a pickle, the names that it would import beyond those a state dictionary
    needs, and why its tensors are not known ("": they are).
    """

    tensors: tuple[Tensor, ...]
    foreign: tuple[str, ...]
    unread: str


def read(path: Path, size: int) -> Pickled:
    """What a `.pt`, `.pth`, `.bin`, `.ckpt` or `.pkl` file describes.

    Raises:
        FaultError: it is a torn archive, or none of PyTorch's.
        UnreadError: its pickle is longer than 64 MiB, or compressed by another program.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        begin = file.read(4)
        file.seek(0)
        if begin == b"PK\x03\x04":
            return _pickled([follow(io.BytesIO(_member(path)))])
        row = _row(io.BytesIO(read_most(file, MOST_PICKLE_BYTES)))
    if begin[:1] != b"\x80" and row[0].tangled and not row[0].names:
        raise UnreadError("begins neither as a zip nor as a pickle")
    return _pickled(row)


def _member(path: Path) -> bytes:
    """The pickle in a zip of PyTorch's, by its own name alone: no path of the archive is used."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            named = [one for one in archive.infolist() if one.filename.endswith("data.pkl")]
            if len(named) != 1:
                raise FaultError(f"is a zip with {len(named)} members data.pkl, not one")
            if named[0].file_size > MOST_PICKLE_BYTES:
                raise UnreadError(f"has a data.pkl of {named[0].file_size:,} bytes")
            with archive.open(named[0]) as member:
                return member.read(MOST_PICKLE_BYTES + 1)[:MOST_PICKLE_BYTES]
    except ZIP_ERRORS as error:
        raise FaultError(f"is torn: {error}") from error


def _row(file: io.BytesIO) -> list[Reading]:
    """The pickles that follow one another, up to the first that is damaged: behind the last lie the
    tensors' own bytes.
    """
    readings: list[Reading] = []
    while len(readings) < _MOST_PICKLES:
        reading = follow(file)
        if readings and reading.tangled:
            break
        readings.append(reading)
    return readings


def _pickled(readings: list[Reading]) -> Pickled:
    names = dict.fromkeys(name for reading in readings for name in reading.names)
    foreign = tuple(name for name in names if not _HARMLESS.fullmatch(name))
    tangled = [reading.tangled for reading in readings if reading.tangled]
    if tangled:
        return Pickled((), foreign, tangled[0])
    tensors: dict[str, Tensor] = {}
    for reading in readings:
        for tensor in _tensors(reading.value):
            tensors[tensor.name] = tensor
            if len(tensors) > MOST_TENSORS:
                raise FaultError(f"describes more than {MOST_TENSORS:,} tensors")
    return Pickled(tuple(tensors.values()), foreign, "")


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors below a value, by their keys. What is reached twice is walked once: a few bytes
    of a pickle can refer to themselves without end.
    """
    walked: set[int] = set()
    rest: list[tuple[str, Any, int]] = [("", value, 0)]
    while rest:
        name, one, depth = rest.pop()
        if isinstance(one, Call) and (tensor := _tensor(name, one)) is not None:
            yield tensor
        elif depth < _MOST_DEPTH and id(one) not in walked:
            walked.add(id(one))
            prefix = f"{name}." if name else ""
            members = [(f"{prefix}{key}", inner, depth + 1) for key, inner in _members(one)]
            rest += members[::-1]


def _members(value: Any) -> list[tuple[Any, Any]]:
    """What a value holds, with the key or the place of each."""
    if isinstance(value, Call):
        return value.items
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    return []


def _tensor(name: str, call: Call) -> Tensor | None:
    """The tensor that a call rebuilds; None where it rebuilds none."""
    if not isinstance(call.function, Name) or not isinstance(call.arguments, tuple):
        return None
    if call.function.name.startswith("_rebuild_parameter") and call.arguments:
        inner = call.arguments[0]
        return _tensor(name, inner) if isinstance(inner, Call) else None
    if not call.function.name.startswith("_rebuild_tensor") or len(call.arguments) < 3:
        return None
    shape = call.arguments[2]
    dtype, size = _storage(call.arguments[0])
    if isinstance(shape, Call):  # torch.Size of a tuple
        shape = shape.arguments[0] if shape.arguments else ()
    if not isinstance(shape, tuple) or not all(type(one) is int and one >= 0 for one in shape):
        return None
    return Tensor(name, dtype, shape, math.prod(shape) * size if size else None)


def _storage(stored: Any) -> tuple[str, int]:
    """The type of a storage and the bytes of one number in it; 0: not known."""
    kind = stored.id[1] if isinstance(stored, Stored) and _is_storage(stored.id) else None
    match = _STORAGE.fullmatch(kind.name) if isinstance(kind, Name) else None
    if match is None:
        return "unknown", 0
    return _DTYPES.get(match["dtype"], (match["dtype"], 0))


def _is_storage(id: Any) -> bool:
    return isinstance(id, tuple) and len(id) > 1
