"""The datasets of an HDF5 file, as Keras and others write them: names, types, shapes, and where
their bytes lie. It needs h5py. Links inside the file are not followed.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from watchkeeper.publish.passport.tensors.tensor import (
    MOST_TENSORS,
    NUMPY_DTYPES,
    Span,
    Tensor,
    UnreadError,
)
from watchkeeper.tools.file_formats import FaultError, printable, short

LIBRARY = "h5py"


def read(path: Path, size: int) -> list[Tensor]:
    """The datasets of numbers in a file.

    Raises:
        FaultError: it is torn, or no HDF5 file.
        UnreadError: h5py is not installed.
    """
    return [tensor for tensor, _ in _datasets(path)]


def spans(path: Path, size: int) -> list[Span]:
    """Where the datasets lie; those in pieces, or packed, are left out.

    Raises:
        FaultError, UnreadError: as `read`.
    """
    return [
        Span(tensor.name, tensor.dtype, begin, tensor.size_bytes or 0)
        for tensor, begin in _datasets(path)
        if begin is not None
    ]


def _datasets(path: Path) -> list[tuple[Tensor, int | None]]:
    """The datasets of a file, each with the byte at which its numbers begin; None: they are not in
    one piece.

    Raises:
        UnreadError: h5py is not installed.
        FaultError: h5py cannot read the file, or it holds too many datasets.
    """
    if importlib.util.find_spec(LIBRARY) is None:
        raise UnreadError(f"is an HDF5 file, which {LIBRARY} reads: pip install {LIBRARY}")
    h5py: Any = importlib.import_module(LIBRARY)
    listed: list[tuple[Tensor, int | None]] = []

    def add(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and len(listed) <= MOST_TENSORS:
            listed.extend(_dataset(name, node))

    try:
        with h5py.File(path, "r", locking=False) as file:
            file.visititems(add)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise FaultError(f"cannot be read by {LIBRARY}: {short(str(error))}") from error
    if len(listed) > MOST_TENSORS:
        raise FaultError(f"holds more than {MOST_TENSORS:,} datasets")
    return listed


def _dataset(name: str, dataset: Any) -> list[tuple[Tensor, int | None]]:
    """A dataset and the byte at which it begins (None: it lies in pieces); [] for one of texts."""
    known = NUMPY_DTYPES.get(str(dataset.dtype))
    if known is None or dataset.shape is None:
        return []
    dtype, number_bytes = known
    tensor = Tensor(printable(name), dtype, tuple(dataset.shape), dataset.size * number_bytes)
    begin = dataset.id.get_offset()
    return [(tensor, int(begin) if begin is not None else None)]
