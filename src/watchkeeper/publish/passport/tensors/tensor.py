"""A tensor as a header describes it, and why a file's tensors are not known."""

from __future__ import annotations

import math

import msgspec

MOST_TENSORS = 1_000_000
"""Of one file; a header that claims more is refused."""
NUMPY_DTYPES = {
    "bool": ("BOOL", 1), "int8": ("I8", 1), "int16": ("I16", 2), "int32": ("I32", 4),
    "int64": ("I64", 8), "uint8": ("U8", 1), "uint16": ("U16", 2), "uint32": ("U32", 4),
    "uint64": ("U64", 8), "float16": ("F16", 2), "float32": ("F32", 4), "float64": ("F64", 8),
    "bfloat16": ("BF16", 2), "complex64": ("C64", 8), "complex128": ("C128", 16),
    "float8_e4m3fn": ("F8_E4M3", 1), "float8_e5m2": ("F8_E5M2", 1),
    "float8_e4m3fnuz": ("F8_E4M3FNUZ", 1), "float8_e5m2fnuz": ("F8_E5M2FNUZ", 1),
    "float8_e8m0fnu": ("F8_E8M0", 1),
}  # fmt: skip
"""NumPy's name of a type → ours, and the bytes of one number."""


class Tensor(msgspec.Struct, frozen=True):
    """One tensor. `dtype` is the format's own name for it (`BF16`), `shape` its sizes, `size_bytes`
    what it takes in the file (None: the header does not say).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int | None

    @property
    def elements(self) -> int:
        """How many numbers it holds; 1 for a scalar."""
        return math.prod(self.shape)


class Span(msgspec.Struct, frozen=True):
    """Where a tensor's numbers lie: `size_bytes` bytes from the byte `begin` of its file on. `file`
    is one beside it, relative to its folder; "": the file itself.
    """

    name: str
    dtype: str
    begin: int
    size_bytes: int
    file: str = ""


class UnreadError(Exception):
    """The tensors of this file are not read; the message says why, in words that follow its name.
    It is no fault of the file.
    """
