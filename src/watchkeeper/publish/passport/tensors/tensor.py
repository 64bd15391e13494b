"""A tensor as a header describes it, and why a file's tensors are not known."""

from __future__ import annotations

import math

import msgspec

MOST_TENSORS = 1_000_000
"""Of one file; a header that claims more is refused."""


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
    """Where a tensor's numbers lie in its file: `size_bytes` bytes from the byte `begin` on."""

    name: str
    dtype: str
    begin: int
    size_bytes: int


class UnreadError(Exception):
    """The tensors of this file are not read; the message says why, in words that follow its name.
    It is no fault of the file.
    """
