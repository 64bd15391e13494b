"""Events to lines and back."""

from __future__ import annotations

import json

import pytest

from watchkeeper.core.events import DamagedLineError, Noted, Unknown, decode

NOTE = {"kind": "noted", "time": "2026-03-11T15:00:00Z", "writer": "w", "seq": 1, "text": "a word"}


@pytest.mark.parametrize(
    "names",
    [list(NOTE), [*list(NOTE)[1:], "kind"]],
    ids=["kind first", "kind last"],
)
def test_the_order_of_fields_does_not_matter(names: list[str]) -> None:
    """A line that another program wrote, with `kind` elsewhere, is the same event."""
    line = json.dumps({name: NOTE[name] for name in names}).encode()
    event = decode(line)
    assert isinstance(event, Noted) and event.text == "a word"


def test_a_word_where_the_kind_stands_decides_nothing() -> None:
    """The kind is the field's value, not what lies at its usual place."""
    text = '{"seq":2,"writer":"noted","kind":"new","time":"2026-03-11T15:00:00Z"}'
    event = decode(text.encode())
    assert isinstance(event, Unknown) and event.kind == "new"


def test_a_kind_spelled_with_an_escape_is_known() -> None:
    """JSON has several spellings of one text."""
    line = json.dumps(NOTE).replace("noted", "not\\u0065d").encode()
    assert isinstance(decode(line), Noted)


@pytest.mark.parametrize("line", [b"", b"{", b'{"kind":"noted"', b'{"kind":"noted","seq":"x"}'])
def test_half_a_line_is_damage(line: bytes) -> None:
    """Also where its kind can be read."""
    with pytest.raises(DamagedLineError):
        decode(line)
