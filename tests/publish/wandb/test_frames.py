"""The frames of a `.wandb` file, whole and broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.publish.wandb.files import BLOCK, IDENTITY, framed
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.wandb import frames
from watchkeeper.publish.wandb.frames import Frames

SIZES = st.lists(st.integers(0, 80_000), max_size=8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to write."""
    return tmp_path_factory.mktemp("frames") / "run-a.wandb"


def records_of(sizes: list[int]) -> list[bytes]:
    """Records of these sizes, each with bytes of its own."""
    return [bytes([number + 1]) * size for number, size in enumerate(sizes)]


@given(sizes=SIZES)
def test_what_was_framed_is_read(place: Path, sizes: list[int]) -> None:
    """Records of any size come back, in order, across any number of blocks."""
    place.write_bytes(framed(records_of(sizes)))
    read = Frames(place)
    assert list(read) == records_of(sizes)
    assert not read.is_torn and read.problems == []


@given(sizes=SIZES, cut=st.integers(0, 200_000))
def test_a_file_that_was_cut_has_the_records_before_the_cut(
    place: Path, sizes: list[int], cut: int
) -> None:
    """A crash at any byte leaves every whole record, no false one, and no damage."""
    records = records_of(sizes)
    data = framed(records)[: len(IDENTITY) + cut]
    place.write_bytes(data)
    read = Frames(place)
    kept = list(read)
    assert kept == records[: len(kept)] and read.problems == []
    is_whole = data.rstrip(b"\0") == framed(kept).rstrip(b"\0")
    assert read.is_torn or is_whole


@given(at=st.integers(len(IDENTITY), 3 * BLOCK - 1), flip=st.integers(1, 255))
def test_a_changed_byte_costs_its_block_only(place: Path, at: int, flip: int) -> None:
    """No changed record is returned, the damage is reported, and other blocks are read."""
    records = records_of([1_000] * 90)
    data = bytearray(framed(records))
    data[min(at, len(data) - 1)] ^= flip
    place.write_bytes(data)
    read = Frames(place)
    kept = list(read)
    assert set(kept) <= set(records)
    assert len(kept) >= len(records) - BLOCK // 1_000 - 2
    assert len(kept) == len(records) or read.problems or read.is_torn


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "too short"),
        (b":W&B", "too short"),
        (b"PK\3\4abcdef", "no .wandb file"),
        (IDENTITY[:6] + b"\1", "has version 1"),
    ],
)
def test_another_file_is_refused(place: Path, data: bytes, message: str) -> None:
    """What is no file of W&B, or of a version that is not known, is named and not read."""
    place.write_bytes(data)
    with pytest.raises(UsageError, match=message):
        list(Frames(place))


def test_a_record_of_any_length_is_not_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record beyond the limit is a problem, and those around it are read."""
    monkeypatch.setattr(frames, "MOST_RECORD_BYTES", 50_000)
    place.write_bytes(framed([b"a", b"b" * 60_000, b"c"]))
    read = Frames(place)
    assert list(read) == [b"a", b"c"]
    assert "longer than" in read.problems[0].message
