"""Tensors from the message of an ONNX model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from watchkeeper.publish.passport.tensors.inventory import WeightFile, look
from watchkeeper.publish.passport.tensors.onnx import read, spans
from watchkeeper.publish.passport.tensors.tensor import Tensor, UnreadError
from watchkeeper.tools.file_formats import FaultError

# Written by onnx 1.23: `inside.onnx` holds its tensors, in bytes and in protobuf's own numbers;
# `outside.onnx` keeps one of them in `outside.onnx.data`.
FILES = Path(__file__).parent / "files"


def tensors_of(folder: Path, data: bytes) -> list[Tensor]:
    """The tensors of a model that holds these bytes."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    return read(path, len(data))


def test_a_model_of_the_library_is_read(tmp_path: Path) -> None:
    """Names, types, shapes and bytes of the initializers come out as they were saved."""
    assert tensors_of(tmp_path, (FILES / "inside.onnx").read_bytes()) == [
        Tensor("a", "F32", (1, 3), 12),
        Tensor("b", "I64", (2,), 16),
        Tensor("bf", "BF16", (2,), 4),
        Tensor("typed", "F32", (2,), 8),
        Tensor("half", "F16", (2,), 4),
    ]


def test_the_place_of_a_tensors_bytes_is_known() -> None:
    """Bytes in the model and in the file beside it have a place; protobuf's own numbers of two
    bytes have none.
    """
    inside = FILES / "inside.onnx"
    placed = spans(inside, inside.stat().st_size)
    assert [span.name for span in placed] == ["a", "b", "bf", "typed"]
    data = inside.read_bytes()
    assert data[placed[1].begin :][:16] == (1).to_bytes(8, "little") + (2).to_bytes(8, "little")
    outside = FILES / "outside.onnx"
    big = spans(outside, outside.stat().st_size)[1]
    assert (big.name, big.file, big.begin, big.size_bytes) == ("big", "outside.onnx.data", 0, 2400)


def test_every_cut_of_a_model_is_torn(tmp_path: Path) -> None:
    """A model that ends anywhere before its end is refused, or has lost no tensor's bytes."""
    data = (FILES / "inside.onnx").read_bytes()
    whole = tensors_of(tmp_path, data)
    for kept in range(len(data)):
        try:
            assert tensors_of(tmp_path, data[:kept]) == whole
        except FaultError:
            continue


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("", FaultError, "no graph"),
        ("0807", FaultError, "no graph"),
        ("3a 02 7a00", UnreadError, "sparse"),
        ("3a 0f 2a0d 0804 1001 4201 61 4a04 0000 0000", FaultError, "holds 4 bytes of 'a', not 16"),
        ("3a 0d 2a0b 08ffffffffffffffffff01", FaultError, "below 0"),
        ("3a 04 2a02 4001", FaultError, "has a name of"),
        ("3a 02 2801", FaultError, "torn"),
        ("3a 04 2a02 6801", FaultError, "torn"),
        ("3a ff", FaultError, "torn"),
        ("3a 7f 00", FaultError, "torn"),
        ("ffffffffffffffffffffff", FaultError, "torn"),
        ("07", FaultError, "torn"),
        ("3a 10 2a0e 4201 61 6a07 0a06 6f6666736574 7001", FaultError, "torn"),
        ("3a 15 2a13 4201 61 6a0c 0a06 6f6666736574 1202 2d31 7001", FaultError, "no place"),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(
    tmp_path: Path, data: str, error: type[Exception], message: str
) -> None:
    """No graph, a size that its bytes do not have, lengths beyond the file: each is named."""
    with pytest.raises(error, match=message):
        tensors_of(tmp_path, bytes.fromhex(data))


def file_of(root: Path) -> WeightFile:
    """The model among the weight files of a folder."""
    sizes = {path.name: path.stat().st_size for path in root.iterdir()}
    return next(file for file in look(root, sizes).files if file.path.endswith(".onnx"))


def test_the_file_of_tensors_is_looked_for(tmp_path: Path) -> None:
    """Beside its file of tensors a model is whole; with half of it, or without, it is damaged."""
    for name in ("outside.onnx", "outside.onnx.data"):
        shutil.copy(FILES / name, tmp_path / name)
    assert not file_of(tmp_path).fault and len(file_of(tmp_path).tensors) == 2
    data = tmp_path / "outside.onnx.data"
    data.write_bytes(data.read_bytes()[:-1])
    assert file_of(tmp_path).fault == "keeps its tensors in outside.onnx.data, which ends too early"
    data.unlink()
    assert file_of(tmp_path).fault == "keeps its tensors in outside.onnx.data, which is missing"


def test_a_file_of_tensors_outside_is_never_looked_at(tmp_path: Path) -> None:
    """A model that names a file above its folder is damaged, whatever lies there."""
    model = (
        (FILES / "outside.onnx").read_bytes().replace(b"outside.onnx.data", b"../utside.onnx.da")
    )
    (tmp_path / "model.onnx").write_bytes(model)
    assert "leads upwards" in file_of(tmp_path).fault
