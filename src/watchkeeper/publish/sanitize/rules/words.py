"""Lists of words, as they are written down."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, which only space stands between."""
    return frozenset(text.split())
