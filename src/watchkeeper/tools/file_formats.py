r"""Whether one file is whole, judged from its format and without running anything in it: nothing is
ever unpickled.

Sources: safetensors (8 bytes little-endian header length, JSON header of at most 100 MB, then the
tensors' bytes); zip's central directory at the end of the file (.pt of PyTorch ≥ 1.6, .npz); the
magic of GGUF and of HDF5 (at byte 0, 512, 1024, 2048, …); pickle protocol ≥ 2 begins with \x80, and
every protocol ends with STOP (`.`). No format of weights but a pickle of protocol 0 is text.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from io import TextIOWrapper
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.events import Number
from watchkeeper.core.text import lazy
from watchkeeper.runfolder.values import NON_FINITE, spell

WEIGHTS = frozenset({
    ".safetensors", ".pt", ".pth", ".bin", ".npz", ".ckpt", ".gguf", ".joblib", ".pkl", ".distcp",
    ".h5",
})  # fmt: skip
# What trainers save beside the weights, in the weights' formats.
NOT_WEIGHTS = (
    "optimizer",
    "scheduler",
    "scaler",
    "rng_state",
    "training_args",
    "trainer_state",
    "recipe_state",
)

MOST_JSON_BYTES = 64 * 2**20
"""A larger JSON document is not read: it would not fit into the memory of a login node."""
SHOWN_CHARACTERS = 200
_MAX_SAFETENSORS_HEADER_BYTES = 100_000_000
_MOST_DIMENSIONS = 64
_MOST_CSV_LINES = 100_000  # looked through for a header and a first row
_MOST_LINE_CHARACTERS = 2**20
# What a file with this suffix claims to be. `.bin` is none of these: it is any format's.
_CLAIMS = {
    ".safetensors": "a safetensors file", ".pt": "a PyTorch file", ".pth": "a PyTorch file",
    ".ckpt": "a checkpoint file", ".distcp": "a PyTorch file", ".npz": "a NumPy archive",
    ".npy": "a NumPy array", ".gguf": "a GGUF file", ".joblib": "a joblib file", ".pkl": "a pickle",
    ".pickle": "a pickle", ".h5": "an HDF5 file", ".hdf5": "an HDF5 file", ".keras": "a Keras file",
    ".onnx": "an ONNX file", ".msgpack": "a MessagePack file",
}  # fmt: skip
_PICKLED = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt"})
_HEAD_BYTES = 4096
_LFS = b"version https://git-lfs.github.com/spec/"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_FIRST_USER_BLOCK, _LAST_USER_BLOCK = 512, 2**20
_NOT_TEXT = lazy.pattern(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_ZIP_MAGIC = b"PK\x03\x04"


def _lzma_errors() -> tuple[type[Exception], ...]:
    """What a damaged LZMA member raises; nothing where Python was built without LZMA, which
    `zipfile` then refuses by itself.
    """
    try:
        from lzma import LZMAError
    except ImportError:
        return ()
    return (LZMAError,)


# What a damaged archive raises when it is opened or read.
ZIP_ERRORS: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    MemoryError,
    zlib.error,
    *_lzma_errors(),
    struct.error,
    ValueError,
)


class FaultError(Exception):
    """The file is not what it should be; the message says why, in words that follow its name."""


class EmptyError(FaultError):
    """The file is whole and holds nothing."""


def is_weights_format(name: str, formats: Collection[str] = ()) -> bool:
    """Whether a file of this name is in a format of weights: a usual one, or one of `formats`, the
    suffixes that an experiment adds.
    """
    suffix = PurePosixPath(name).suffix
    return suffix in WEIGHTS or suffix in formats


def is_weights(name: str, formats: Collection[str] = ()) -> bool:
    """Whether a file of this name holds a model's or an adapter's weights; `formats` are the
    suffixes that an experiment adds to the usual ones.
    """
    is_trainers = PurePosixPath(name).name.startswith(NOT_WEIGHTS)
    return is_weights_format(name, formats) and not is_trainers


def load_json(data: bytes, *, distinct: bool = False) -> Any:
    """The JSON value; NaN and Infinity are numbers. Of a name that an object has twice, the last
    value counts, unless names must be `distinct`.

    Raises:
        FaultError: it is none.
    """
    try:
        return json.loads(data, object_pairs_hook=_distinct if distinct else None)
    except MemoryError as error:
        raise FaultError(f"is JSON of {len(data):,} bytes that does not fit into memory") from error
    except (ValueError, RecursionError) as error:
        raise FaultError(f"is not JSON: {error}") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these members.

    Raises:
        FaultError: two have the same name.
    """
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    names = [name for name, _ in pairs]
    twice = next(name for name in members if names.count(name) > 1)
    raise FaultError(f"has {short(twice)!r} twice in one JSON object")


