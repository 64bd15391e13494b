"""All weight files of a checkpoint with their tensors, and what an index says should be there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.publish import names
from watchkeeper.publish.manifest.safe import UnsafePathError, fault_of, inside
from watchkeeper.publish.passport.tensors import (
    flax,
    gguf,
    hdf5,
    onnx,
    orbax,
    pickles,
    safetensors,
)
from watchkeeper.publish.passport.tensors.pickles import Pickled
from watchkeeper.publish.passport.tensors.tensor import Span, Tensor, UnreadError
from watchkeeper.tools import file_formats
from watchkeeper.tools.file_formats import FaultError, printable, short

_INDEX = ".index.json"
_ADAPTER = "adapter"


class WeightFile(msgspec.Struct, frozen=True, kw_only=True):
    """A weight file. `fault` says what is wrong with it, `unread` why its tensors are not known
    though nothing is wrong ("": neither). `foreign` names what loading it would run.
    """

    path: str
    size_bytes: int
    tensors: tuple[Tensor, ...] = ()
    foreign: tuple[str, ...] = ()
    fault: str = ""
    unread: str = ""

    @property
    def is_adapter(self) -> bool:
        """Whether it holds an adapter beside the model, judged by its name."""
        return PurePosixPath(self.path).name.startswith(_ADAPTER)


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """The weight files, in the order of their paths. `expected` are the tensors that an index
    places in them, name → path of its file; None: there is no index.
    """

    files: tuple[WeightFile, ...]
    expected: Mapping[str, str] | None

    @property
    def model_files(self) -> tuple[WeightFile, ...]:
        """The files of the model; of a checkpoint that is only an adapter, the adapter's."""
        own = tuple(file for file in self.files if not file.is_adapter)
        return own or self.files

    @property
    def is_known(self) -> bool:
        """Whether the tensors of every file of the model are known: counts of a part of them would
        mislead.
        """
        return not any(file.unread or file.fault for file in self.model_files)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The model's tensors by name. Files that hold the same ones in two formats count once."""
        tensors: dict[str, Tensor] = {}
        for file in self.model_files:
            tensors.update((tensor.name, tensor) for tensor in file.tensors)
        return tensors

    @property
    def missing(self) -> list[str]:
        """The tensors that the index names and no file holds."""
        return sorted((self.expected or {}).keys() - self.tensors.keys())

    @property
    def unexpected(self) -> list[str]:
        """The tensors of the index's own files that it does not name."""
        expected = self.expected or {}
        covered = set(expected.values())
        names: set[str] = set()
        for file in self.files:
            if file.path in covered:
                names.update(tensor.name for tensor in file.tensors)
        return sorted(names - expected.keys())


def look(root: Path, sizes: Mapping[str, int]) -> Inventory:
    """The weight files among `sizes` (path → bytes), each with what its header says.

    Paths are relative to `root`, the checkpoint's folder. Raises nothing: what is wrong with a file
    stands in its `fault`.
    """
    files = [
        _read(root, path, size_bytes, sizes)
        for path, size_bytes in sizes.items()
        if names.is_weights(path)
    ]
    return Inventory(files=tuple(files), expected=_expected(root, sizes))


def _read(root: Path, path: str, size_bytes: int, sizes: Mapping[str, int]) -> WeightFile:
    """A weight file with its tensors, or with the reason that they are not known."""
    file = WeightFile(path=path, size_bytes=size_bytes)
    try:
        place = inside(root, path)
        if names.is_of_orbax(PurePosixPath(path)):
            return msgspec.structs.replace(file, tensors=tuple(orbax.read(root, path, sizes)))
        # The name that the checkpoint gives the file, since a cache's blobs have no suffix.
        suffix = PurePosixPath(path).suffix.lower()
        tensors, foreign, unread = _parts(place, suffix, size_bytes)
        if suffix == _ONNX:
            _check_beside(root, path, onnx.spans(place, size_bytes))
    except (FaultError, UnsafePathError) as error:
        return msgspec.structs.replace(file, fault=printable(str(error)))
    except UnreadError as error:
        return msgspec.structs.replace(file, unread=str(error))
    except OSError as error:
        return msgspec.structs.replace(file, fault=f"cannot be read: {error.strerror or error}")
    return msgspec.structs.replace(file, tensors=tensors, foreign=foreign, unread=unread)


