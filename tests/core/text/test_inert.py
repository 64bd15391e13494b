"""What programs print, in the text logs that people read."""

from __future__ import annotations

import pytest

from watchkeeper.core.text.inert import inert_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("größer ✅ 日本\u3000本", "größer ✅ 日本\u3000本"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\rb\x9b2J", "a\\rb\\x9b2J"),
        ("a\u202eb\u200b\ufeff\U000e0001", "a\\u202eb\\u200b\\ufeff\\U000e0001"),
        ("a\u2028b\x85", "a\\u2028b\\x85"),
    ],
)
def test_what_would_be_obeyed_is_shown(text: str, shown: str) -> None:
    """Characters that a terminal or an editor obeys stand as their numbers; lines, tabs and letters
    of any script stay.
    """
    assert inert_lines(text) == shown


def test_plain_text_is_the_same_object() -> None:
    """The usual line costs no copy."""
    line = "2026-03-11 15:00:00 INFO loss 0.5\n"
    assert inert_lines(line) is line
