"""Text of several lines that a program printed, harmless in a file that people read."""

from __future__ import annotations

_KEPT = str.maketrans("", "", "\n\t")


def inert_lines(text: str) -> str:
    r"""The text with control, bidirectional and zero-width characters as `\x1b` or `\u202e`; line
    ends and tabs stay.
    """
    if text.translate(_KEPT).isprintable():
        return text
    shown = []
    for character in text:
        if character.isprintable() or character in "\n\t":
            shown.append(character)
        else:
            shown.append(_escaped(character))
    return "".join(shown)


def _escaped(character: str) -> str:
    """A character that cannot be printed, as an escape. Spaces of every width stay."""
    import unicodedata  # most logs never need it

    if unicodedata.category(character) == "Zs":
        return character  # a space of another width, as in Chinese text
    return character.encode("unicode_escape").decode()