def _parts(place: Path, suffix: str, size_bytes: int) -> Pickled:
    """What a weight file holds, by the reader of its suffix.

    Raises:
        FaultError: it is empty, torn, or none of its format.
        UnreadError: its format is not read here.
        OSError: it cannot be read.
    """
    if size_bytes == 0:
        raise FaultError("holds 0 bytes")
    if suffix in _PICKLES:
        _check(place, size_bytes)
        return pickles.read(place, size_bytes)
    if suffix in _BYTES_ALONE:
        return Pickled((), (), "")
    reader = _READERS.get(suffix)
    if reader is None:
        raise UnreadError(f"is in a format whose tensors are not read here ({suffix or 'none'})")
    _check(place, size_bytes)
    return Pickled(tuple(reader(place, size_bytes)), (), "")


def _check_beside(root: Path, path: str, spans: Iterable[Span]) -> None:
    """See that the files in which a model keeps its tensors are there, and large enough.

    A model in ONNX may name a file beside it for each tensor (`external_data`).

    Raises:
        FaultError: one is not.
        UnsafePathError: one is named that lies outside the checkpoint.
    """
    for span in spans:
        if not span.file:
            continue
        fault = fault_of(span.file)
        if fault:
            raise UnsafePathError(f"names a file of tensors whose path {fault}")
        beside = inside(root, str(PurePosixPath(path).parent / span.file))
        if not beside.is_file():
            raise FaultError(f"keeps its tensors in {short(span.file)}, which is missing")
        if beside.stat().st_size < span.begin + span.size_bytes:
            raise FaultError(f"keeps its tensors in {short(span.file)}, which ends too early")


def _check(place: Path, size_bytes: int) -> None:
    """See that the file is whole, as far as its format shows that."""
    # The file that a link of a cache leads to has no suffix, and so no format that it could break.
    if place.suffix:
        file_formats.check_weights(place, size_bytes)


def _expected(root: Path, sizes: Iterable[str]) -> dict[str, str] | None:
    """What the indices say; None: there is none that can be read. What is wrong with an index is
    found where the files are listed.

    An index of transformers names each tensor's file; the `_METADATA` of Orbax names arrays, which
    have folders of their own.
    """
    expected: dict[str, str] | None = None
    for path in sizes:
        if path.endswith(_INDEX):
            expected = {**(expected or {}), **_placed(root, path)}
        elif PurePosixPath(path).name == orbax.METADATA:
            expected = _with_folders(expected, orbax.expected(root, path))
    return expected


def _with_folders(
    expected: dict[str, str] | None, folders: Mapping[str, str]
) -> dict[str, str] | None:
    """What is expected, with the arrays in folders of their own that hold weights.

    `expected` None: nothing is so far, and it stays so where no folder holds weights.
    """
    own: dict[str, str] = {}
    for name, folder in folders.items():
        if names.is_weights(f"{folder}/0"):
            own[name] = folder
    if not own:
        return expected
    return {**(expected or {}), **own}


def _placed(root: Path, path: str) -> dict[str, str]:
    """Tensor → path of its file, as one index has it; {}: it cannot be read.

    `{"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}`, as transformers
    writes `model.safetensors.index.json`. The files lie beside the index.
    """
    try:
        index = file_formats.read_json(inside(root, path))
    except (FaultError, UnsafePathError, OSError):
        return {}
    if not isinstance(index, dict):
        return {}
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict):
        return {}
    folder = PurePosixPath(path).parent
    placed: dict[str, str] = {}
    for name, shard in weight_map.items():
        if isinstance(shard, str):
            placed[name] = str(folder / shard)
    return placed


_ONNX = ".onnx"
# What an ONNX model keeps beside it: bytes of tensors that the model describes.
_BYTES_ALONE = frozenset([".onnx_data", ".data"])
_PICKLES = frozenset([".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"])
_READERS: Mapping[str, Callable[[Path, int], list[Tensor]]] = {
    ".safetensors": safetensors.read,
    ".gguf": gguf.read,
    ".onnx": onnx.read,
    ".msgpack": flax.read,
    ".h5": hdf5.read,
    ".hdf5": hdf5.read,
}
