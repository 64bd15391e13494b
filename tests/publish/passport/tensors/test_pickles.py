"""PyTorch's pickles, read without unpickling."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.publish.passport.tensors import pickles
from watchkeeper.publish.passport.tensors.pickles import Pickled, read
from watchkeeper.publish.passport.tensors.symbols import Call, Name, follow
from watchkeeper.publish.passport.tensors.tensor import Tensor, UnreadError
from watchkeeper.tools.file_formats import FaultError


def archive(pickled: bytes, name: str = "archive/data.pkl") -> bytes:
    """A zip as PyTorch writes it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(name, pickled)
    return data.getvalue()


def read_of(folder: Path, data: bytes) -> Pickled:
    """What a file with these bytes describes."""
    path = folder / "model.pt"
    path.write_bytes(data)
    return read(path, len(data))


# Written by PyTorch 2.13: `torch.save(state, path)`, and with
# `_use_new_zipfile_serialization=False`, of {"model": OrderedDict(a=ones(2, 3), tied=the same,
# half=Parameter(ones(4, bfloat16))), "step": 7}.
@pytest.mark.parametrize("name", ["zipped.pt", "legacy.pt"])
def test_a_real_checkpoint_of_pytorch_is_read(name: str) -> None:
    """Names, types, shapes and tied weights of a state dictionary come out as PyTorch has them, in
    today's format and in the one before.
    """
    path = Path(__file__).parent / "files" / name
    pickled = read(path, path.stat().st_size)
    assert set(pickled.tensors) == {
        Tensor("model.a", "F32", (2, 3), 24),
        Tensor("model.tied", "F32", (2, 3), 24),
        Tensor("model.half", "BF16", (4,), 8),
    }
    assert pickled.foreign == () and pickled.unread == ""


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_values_are_followed_in_every_protocol(protocol: int) -> None:
    """What a pickle of plain values builds is what was pickled."""
    value = {"a": [1, -2, 2**70, 1.5, None, True, False, "é", ()], "b": {"c": (1, 2, 3, 4)}}
    assert follow(io.BytesIO(pickle.dumps(value, protocol))).value == value


def test_a_call_stays_a_symbol() -> None:
    """What the pickle would call is kept by its name and its arguments, and is not called."""
    reading = follow(io.BytesIO(pickle.dumps(collections.Counter({"a": 2}), 4)))
    assert reading.value == Call(Name("collections", "Counter"), ({"a": 2},))


def test_a_pickle_that_refers_to_itself_is_walked_once(tmp_path: Path) -> None:
    """Lists that hold themselves, or one another many times over, come to an end."""
    loop: list[Any] = []
    loop.append(loop)
    for _ in range(40):
        loop = [loop] * 40
    assert read_of(tmp_path, archive(pickle.dumps(loop, 4))).tensors == ()


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (pickle.dumps([1], 2)[:-1], "damaged"),
        (b"\x80\x02.", "do not fit"),
        (b"\x80\x02\x8c\x01a\x8c\x01b\x93", "damaged"),
        (b"\x80\x02h\x05.", "do not fit"),
        (b"\x80\x02K\x01K\x02a.", "do not fit"),
    ],
)
def test_damaged_instructions_leave_the_tensors_unknown(
    tmp_path: Path, pickled: bytes, message: str
) -> None:
    """A pickle that ends early or contradicts itself says why nothing is known of its tensors."""
    assert message in read_of(tmp_path, archive(pickled)).unread


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (archive(b"", "readme.txt"), "0 members"),
        (archive(pickle.dumps({}, 2))[:-30], "torn"),
    ],
)
def test_an_archive_that_is_none_of_pytorchs_is_refused(
    tmp_path: Path, data: bytes, message: str
) -> None:
    """A zip without its pickle, and a torn one, are faults of the file."""
    with pytest.raises(FaultError, match=message):
        read_of(tmp_path, data)


def test_what_is_no_pickle_is_not_read(tmp_path: Path) -> None:
    """A file in a format that is not known here is left alone."""
    with pytest.raises(UnreadError, match="neither"):
        read_of(tmp_path, b"some other format")


def test_a_long_pickle_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size in the archive's directory is looked at before the member is unpacked."""
    monkeypatch.setattr(pickles, "MOST_PICKLE_BYTES", 10)
    with pytest.raises(UnreadError, match=r"data\.pkl of"):
        read_of(tmp_path, archive(pickle.dumps("x" * 100, 2)))
