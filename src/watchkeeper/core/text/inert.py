"""Text of several lines that a program printed, harmless in a file that people read."""

from __future__ import annotations

_KEPT = str.maketrans("", "", "\n\t")


def inert_lines(text: str) -> str:
    r"""The text with control, bidirectional and zero-width characters as `\x1b` or `\u202e`; line
    ends and tabs stay.
    """
    if text.translate(_KEPT).isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    import unicodedata  # most logs never need it

    if unicodedata.category(character) == "Zs":
        return character  # a space of another width, as in Chinese text
    return character.encode("unicode_escape").decode()
