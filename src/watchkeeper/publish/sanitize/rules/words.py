"""Lists of words, as they are written down."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, which only space stands between: lists are easier to read without
    quotes.
    """
    return frozenset(text.split())