def read_json(path: Path) -> Any:
    """The JSON value in a file of at most 64 MiB.

    Raises:
        FaultError: it is larger, or not JSON.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        data = read_most(file, MOST_JSON_BYTES + 1)
    if len(data) > MOST_JSON_BYTES:
        raise FaultError(
            f"has {path.stat().st_size:,} bytes: JSON of more than {MOST_JSON_BYTES:,} "
            "bytes is not read"
        )
    return load_json(data)


def printable(text: str) -> str:
    """The text without lone surrogates (a file's name that is not UTF-8), which no journal's line
    can hold.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def short(text: str) -> str:
    """The text as a message can hold it: printable, and at most 200 characters."""
    shown = printable(text[: SHOWN_CHARACTERS + 1])
    if len(shown) <= SHOWN_CHARACTERS:
        return shown
    return shown[: SHOWN_CHARACTERS - 1] + "…"


# Integers that a line of a journal holds exactly.
_FEWEST, _MOST = -(2**63), 2**64


def as_number(value: object) -> Number | None:
    """The value as a metric: a number, non-finite ones by name; None: it is not a metric. Booleans
    are not.

    `"NaN"`, as programs write it into JSON, becomes the name that a journal's line has for it. A
    whole number that 64 bits cannot hold becomes a float, or infinity.
    """
    if isinstance(value, str):
        if value not in NON_FINITE:
            return None
        return spell(NON_FINITE[value])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and _FEWEST <= value < _MOST:
        return value
    try:
        return spell(float(value))
    except OverflowError:
        return spell(math.copysign(math.inf, 1 if value > 0 else -1))


def numbers(value: object) -> dict[str, Number]:
    """The numeric values at the top of a JSON object."""
    if not isinstance(value, dict):
        return {}
    metrics: dict[str, Number] = {}
    for name, entry in value.items():
        number = as_number(entry)
        if number is not None:
            metrics[printable(name)] = number
    return metrics


# ── weights


_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip


def _is_shape(shape: object) -> TypeGuard[list[int]]:
    """Whether this is a list of sizes, each of them a count that 64 bits can hold. At most 64 of
    them: no library has tensors of more dimensions.
    """
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        return False
    return all(isinstance(size, int) and 0 <= size < 2**63 for size in shape)


def _tensor_bytes(dtype: object, shape: object, most_bytes: int) -> int | None:
    """How many bytes a tensor needs; None for a dtype that is not known here.

    The product stops growing once it is above `most_bytes`, so that a header cannot make it
    expensive.

    Raises:
        FaultError: the shape is not a list of sizes.
    """
    if not _is_shape(shape):
        raise FaultError("has a safetensors header whose shapes are not lists of sizes")
    if not isinstance(dtype, str) or dtype not in _BITS:
        return None
    bits = _BITS[dtype]
    if 0 in shape:
        return 0
    elements = 1
    for size in shape:
        elements *= size
        if elements * bits // 8 > most_bytes:
            break
    return elements * bits // 8


def read_safetensors(path: Path, size: int) -> dict[str, Any]:
    """The header's tensors, name → entry, of a file of `size` bytes that holds all of them and
    nothing else. Each entry has `dtype`, `shape` and `data_offsets`.

    Raises:
        EmptyError: it holds no tensors.
        FaultError: it is torn, or its header is not what the format asks for.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_SAFETENSORS_HEADER_BYTES):
            raise FaultError(
                f"is torn: its header should have {length:,} bytes, the file has {size:,}"
            )
        header = load_json(file.read(length), distinct=True)
    if not isinstance(header, dict):
        raise FaultError("has no safetensors header")
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if not tensors:
        raise EmptyError("holds no tensors")
    try:
        needed = 8 + length + _end_of(tensors, size)
    except (TypeError, KeyError, IndexError, ValueError, OverflowError) as error:
        raise FaultError("has a safetensors header without offsets") from error
    if needed != size:
        fault = "is torn" if needed > size else "holds more than its tensors"
        raise FaultError(f"{fault}: its tensors need {needed:,} bytes, the file has {size:,}")
    return tensors


def _end_of(tensors: Mapping[str, Any], size: int) -> int:
    """Where the last tensor ends, in bytes from the end of the header.

    Raises:
        FaultError: the tensors do not follow one another, or one has not the size of its shape.
            TypeError, KeyError, IndexError, ValueError, OverflowError: an entry has no offsets.
    """
    offsets = {name: entry["data_offsets"] for name, entry in tensors.items()}
    end = 0
    for name, (begin, upto) in sorted(offsets.items(), key=itemgetter(1)):
        needs = _tensor_bytes(tensors[name]["dtype"], tensors[name]["shape"], size)
        is_of_shape = needs is None or upto - begin == needs
        follows = begin == end and upto >= begin
        if not follows or not is_of_shape:
            raise FaultError(
                f"has a safetensors header whose offsets and shapes disagree: {short(name)!r}"
            )
        end = upto
    return end


def _check_safetensors(path: Path, size: int) -> None:
    """See that the tensors of a safetensors file follow one another up to its end."""
    read_safetensors(path, size)


def _check_zip(path: Path) -> None:
    """See that an archive is whole: its directory lies at the end of the file, and is what a copy
    that was cut off lacks.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except ZIP_ERRORS as error:
        raise FaultError(f"is torn: {error}") from error
    if not members:
        raise EmptyError("is an archive of nothing")


def _starts_with(path: Path, magic: bytes) -> bool:
    """Whether a file begins with these bytes."""
    with open_regular(path) as file:
        return file.read(len(magic)) == magic


def _check_zip_if_one(path: Path, size: int) -> None:
    """The same where it is an archive at all; else it is PyTorch's older format, which only
    unpickling could judge.
    """
    if _starts_with(path, _ZIP_MAGIC):
        _check_zip(path)


def _check_npz(path: Path, size: int) -> None:
    _check_zip(path)


def _check_gguf(path: Path, size: int) -> None:
    if not _starts_with(path, b"GGUF"):
        raise FaultError("is no GGUF file")


def _check_pickle(path: Path, size: int) -> None:
    """See that a pickle ends with its last instruction (STOP). It is not unpickled."""
    with open_regular(path) as file:
        if file.read(1) != b"\x80":
            return  # compressed, or another format under this name
        file.seek(-1, 2)
        if file.read(1) != b".":
            raise FaultError("is torn: a pickle that does not end with its STOP mark")


def _check_hdf5(path: Path, size: int) -> None:
    """See that the signature of HDF5 is where the format allows it: at the begin, or behind a block
    of the user's own of 512 bytes, 1,024, 2,048, and so on.
    """
    place = 0
    with open_regular(path) as file:
        while place < min(size, _LAST_USER_BLOCK):
            file.seek(place)
            if file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC:
                return
            place = 2 * place or _FIRST_USER_BLOCK
    raise FaultError("is no HDF5 file")


def _check_claim(path: Path) -> None:
    """See that a file is not text under the name of a binary format.

    Raises:
        FaultError: it is.
        OSError: it cannot be read.
    """
    claim = _CLAIMS.get(path.suffix)
    if claim is None:
        return
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES)
        file.seek(-1, 2)
        last = file.read(1)
    if head.startswith(_LFS):
        raise FaultError(f"is a Git LFS pointer, not {claim}: type git lfs pull in its repository")
    is_pickle = path.suffix in _PICKLED and last == b"." and _begins_a_pickle(head)
    if _is_text(head) and not is_pickle:
        raise FaultError(f"holds text, not {claim}")


