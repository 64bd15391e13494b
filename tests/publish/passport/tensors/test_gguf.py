"""Tensors from the header of a GGUF file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.checkpoints import LLAMA, gguf
from watchkeeper.publish.passport.tensors.gguf import read, spans
from watchkeeper.publish.passport.tensors.tensor import Tensor, UnreadError
from watchkeeper.tools.file_formats import FaultError


def tensors_of(folder: Path, data: bytes) -> list[Tensor]:
    """The tensors of a file that holds these bytes."""
    path = folder / "model.gguf"
    path.write_bytes(data)
    return read(path, len(data))


def test_a_header_gives_names_types_and_shapes(tmp_path: Path) -> None:
    """Metadata is passed over, and each tensor comes with its type and shape."""
    tensors = tensors_of(tmp_path, gguf(LLAMA))
    assert [tensor.name for tensor in tensors] == list(LLAMA)
    assert tensors[0] == Tensor("model.embed_tokens.weight", "F32", (8, 4), 128)


@pytest.mark.parametrize("kept", range(4, 120, 7))
def test_a_torn_header_is_refused(tmp_path: Path, kept: int) -> None:
    """A file that ends anywhere inside its header is torn."""
    with pytest.raises(FaultError):
        tensors_of(tmp_path, gguf(LLAMA)[:kept])


@pytest.mark.parametrize(
    "claim",
    [
        struct.pack("<IQQ", 3, 2**60, 0),
        struct.pack("<IQQ", 3, 0, 2**60),
        struct.pack("<IQQQ", 3, 0, 1, 2**60),
        struct.pack("<IQQQcIIQ", 3, 0, 1, 1, b"k", 9, 4, 2**60),
        struct.pack("<IQQQcI", 3, 0, 1, 1, b"k", 99),
        struct.pack("<IQQQcI", 3, 1, 0, 1, b"t", 99),
    ],
)
def test_a_claim_beyond_the_file_is_refused(tmp_path: Path, claim: bytes) -> None:
    """Counts, lengths and dimensions that the file cannot hold are refused before they are read."""
    with pytest.raises(FaultError, match=r"claims|torn|metadata|dimensions"):
        tensors_of(tmp_path, b"GGUF" + claim + bytes(64))


def test_another_version_is_not_read(tmp_path: Path) -> None:
    """A version that is not known here is no fault of the file."""
    with pytest.raises(UnreadError, match="version 4"):
        tensors_of(tmp_path, b"GGUF" + struct.pack("<IQQ", 4, 0, 0))


def test_a_file_that_ends_inside_a_tensor_is_torn(tmp_path: Path) -> None:
    """Half a download is noticed by the sizes of its tensors."""
    with pytest.raises(FaultError, match="ends before its tensor 'lm_head"):
        tensors_of(tmp_path, gguf(LLAMA)[:-1])


def test_a_file_of_the_library_is_read(tmp_path: Path) -> None:
    """Packed types have the bytes that ggml gives them, and an alignment in the metadata counts."""
    path = Path(__file__).parents[1] / "health" / "files" / "numbers.gguf"
    assert read(path, path.stat().st_size) == [
        Tensor("a.weight", "F32", (3, 1), 12),
        Tensor("b.weight", "F16", (2,), 4),
        Tensor("c.weight", "Q8_0", (32, 1), 34),
    ]
    assert [span.begin % 64 for span in spans(path, path.stat().st_size)] == [0, 0, 0]
