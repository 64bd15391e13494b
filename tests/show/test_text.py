"""What commands print is harmless on a terminal, and the same to a program."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.show.text import harmless_json

ODD = "a\x1b[2J\x9b31m\u202eb\u2066\u200b\U000e0001\x7f"


@given(st.text())
def test_a_program_reads_the_same_json(text: str) -> None:
    """Escapes change no value."""
    printed = json.dumps({"x": text}, ensure_ascii=False, indent=2)
    assert json.loads(harmless_json(printed)) == {"x": text}


def test_nothing_in_it_is_obeyed() -> None:
    """Control characters, overrides and characters without width stand as escapes."""
    printed = harmless_json(json.dumps({"x": ODD}, ensure_ascii=False, indent=2))
    assert printed.replace("\n", "").isprintable()
    assert json.loads(printed) == {"x": ODD}


@pytest.mark.parametrize("text", ['{\n  "x": "größer ✅"\n}', "[]"])
def test_plain_json_stays_as_it_is(text: str) -> None:
    """What is harmless already is printed byte for byte."""
    assert harmless_json(text) is text
