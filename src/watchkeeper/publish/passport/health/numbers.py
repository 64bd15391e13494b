"""How many of some numbers are NaN or infinite, by their type. It needs NumPy.

Sources: IEEE 754; bfloat16 is the upper half of a 32-bit number; the 8-bit types are those of the
Open Compute Project (E4M3 has no infinity, and NaN where all other bits are set) and of Graphcore
(the FNUZ types have one NaN, the negative zero).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple


class Amiss(NamedTuple):
    """How many numbers are NaN, and how many infinite."""

    nan: int = 0
    infinite: int = 0

    def plus(self, other: Amiss) -> Amiss:
        """Both counts together."""
        return Amiss(self.nan + other.nan, self.infinite + other.infinite)


def size_of(dtype: str) -> int:
    """The bytes of one number of a type that is looked at; 0: its numbers are not looked at here,
    or cannot be amiss.
    """
    return _SIZES.get(dtype, 0)


def is_whole(dtype: str) -> bool:
    """Whether the type has neither NaN nor infinity."""
    return dtype in _WHOLE


def count(dtype: str, data: memoryview) -> Amiss:
    """What is amiss among the numbers in these bytes, which are whole numbers of the type, with
    the smallest byte first.
    """
    return _COUNTERS[dtype](data)


def _floating(code: str, data: memoryview) -> Amiss:
    """How many numbers of a floating type are NaN, and how many infinite. Most pieces have none,
    which is seen first.
    """
    import numpy as np

    numbers = np.frombuffer(data, code)
    if np.isfinite(numbers).all():
        return Amiss()
    return Amiss(_total(np.isnan(numbers)), _total(np.isinf(numbers)))


def _by_bits(code: str, exponent: int, fraction: int, data: memoryview) -> Amiss:
    """Of a type whose NaN and infinity have every bit of the exponent set."""
    import numpy as np

    bits = np.frombuffer(data, code)
    amiss = bits[(bits & exponent) == exponent]
    infinite = _total((amiss & fraction) == 0)
    return Amiss(amiss.size - infinite, infinite)


def _by_value(mask: int, nan: int, data: memoryview) -> Amiss:
    """Of an 8-bit type without infinity, of which these bits are the one NaN."""
    import numpy as np

    return Amiss(_total((np.frombuffer(data, "u1") & mask) == nan))


def _total(flags: Any) -> int:
    return int(flags.sum())


_SIZES = {
    "F16": 2, "BF16": 2, "F32": 4, "F64": 8, "C64": 8, "C128": 16, "F8_E5M2": 1, "F8_E4M3": 1,
    "F8_E5M2FNUZ": 1, "F8_E4M3FNUZ": 1, "F8_E8M0": 1,
}  # fmt: skip
_WHOLE = frozenset(["BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"])
_COUNTERS: Mapping[str, Callable[[memoryview], Amiss]] = {
    "F16": partial(_floating, "<f2"),
    "F32": partial(_floating, "<f4"),
    "F64": partial(_floating, "<f8"),
    "C64": partial(_floating, "<f4"),
    "C128": partial(_floating, "<f8"),
    "BF16": partial(_by_bits, "<u2", 0x7F80, 0x7F),
    "F8_E5M2": partial(_by_bits, "u1", 0x7C, 0x03),
    "F8_E4M3": partial(_by_value, 0x7F, 0x7F),
    "F8_E5M2FNUZ": partial(_by_value, 0xFF, 0x80),
    "F8_E4M3FNUZ": partial(_by_value, 0xFF, 0x80),
    "F8_E8M0": partial(_by_value, 0xFF, 0xFF),
}
