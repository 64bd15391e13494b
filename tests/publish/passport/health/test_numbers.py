"""Counting NaN and infinity by a number's type."""

from __future__ import annotations

import pytest

from watchkeeper.publish.passport.health.numbers import Amiss, count, is_whole, size_of


@pytest.mark.parametrize(
    ("dtype", "data", "amiss"),
    [
        ("F8_E4M3", "7f ff 7e fe 80 00", (2, 0)),
        ("F8_E5M2", "7c fc 7d 7e 7f ff 7b 00", (4, 2)),
        ("F8_E4M3FNUZ", "80 7f ff 00", (1, 0)),
        ("F8_E5M2FNUZ", "80 7f ff 00", (1, 0)),
        ("F8_E8M0", "ff fe 00", (1, 0)),
        ("BF16", "807f 80ff 817f c0ff 7f7f 0000", (2, 2)),
        ("F16", "007c 00fc 017c ff7b", (1, 2)),
        ("F32", "0000807f 000080ff 0100807f ffff7f7f", (1, 2)),
        ("F64", "000000000000f07f 000000000000f87f", (1, 1)),
        ("C64", "0000807f 00000000 0000c07f 00000000", (1, 1)),
        ("C128", "000000000000f87f 0000000000000000", (1, 0)),
    ],
)
def test_the_bits_of_each_type(dtype: str, data: str, amiss: tuple[int, int]) -> None:
    """The largest finite number beside NaN and infinity is neither."""
    assert count(dtype, memoryview(bytes.fromhex(data))) == amiss
    assert len(bytes.fromhex(data)) % size_of(dtype) == 0 and not is_whole(dtype)


def test_whole_numbers_are_never_amiss() -> None:
    """Types without NaN need no look, and a type that is not known is neither."""
    assert is_whole("I64") and not size_of("I64")
    assert not is_whole("Q4_K") and not size_of("Q4_K")


def test_counts_are_added() -> None:
    """Two pieces of a tensor make one count."""
    assert Amiss(1, 2).plus(Amiss(3, 4)) == (4, 6)
