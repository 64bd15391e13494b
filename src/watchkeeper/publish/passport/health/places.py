"""Where in a weight file the numbers of each tensor lie."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.publish import names
from watchkeeper.publish.passport.tensors import flax, gguf, hdf5, onnx, pickles, safetensors
from watchkeeper.publish.passport.tensors.inventory import WeightFile
from watchkeeper.publish.passport.tensors.pickles import View
from watchkeeper.publish.passport.tensors.tensor import Span, UnreadError
from watchkeeper.tools.file_formats import ZIP_ERRORS, FaultError

_LOCAL_HEADER_BYTES = 30
_ZIP_MAGIC = b"PK\x03\x04"


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tensors of a file lie. `unplaced` names those that lie in no one place, and `why`
    says why the place of all is not known ("": it is), in words that follow the file's name.
    """

    spans: tuple[Span, ...] = ()
    unplaced: tuple[str, ...] = ()
    why: str = ""


def places_of(place: Path, file: WeightFile) -> Places:
    """Where the tensors of a weight file lie; `place` is the file itself.

    Raises nothing: where they cannot be found, `why` says so. A file that holds no tensor, though
    nothing is wrong with it, has no places.
    """
    if file.tensors and names.is_of_orbax(PurePosixPath(file.path)):
        return Places(why="is of Orbax, which packs its numbers")
    fault = file.fault or file.unread
    if fault:
        return Places(why=fault)
    if not file.tensors:
        return Places()
    suffix = PurePosixPath(file.path).suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None:
        return Places(why=f"has another format ({suffix or 'none'})")
    try:
        spans = reader(place, file.size_bytes)
    except (FaultError, UnreadError) as error:
        return Places(why=str(error))
    except OSError as error:
        return Places(why=f"cannot be read: {error.strerror or error}")
    placed = {span.name for span in spans}
    unplaced = [tensor.name for tensor in file.tensors if tensor.name not in placed]
    return Places(spans=tuple(spans), unplaced=tuple(unplaced))


def _of_pytorch(place: Path, size_bytes: int) -> list[Span]:
    """Tensors in the storages of a zip. Those that are views with gaps have no place: what lies
    between their numbers is not theirs.

    Raises:
        FaultError, UnreadError, OSError: as `pickles.read`.
    """
    with open_regular(place) as file:
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            raise UnreadError("is of PyTorch before 1.6, whose numbers are not looked at here")
    begins = _storages(place)
    spans = [_span(view, begins) for view in pickles.views(place)]
    return [span for span in spans if span is not None]


def _storages(place: Path) -> dict[str, tuple[int, int]]:
    """Storage → the byte of the file at which it begins, and its bytes.

    The storage `0` is the member `NAME/data/0` of the zip, where NAME is that of the archive.
    PyTorch stores it without compression, so that it can be read where it lies.

    Raises:
        FaultError: the archive is torn.
        UnreadError: it is compressed, or was written in the other order of bytes.
    """
    try:
        with open_regular(place) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            for member in members:
                if member.filename.endswith("/byteorder") and archive.read(member) != b"little":
                    raise UnreadError("holds numbers with their largest byte first")
        data = [member for member in members if "/data/" in f"/{member.filename}"]
        if any(member.compress_type != zipfile.ZIP_STORED for member in data):
            raise UnreadError("is compressed, and its numbers are not looked at here")
        storages: dict[str, tuple[int, int]] = {}
        for member in data:
            name = PurePosixPath(member.filename).name
            storages[name] = (_begin(place, member), member.file_size)
        return storages
    except ZIP_ERRORS as error:
        raise FaultError(f"is torn: {error}") from error


def _begin(place: Path, member: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin, behind its own header.

    The header's last two fields are the lengths of the name and of the extra field that follow it.
    PyTorch pads with the latter, so it differs from the one in the archive's directory. Source:
    PKWARE's APPNOTE.TXT, section 4.3.7.
    """
    with open_regular(place) as file:
        file.seek(member.header_offset)
        header = file.read(_LOCAL_HEADER_BYTES)
    name_bytes = int.from_bytes(header[26:28], "little")
    extra_bytes = int.from_bytes(header[28:30], "little")
    return member.header_offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes


def _span(view: View, storages: Mapping[str, tuple[int, int]]) -> Span | None:
    """The place of a tensor whose numbers lie side by side, in whatever order; None: they do
    not, or the storage is not there.
    """
    tensor = view.tensor
    if tensor.elements == 0:
        return Span(tensor.name, tensor.dtype, 0, 0)
    if view.key not in storages or tensor.size_bytes is None:
        return None
    begin, size_bytes = storages[view.key]
    # How far the last number lies behind the first, in numbers: with gaps, farther than there are
    # numbers in the tensor.
    reach = sum((size - 1) * step for size, step in zip(tensor.shape, view.stride, strict=True))
    number_bytes = tensor.size_bytes // tensor.elements
    first, length = view.offset * number_bytes, (reach + 1) * number_bytes
    has_gaps = length > tensor.size_bytes
    leaves_storage = first + length > size_bytes
    if has_gaps or leaves_storage:
        return None
    return Span(tensor.name, tensor.dtype, begin + first, length)


_READERS: Mapping[str, Callable[[Path, int], list[Span]]] = {
    ".safetensors": safetensors.spans,
    ".gguf": gguf.spans,
    ".onnx": onnx.spans,
    ".msgpack": flax.spans,
    ".h5": hdf5.spans,
    ".hdf5": hdf5.spans,
    ".pt": _of_pytorch,
    ".pth": _of_pytorch,
    ".bin": _of_pytorch,
    ".ckpt": _of_pytorch,
}
