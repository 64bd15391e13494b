"""The arrays of an Orbax checkpoint, from the JSON files beside its values: `_METADATA` names them
with their shapes, and `.zarray` describes an array that lies in a folder of its own.

The values of OCDBT are packed in a database that is not read here: their types are not known.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from watchkeeper.publish.manifest.safe import UnsafePathError, inside
from watchkeeper.publish.passport.tensors.tensor import (
    MOST_TENSORS,
    NUMPY_DTYPES,
    Tensor,
    UnreadError,
)
from watchkeeper.tools.file_formats import FaultError, read_json, short

MANIFEST = "manifest.ocdbt"
METADATA = "_METADATA"
COMMITTED = "_CHECKPOINT_METADATA"
_ZARRAY = ".zarray"
_CODES = {
    "f2": "float16", "f4": "float32", "f8": "float64", "i1": "int8", "i2": "int16", "i4": "int32",
    "i8": "int64", "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64", "b1": "bool",
    "c8": "complex64", "c16": "complex128",
}  # fmt: skip


def read(root: Path, path: str, sizes: Mapping[str, int]) -> list[Tensor]:
    """The arrays that a file of values stands for: the database's manifest for all of its own, the
    first piece of an array for that array, and any other for none.

    `path` is the file's, relative to the checkpoint's folder `root`; `sizes` has the bytes of each
    file of the checkpoint by its path.

    Raises:
        FaultError: a piece is missing, the checkpoint was never finished, or a file is damaged.
        UnreadError: no file beside it says what it holds.
        OSError: a file cannot be read.
    """
    place = PurePosixPath(path)
    described = str(place.parent / _ZARRAY)
    if described in sizes:
        return _array(root, place, _json(root, described), sizes)
    above = [str(folder / METADATA) for folder in place.parents]
    metadata = next((one for one in above if one in sizes), None)
    if metadata is None:
        raise UnreadError(f"is of an Orbax checkpoint without {METADATA}")
    # Each process of a training writes a database below; only the one at the top names them all.
    is_top = str(place.parent / METADATA) == metadata
    if place.name != MANIFEST or not is_top:
        return []
    _check_finished(root, place.parent, sizes)
    return _tree(_json(root, metadata))


def expected(root: Path, path: str) -> dict[str, str]:
    """Array → its folder, as a `_METADATA` has it whose arrays lie in folders of their own.

    {} for a database (OCDBT), or a file that cannot be read. `path` is that of the `_METADATA`, and
    the folders are relative to the checkpoint's, as it is.
    """
    try:
        metadata = _json(root, path)
        tensors = _tree(metadata)
    except (FaultError, UnreadError, OSError):
        return {}
    if metadata.get("use_ocdbt") is not False:
        return {}
    folder = PurePosixPath(path).parent
    return {tensor.name: str(folder / tensor.name) for tensor in tensors}


def _json(root: Path, path: str) -> dict[str, Any]:
    """The object in a JSON file of the checkpoint.

    Raises:
        FaultError: it is damaged, no object, or leads out of the checkpoint.
        OSError: it cannot be read.
    """
    try:
        value = read_json(inside(root, path))
    except UnsafePathError as error:
        raise FaultError(str(error)) from error
    except FaultError as error:
        raise FaultError(f"has a {PurePosixPath(path).name} that {error}") from error
    if not isinstance(value, dict):
        raise FaultError(f"has a {PurePosixPath(path).name} that is no object")
    return value


def _check_finished(root: Path, folder: PurePosixPath, sizes: Mapping[str, int]) -> None:
    """See that Orbax came to the end of writing, and that there are values.

    It writes `commit_timestamp_nsecs` into `_CHECKPOINT_METADATA` last. That file lies beside the
    values or one folder above; older versions write none.
    """
    values = f"{folder}/d/".removeprefix("./")
    if not any(path.startswith(values) for path in sizes):
        raise FaultError(f"has no values: the folder {short(values)} is missing")
    for place in (folder, folder.parent):
        committed = str(place / COMMITTED)
        if committed not in sizes:
            continue
        if not _json(root, committed).get("commit_timestamp_nsecs"):
            raise FaultError("is of a checkpoint that Orbax did not finish writing")
        return


def _tree(metadata: Mapping[str, Any]) -> list[Tensor]:
    """The arrays of a tree of parameters; of a checkpoint from before shapes were written down, the
    sizes are not known.

    Raises:
        FaultError: the tree is missing, damaged, or too large.
        UnreadError: it has no shapes.
    """
    tree = metadata.get("tree_metadata")
    if not isinstance(tree, dict) or len(tree) > MOST_TENSORS:
        raise FaultError(f"has a {METADATA} without its tree")
    tensors = [_leaf(entry) for entry in tree.values()]
    return [tensor for tensor in tensors if tensor is not None]


def _leaf(entry: Any) -> Tensor | None:
    """An array of the tree; None: a plain value, or something that takes no room.

        {"key_metadata": [{"key": "params"}, {"key": "bias"}],
         "value_metadata": {"value_type": "jax.Array", "write_shape": [8]}}

    is the array `params.bias` of 8 numbers.
    """
    if not isinstance(entry, dict):
        return None
    keys, value = entry.get("key_metadata"), entry.get("value_metadata")
    if not isinstance(keys, list) or not isinstance(value, dict):
        raise FaultError(f"has a {METADATA} whose tree is none of Orbax's")
    if value.get("value_type") in ("scalar", "None", "string", "Dict", "List"):
        return None
    shape = value.get("write_shape")
    if shape is None:
        raise UnreadError(f"has a {METADATA} without shapes")
    name = ".".join(str(key.get("key")) for key in keys if isinstance(key, dict))
    return Tensor(name, "unknown", _shape(shape), None)


def _shape(value: Any) -> tuple[int, ...]:
    """The sizes in a list of JSON.

    Raises:
        FaultError: it is no list, or one of its entries is no whole number.
    """
    is_shape = isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)
    if not is_shape:
        raise FaultError("gives an array a shape that is none")
    return tuple(value)


def _array(
    root: Path, place: PurePosixPath, described: Mapping[str, Any], sizes: Mapping[str, int]
) -> list[Tensor]:
    """The array whose first piece is `place`; [] for another piece of it.

    `described` is the array's `.zarray`: `{"shape": [8, 4], "chunks": [4, 4], "dtype": "<f4", …}`
    lies in the files `0.0` and `1.0`, and an array of no dimensions in `0`. Source: the
    specification of Zarr, version 2.

    Raises:
        FaultError: pieces are missing, or do not fit the shape.
        UnreadError: the pieces lie in folders, or are more than are read here.
    """
    shape, pieces = _shape(described.get("shape")), _shape(described.get("chunks"))
    if len(shape) != len(pieces) or 0 in pieces:
        raise FaultError(f"has a {_ZARRAY} whose pieces do not fit its shape")
    counts = [range(-(-size // piece)) for size, piece in zip(shape, pieces, strict=True)]
    lies_in_folders = described.get("dimension_separator") == "/"
    if lies_in_folders or sum(map(len, counts)) > MOST_TENSORS:
        raise UnreadError("lies in pieces of a form that is not read here")
    names = [".".join(map(str, at)) or "0" for at in itertools.product(*counts)]
    if not names or place.name != names[0]:
        return []
    missing = [name for name in names if str(place.parent / name) not in sizes]
    if missing:
        raise FaultError(f"misses {len(missing)} of the {len(names)} pieces of its array")
    # `<` and `|` say in which order the bytes of a number lie, which does not change its type.
    code = str(described.get("dtype")).lstrip("<|")
    dtype = NUMPY_DTYPES.get(_CODES.get(code, code), (short(code), 0))[0]
    return [Tensor(place.parent.name, dtype, shape, None)]