def _is_text(head: bytes) -> bool:
    """Whether a file that begins like this is UTF-8 text without control characters."""
    if _NOT_TEXT.search(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # Only the last character may be broken: the head was cut in the middle of it.
        is_at_end = error.start > len(head) - 4
        return is_at_end and len(head) == _HEAD_BYTES
    return True


def _begins_a_pickle(head: bytes) -> bool:
    """Whether these bytes begin with instructions of a pickle, which are read and not followed.

    A pickle of protocol 0 is text. Two instructions that make sense are more than chance: most
    letters are none.
    """
    import pickletools  # of the few files that begin like text

    try:
        return sum(1 for _ in itertools.islice(pickletools.genops(head), 3)) > 1
    except (ValueError, UnicodeDecodeError):
        return False


_CHECKS: dict[str, Callable[[Path, int], None]] = {
    ".safetensors": _check_safetensors,
    ".npz": _check_npz,
    ".gguf": _check_gguf,
    ".h5": _check_hdf5,
    ".hdf5": _check_hdf5,
    ".pkl": _check_pickle,
    ".pickle": _check_pickle,
    ".joblib": _check_pickle,
}


def check_weights(path: Path, size: int) -> None:
    """See that a weights file is whole, as far as its format tells.

    Raises:
        EmptyError: it holds nothing.
        FaultError: it is torn, or something else.
        OSError: it cannot be read.
    """
    if size == 0:
        raise EmptyError("holds 0 bytes")
    _check_claim(path)
    _CHECKS.get(path.suffix, _check_zip_if_one)(path, size)


def check_index(path: Path) -> None:
    """Check that every shard that a `*.index.json` names lies beside it, and that a safetensors
    shard holds the tensors that the index places in it.

    Raises:
        FaultError: a shard is missing or lacks a tensor, or the index cannot be understood.
        OSError: it cannot be read.
    """
    weight_map = _weight_map(path)
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        _check_shard_name(shard)
    missing = [shard for shard in shards if not (path.parent / shard).is_file()]
    if missing:
        raise FaultError(
            f"names {len(shards)} shards, of which {short(missing[0])}{_more(missing)} is missing"
        )
    for shard in shards:
        if shard.endswith(".safetensors"):
            names = [name for name, place in weight_map.items() if place == shard]
            _check_shard(path.parent, shard, names)


def _weight_map(path: Path) -> dict[str, str]:
    """An index's tensors, each with its shard.

    `{"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}`, as transformers and
    torchtune write it.

    Raises:
        FaultError: it has none.
    """
    index = read_json(path)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict):
        raise FaultError("has no weight_map")
    if not all(isinstance(shard, str) for shard in weight_map.values()):
        raise FaultError("has no weight_map")
    return weight_map


