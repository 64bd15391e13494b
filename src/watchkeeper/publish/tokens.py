"""A secret that a server wants, read from a file: never printed, never on a command line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError

_MOST_BYTES = 4096


class Token(msgspec.Struct, frozen=True):
    """A secret word and the file that it is from. Its `repr` does not show it."""

    path: Path
    key: str

    def __repr__(self) -> str:
        return f"Token({str(self.path)!r}, …)"


def read_token(path: Path, name: str, hint: str) -> Token:
    """The token in a file. `name` is what people call it, `hint` how they get one.

    Raises:
        UsageError: it cannot be read, others can read it, or it is not one word.
    """
    try:
        with open_regular(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"the {name} in {path}: {error.strerror}", hint=hint) from None
    if stat.S_IMODE(mode) & 0o077:
        word = name.rpartition(" ")[2]
        way_out = f"chmod 600 {path}; if others use this machine, make a new {word}"
        raise UsageError(f"others can read the {name} in {path}", hint=way_out)
    key = data.decode("ascii", "replace").strip()
    if not key.isascii() or len(key.split()) != 1 or not key.isprintable():
        raise UsageError(f"{path} holds no {name}: one word is expected", hint=hint)
    return Token(path, key)
