"""The header of a safetensors file: 8 bytes of length, JSON, and nothing of the tensors' bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from watchkeeper.publish.passport.tensors.tensor import MOST_TENSORS, Span, Tensor
from watchkeeper.tools.file_formats import FaultError, read_safetensors, short


def read(path: Path, size: int) -> list[Tensor]:
    """The tensors of a file of `size` bytes. Their offsets and shapes fill it exactly.

    Raises:
        FaultError: the file is torn, or its header is not what the format asks for.
        OSError: it cannot be read.
    """
    entries = read_safetensors(path, size)
    if len(entries) > MOST_TENSORS:
        raise FaultError(f"claims {len(entries):,} tensors: at most {MOST_TENSORS:,} are read")
    return [_tensor(name, entry) for name, entry in entries.items()]


def _tensor(name: str, entry: Any) -> Tensor:
    """A tensor as the header has it: `{"dtype": "BF16", "shape": [8, 4], "data_offsets":
    [0, 64]}`.
    """
    dtype = entry.get("dtype")
    if not isinstance(dtype, str):
        raise FaultError(f"has a safetensors header without the type of {short(name)!r}")
    begin, end = entry["data_offsets"]
    return Tensor(name, dtype, tuple(entry["shape"]), end - begin)


def spans(path: Path, size: int) -> list[Span]:
    """Where the tensors lie in the file.

    Raises:
        FaultError, OSError: as `read`.
    """
    entries = read_safetensors(path, size)
    places = {name: entry["data_offsets"] for name, entry in entries.items()}
    first = size - max(end for _, end in places.values())
    return [
        Span(tensor.name, tensor.dtype, first + places[tensor.name][0], tensor.size_bytes or 0)
        for tensor in read(path, size)
    ]
