"""Keys as a terminal sends them, by name. Pure."""

from __future__ import annotations

import re

from watchkeeper.core.text import lazy

_NAMED = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x03": "interrupt",
    b"\x04": "interrupt",
    b"\x0c": "redraw",
}
_SEQUENCE = lazy.pattern(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.)|[^\x1b]", re.DOTALL)
_ESCAPE = b"\x1b"


def decode(data: bytes, *, is_whole: bool) -> tuple[list[str], bytes]:
    """The keys in what was read, and what is the beginning of one that has not come yet.
    `is_whole`: nothing more is coming, so a lone escape is the key. A key that has no use is left
    out.
    """
    keys: list[str] = []
    while data:
        match = _SEQUENCE.match(data)
        if match is None:
            if not is_whole and len(data) < 8:
                return keys, data
            keys.append("escape")
            data = data[1:]
            continue
        piece = match.group()
        if piece[0] >= 0x80:
            piece = data[: _length(piece[0])]
            if len(piece) < _length(piece[0]) and not is_whole:
                return keys, data
        keys += _names(piece)
        data = data[len(piece) :]
    return keys, data


def _length(first: int) -> int:
    """How many bytes a character in UTF-8 has, by its first."""
    if first >= 0xF0:
        return 4
    if first >= 0xE0:
        return 3
    return 2


def _names(piece: bytes) -> list[str]:
    """The name of one key: its character, where it is one; none for a key without a use."""
    if piece in _NAMED:
        return [_NAMED[piece]]
    text = piece.decode("utf-8", "ignore")
    if text.isprintable() and text:
        return [text]
    return []
