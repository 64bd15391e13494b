"""Texts of one kind that differ in what only names a run: paths, numbers and hexadecimal words."""

from __future__ import annotations

from watchkeeper.core.text import lazy

# Every repetition is bounded, or of letters that the next part lacks: a long line takes linear
# time.
_NAMES = lazy.pattern(
    r"(?P<path>(?:~|\.{1,2})?(?:/[\w.@%+=~-]+)+/?)"
    r"|(?P<hex>\b0x[0-9a-fA-F]+\b|\b(?=[a-f]{0,64}[0-9])[0-9a-f]{6,64}\b)"
    r"|(?P<number>\d+(?:\.\d+)?)"
)


def masked(text: str) -> str:
    """The text with `<path>`, `<hex>` and `<number>` in the place of each."""
    return _NAMES.sub(lambda match: f"<{match.lastgroup}>", text)
