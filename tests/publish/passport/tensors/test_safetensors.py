"""Tensors from the header of a safetensors file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoints import LLAMA, raw_safetensors, safetensors
from watchkeeper.publish.passport.tensors.safetensors import read
from watchkeeper.publish.passport.tensors.tensor import Tensor
from watchkeeper.tools.file_formats import FaultError


def tensors_of(folder: Path, data: bytes) -> list[Tensor]:
    """The tensors of a file that holds these bytes."""
    path = folder / "model.safetensors"
    path.write_bytes(data)
    return read(path, len(data))


def test_a_header_gives_names_types_and_shapes(tmp_path: Path) -> None:
    """Each tensor comes with its type, its shape and the bytes that it takes."""
    tensors = tensors_of(tmp_path, safetensors(LLAMA))
    assert [tensor.name for tensor in tensors] == list(LLAMA)
    assert tensors[0] == Tensor("model.embed_tokens.weight", "F32", (8, 4), 128)
    assert tensors[0].elements == 32 and Tensor("scalar", "F32", (), 4).elements == 1


@pytest.mark.parametrize(
    ("header", "data_bytes", "message"),
    [
        (b'{"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}, '
         b'"a": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}', 4, "twice"),
        (b'{"a": {"dtype": 1, "shape": [2], "data_offsets": [0, 2]}}', 2, "without the type"),
        (b'{"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 2]}}', 2, "disagree"),
        (b"[" * 5000, 0, "not JSON"),
        (b'{"a": 1}', 0, "without offsets"),
        (b"[]", 0, "no safetensors header"),
    ],
)  # fmt: skip
def test_a_header_that_contradicts_itself_is_refused(
    tmp_path: Path, header: bytes, data_bytes: int, message: str
) -> None:
    """A name given twice, a shape of other bytes, a type that is none: each is named."""
    with pytest.raises(FaultError, match=message):
        tensors_of(tmp_path, raw_safetensors(header, data_bytes))


def test_a_header_that_claims_ten_gigabytes_is_not_read(tmp_path: Path) -> None:
    """The length is compared with the file before a byte of the header is read."""
    with pytest.raises(FaultError, match="10,737,418,240"):
        tensors_of(tmp_path, (10 * 2**30).to_bytes(8, "little") + b"{}")
