"""Arrays from the structure of a MessagePack file of Flax."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.publish.passport.tensors.flax import read, spans
from watchkeeper.publish.passport.tensors.tensor import Tensor, UnreadError
from watchkeeper.tools.file_formats import FaultError

# Written by flax.serialization 0.12; `chunked.msgpack` with MAX_CHUNK_SIZE = 16.
FILES = Path(__file__).parent / "files"


def tensors_of(folder: Path, data: bytes) -> list[Tensor]:
    """The arrays of a file that holds these bytes."""
    path = folder / "flax_model.msgpack"
    path.write_bytes(data)
    return read(path, len(data))


def test_a_file_of_the_library_is_read(tmp_path: Path) -> None:
    """Arrays and scalars of NumPy and JAX come with their keys; a plain number is none."""
    assert tensors_of(tmp_path, (FILES / "flax_model.msgpack").read_bytes()) == [
        Tensor("params.dense.kernel", "F32", (1, 3), 12),
        Tensor("params.dense.bias", "BF16", (2,), 4),
        Tensor("scalar", "F32", (), 4),
    ]


def test_an_array_in_pieces_is_one(tmp_path: Path) -> None:
    """A large array that Flax cut is listed once, with all its numbers; each piece has a place."""
    data = (FILES / "chunked.msgpack").read_bytes()
    assert tensors_of(tmp_path, data) == [Tensor("w", "F32", (6,), 24)]
    path = tmp_path / "flax_model.msgpack"
    pieces = [(one.name, one.size_bytes) for one in spans(path, len(data))]
    assert pieces == [("w", 16), ("w", 8)]


@pytest.mark.parametrize("name", ["flax_model.msgpack", "chunked.msgpack"])
def test_every_cut_of_a_file_is_torn(tmp_path: Path, name: str) -> None:
    """A file that ends anywhere before its end is refused."""
    data = (FILES / name).read_bytes()
    for kept in range(len(data)):
        with pytest.raises(FaultError):
            tensors_of(tmp_path, data[:kept])


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("80", UnreadError, "no array"),
        ("c1", FaultError, "no MessagePack"),
        ("8080", FaultError, "more than one value"),
        ("81 c0 00", FaultError, "no text"),
        ("91" * 70 + "c0", FaultError, "deep"),
        ("df ffffffff", FaultError, "torn"),
        ("c6 ffffffff 00", FaultError, "torn"),
        ("c7 02 01 c0 c0", FaultError, "none of Flax"),
        ("c7 0f 01 93 91 a1 61 a7 666c6f61743332 c4 00", FaultError, "no list of sizes"),
        ("c7 0e 01 93 91 02 a7 666c6f61743332 c4 01 00", FaultError, "1 bytes of an array that"),
        ("c7 0f 01 93 91 02 a7 666c6f61743332 c4 01 00", FaultError, "none of Flax"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, data: str, error: type[Exception], message: str
) -> None:
    """Another format, claims beyond the file, and arrays that contradict themselves are named."""
    with pytest.raises(error, match=message):
        tensors_of(tmp_path, bytes.fromhex(data))


def test_every_plain_value_is_passed_over(tmp_path: Path) -> None:
    """Values of every other type stand before an array without hiding it."""
    plain = (
        "c0c2c3 ca00000000 cb0000000000000000 cc01 cd0001 ce00000001 cf0000000000000001 d001 d10001"
        "d200000001 d30000000000000001 d40500 d5050000 d60500000000 d7050000000000000000 ff 7f"
        "a161 d90161 da000161 db0000000161 c40100 c5000100 c60000000100 dc0000 dd00000000 de0000"
        "c80001 05 00 c900000001 05 00 d8 05" + "00" * 16
    )
    array = "c7 0c 01 93 91 01 a5 75696e7438 c4 01 07"
    values = bytes.fromhex(plain + array)
    (tensor,) = tensors_of(tmp_path, b"\xdc" + (33).to_bytes(2, "big") + values)
    assert tensor == Tensor("32", "U8", (1,), 1)