def _check_shard_name(shard: str) -> None:
    """See that a shard lies in the folder of its index: no other file is opened."""
    place = PurePosixPath(shard)
    if "\0" in shard or place.is_absolute() or ".." in place.parts:
        raise FaultError(f"names a shard outside its folder: {short(shard)!r}")


def _check_shard(folder: Path, shard: str, names: Sequence[str]) -> None:
    """Check that a safetensors shard holds the tensors of these names. A shard that is damaged is
    reported by its own check.
    """
    place = folder / shard
    try:
        tensors = read_safetensors(place, place.stat().st_size)
    except FaultError:
        return
    lacking = [name for name in names if name not in tensors]
    if lacking:
        raise FaultError(
            f"names {short(lacking[0])!r}{_more(lacking)} in {short(shard)}, which does not hold it"
        )


def _more(names: Sequence[str]) -> str:
    """How many names follow the first, in words; "": none."""
    if len(names) < 2:
        return ""
    return f" and {len(names) - 1} more"


# ── results


def _read_json(path: Path) -> dict[str, Number]:
    """The numbers at the top of a result in JSON.

    Raises:
        EmptyError: the object is empty.
        FaultError: it is not JSON, or no object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise FaultError(f"holds a JSON {type(value).__name__}, not an object")
    if not value:
        raise EmptyError("holds an object without a single value")
    return numbers(value)


def _read_csv(path: Path) -> dict[str, Number]:
    """Nothing of a result in CSV is a metric by itself; it has to have a header and one row.

    Raises:
        EmptyError: it lacks one of them.
        FaultError: it is not CSV.
    """
    try:
        raw = open_regular(path)
        with TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = itertools.islice(
                iter(lambda: file.readline(_MOST_LINE_CHARACTERS), ""), _MOST_CSV_LINES
            )
            rows = filter(_is_filled, csv.reader(lines))
            header, first = next(rows, None), next(rows, None)
    except csv.Error as error:
        raise FaultError(f"is not CSV: {error}") from error
    if header is None or first is None:
        raise EmptyError("has no header" if header is None else "has a header and no row")
    return {}


def _is_filled(row: Sequence[str]) -> bool:
    """Whether a line has a cell that is not blank."""
    return any(cell.strip() for cell in row)


_READERS: dict[str, Callable[[Path], dict[str, Number]]] = {".json": _read_json, ".csv": _read_csv}


def read_result(path: Path, size: int) -> dict[str, Number]:
    """A result file's metrics; {} for formats that are only seen to hold something.

    Raises:
        EmptyError: it holds nothing.
        FaultError: it is torn, or says that it failed.
        OSError: it cannot be read.
    """
    if size == 0:
        raise EmptyError("holds 0 bytes")
    reader = _READERS.get(path.suffix)
    if reader is None:
        return {}
    return reader(path)
