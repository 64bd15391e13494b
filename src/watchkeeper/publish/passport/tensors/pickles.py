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
# What `_rebuild_tensor_v3` names beside bytes without a type.
_NAMED_DTYPES = {
    "float8_e4m3fn": ("F8_E4M3", 1), "float8_e5m2": ("F8_E5M2", 1),
    "float8_e4m3fnuz": ("F8_E4M3FNUZ", 1), "float8_e5m2fnuz": ("F8_E5M2FNUZ", 1),
    "float8_e8m0fnu": ("F8_E8M0", 1), "uint16": ("U16", 2), "uint32": ("U32", 4),
    "uint64": ("U64", 8),
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


class View(NamedTuple):
    """Where a tensor's numbers lie: in the storage `key`, from its number `offset` on, `stride`
    numbers apart in each direction.
    """

    tensor: Tensor
    key: str
    offset: int
    stride: tuple[int, ...]


def read(path: Path, size: int) -> Pickled:
    """What a `.pt`, `.pth`, `.bin`, `.ckpt` or `.pkl` file describes.

    A zip is of PyTorch 1.6 or newer; anything else is read as a row of pickles. `size` is the
    file's, in bytes.

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


def views(path: Path) -> list[View]:
    """Where the tensors of a zip of PyTorch's lie; those of which it is not plain are left out.

    Raises:
        FaultError, UnreadError, OSError: as `read`.
    """
    reading = follow(io.BytesIO(_member(path)))
    found: list[View] = []
    for name, call in _calls(reading.value):
        view = _view(name, call)
        if view is not None:
            found.append(view)
    return found


def _member(path: Path) -> bytes:
    """The pickle in a zip of PyTorch's, by its own name alone: no path of the archive is used.

    Raises:
        FaultError: the zip is torn, or has no `data.pkl`, or several.
        UnreadError: the pickle is longer than 64 MiB.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            named = [one for one in archive.infolist() if one.filename.endswith("data.pkl")]
            if len(named) != 1:
                raise FaultError(f"is a zip with {len(named)} members data.pkl, not one")
            if named[0].file_size > MOST_PICKLE_BYTES:
                raise UnreadError(f"has a data.pkl of {named[0].file_size:,} bytes")
            # The size that the archive states may be wrong: no more is unpacked than is read.
            with archive.open(named[0]) as member:
                return member.read(MOST_PICKLE_BYTES + 1)[:MOST_PICKLE_BYTES]
    except ZIP_ERRORS as error:
        raise FaultError(f"is torn: {error}") from error


def _row(file: io.BytesIO) -> list[Reading]:
    """The pickles that follow one another, up to the first that is damaged: behind the last lie the
    tensors' own bytes.

    PyTorch before 1.6 wrote a magic number, a version, facts about the machine, the values, and the
    keys of their storages: five pickles.
    """
    readings: list[Reading] = []
    while len(readings) < _MOST_PICKLES:
        reading = follow(file)
        if readings and reading.tangled:
            break
        readings.append(reading)
    return readings


def _pickled(readings: list[Reading]) -> Pickled:
    """What the pickles of one file describe together.

    The names are known of each pickle; the tensors are only if all of them could be followed.
    """
    names: dict[str, None] = {}
    for reading in readings:
        names.update(dict.fromkeys(reading.names))
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
    """The tensors below a value, by their keys: `model.layers.0.weight`."""
    for name, call in _calls(value):
        tensor = _tensor(name, call)
        if tensor is not None:
            yield tensor


def _calls(value: Any) -> Iterator[tuple[str, Call]]:
    """The calls below a value that rebuild a tensor, by their keys. What is reached twice is walked
    once: a few bytes of a pickle can refer to themselves without end.

    `{"model": {"lm_head.weight": CALL}}` gives `model.lm_head.weight`. What lies deeper than 64
    values is not looked at.
    """
    walked: set[int] = set()
    rest: list[tuple[str, Any, int]] = [("", value, 0)]
    while rest:
        name, one, depth = rest.pop()
        if isinstance(one, Call) and _tensor(name, one) is not None:
            yield name, _inner(one)
            continue
        if depth >= _MOST_DEPTH or id(one) in walked:
            continue
        walked.add(id(one))
        prefix = f"{name}." if name else ""
        members = [(f"{prefix}{key}", inner, depth + 1) for key, inner in _members(one)]
        rest += members[::-1]  # the last of `rest` is walked next: the first member first


def _members(value: Any) -> list[tuple[Any, Any]]:
    """What a value holds, with the key or the place of each; [] for one that holds nothing."""
    if isinstance(value, Call):
        return value.items
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    return []


def _tensor(name: str, call: Call) -> Tensor | None:
    """The tensor that a call rebuilds; None where it rebuilds none.

    PyTorch writes `_rebuild_tensor_v2(storage, offset, size, stride, …)`; `size` is the shape, and
    `offset` and `stride` count numbers of the storage, not bytes.
    """
    call = _inner(call)
    is_tensor = _called(call).startswith("_rebuild_tensor")
    if not is_tensor or len(call.arguments) < 3:
        return None
    shape = _sizes(call.arguments[2])
    if shape is None:
        return None
    dtype, size = _dtype(call)
    size_bytes = math.prod(shape) * size if size else None
    return Tensor(name, dtype, shape, size_bytes)


def _inner(call: Call) -> Call:
    """The call that rebuilds the tensor of a parameter; of anything else the call itself.

    A parameter is `_rebuild_parameter(_rebuild_tensor_v2(…), requires_grad, …)`.
    """
    is_parameter = _called(call).startswith("_rebuild_parameter")
    if is_parameter and call.arguments:
        inner = call.arguments[0]
        if isinstance(inner, Call):
            return inner
    return call


def _called(call: Call) -> str:
    """The name of the function that is called, without its module; "": it has none, or no plain
    arguments.
    """
    if isinstance(call.function, Name) and isinstance(call.arguments, tuple):
        return call.function.name
    return ""


def _sizes(value: Any) -> tuple[int, ...] | None:
    """The sizes in a tuple, also as torch.Size; None: it is something else.

    A bool is no size, though Python counts it among the whole numbers.
    """
    if isinstance(value, Call):
        value = value.arguments[0] if value.arguments else ()
    if not isinstance(value, tuple):
        return None
    if not all(type(one) is int and one >= 0 for one in value):
        return None
    return value


def _dtype(call: Call) -> tuple[str, int]:
    """The type of a tensor and the bytes of one number in it; 0: not known.

    The storage says it (`torch.BFloat16Storage`), but for the newest types: their storage is of
    bytes without a type, and the call has the type as its seventh argument.
    """
    if _called(call) == "_rebuild_tensor_v3" and len(call.arguments) > 6:
        named = call.arguments[6]
        name = named.name if isinstance(named, Name) else "unknown"
        return _NAMED_DTYPES.get(name, (name, 0))
    return _storage(call.arguments[0])


def _view(name: str, call: Call) -> View | None:
    """Where the numbers of a tensor lie; None: that is not plain.

    A storage is `("storage", type, key, device, count)`; its bytes are the member `data/KEY` of the
    archive. What a file of another program lacks of this, or has otherwise, has no place.
    """
    tensor = _tensor(name, call)
    stored = call.arguments[0]
    if tensor is None or not isinstance(stored, Stored) or len(call.arguments) < 4:
        return None
    if not _is_storage(stored.id) or len(stored.id) < 3:
        return None
    stride, offset = _sizes(call.arguments[3]), call.arguments[1]
    if stride is None or len(stride) != len(tensor.shape):
        return None
    if type(offset) is not int or offset < 0:
        return None
    return View(tensor, str(stored.id[2]), offset, stride)


def _storage(stored: Any) -> tuple[str, int]:
    """The type of a storage and the bytes of one number in it; 0: not known."""
    unknown = ("unknown", 0)
    if not isinstance(stored, Stored) or not _is_storage(stored.id):
        return unknown
    kind = stored.id[1]
    if not isinstance(kind, Name):
        return unknown
    match = _STORAGE.fullmatch(kind.name)
    if match is None:
        return unknown
    return _DTYPES.get(match["dtype"], (match["dtype"], 0))


def _is_storage(id: Any) -> bool:
    """Whether an id is as PyTorch writes it: a tuple that names the type of the storage."""
    return isinstance(id, tuple) and len(id) > 1
