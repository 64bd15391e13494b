"""Datasets of an HDF5 file."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.publish.passport.tensors import hdf5
from watchkeeper.publish.passport.tensors.hdf5 import read, spans
from watchkeeper.publish.passport.tensors.inventory import look
from watchkeeper.publish.passport.tensors.tensor import Tensor

# Written by h5py 3.16: datasets in a group, one of them packed, a text, a link inside the file and
# one to another file.
FILE = Path(__file__).parent / "files" / "weights.h5"


def test_without_h5py_the_tensors_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is missing, nothing is wrong with the file, and the reason says what to
    install.
    """
    monkeypatch.setattr(hdf5.importlib.util, "find_spec", lambda name: None)
    (file,) = look(FILE.parent, {FILE.name: FILE.stat().st_size}).files
    assert not file.fault and not file.tensors
    assert file.unread == "is an HDF5 file, which h5py reads: pip install h5py"


def test_datasets_of_numbers_are_read() -> None:
    """Names, types and shapes come out; texts and links are passed over, and a dataset in pieces
    has no one place.
    """
    size = FILE.stat().st_size
    assert read(FILE, size) == [
        Tensor("model_weights/dense/bias:0", "F16", (2,), 4),
        Tensor("model_weights/dense/kernel:0", "F32", (1, 3), 12),
        Tensor("model_weights/dense/packed", "F32", (4, 4), 64),
    ]
    assert [span.name.rpartition("/")[2] for span in spans(FILE, size)] == ["bias:0", "kernel:0"]


def test_a_torn_file_is_damaged(tmp_path: Path) -> None:
    """Half a file is named as damaged, and nothing is raised."""
    data = FILE.read_bytes()
    (tmp_path / "weights.h5").write_bytes(data[: len(data) // 2])
    (file,) = look(tmp_path, {"weights.h5": len(data) // 2}).files
    assert file.fault.startswith("cannot be read by h5py")
