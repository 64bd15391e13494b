"""Keys as terminals send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.show.live.keys import decode


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"q\r\x7f", ["q", "enter", "backspace"]),
        ("é学".encode(), ["é", "学"]),
        (b"\x1b[1;5C", []),
        (b"\x1b[5~k", ["page up", "k"]),
    ],
)
def test_keys_have_names(data, keys):
    """Arrows, letters of any alphabet, and nothing for a key without a use."""
    assert decode(data, is_whole=False) == (keys, b"")


def test_an_escape_alone_is_a_key_when_nothing_follows():
    """Until then it may be the beginning of an arrow."""
    assert decode(b"\x1b", is_whole=False) == ([], b"\x1b")
    assert decode(b"\x1b", is_whole=True) == (["escape"], b"")


@given(st.binary(max_size=40), st.integers(0, 40))
def test_any_bytes_are_read_to_their_end(data, cut):
    """Nothing that a terminal sends, in whatever pieces, stops the keys."""
    _, rest = decode(data[:cut], is_whole=False)
    _, rest = decode(rest + data[cut:], is_whole=True)
    assert rest == b""
