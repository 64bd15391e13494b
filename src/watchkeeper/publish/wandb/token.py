"""The key for a W&B server: found in a file, never printed, never on a command line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError

PLACES = ("~/.wandb_token", "~/.wandb_key")
_MOST_BYTES = 4096
_HINT = (
    "copy your key from the server's page /authorize into ~/.wandb_token, then "
    "`chmod 600 ~/.wandb_token`"
)


class Token(msgspec.Struct, frozen=True):
    """A key and the file that it is from. Its `repr` does not show it."""

    path: Path
    key: str

    def __repr__(self) -> str:
        return f"Token({str(self.path)!r}, …)"


def find_token(given: Path | None) -> Token:
    """The key in the file that was given, else in the first of `PLACES` that is there.

    Raises:
        UsageError: there is none, others can read it, or it is no key.
    """
    if given is not None:
        return _read(given.expanduser())
    for place in PLACES:
        path = Path(place).expanduser()
        if path.exists():
            return _read(path)
    raise UsageError(f"no W&B key: neither {' nor '.join(PLACES)} exists", hint=_HINT)


def _read(path: Path) -> Token:
    try:
        with open_regular(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"the W&B key in {path}: {error.strerror}", hint=_HINT) from None
    if stat.S_IMODE(mode) & 0o077:
        hint = f"chmod 600 {path}; if others use this machine, make a new key"
        raise UsageError(f"others can read the W&B key in {path}", hint=hint)
    key = data.decode("ascii", "replace").strip()
    if not key.isascii() or len(key.split()) != 1 or not key.isprintable():
        raise UsageError(f"{path} holds no W&B key: one word is expected", hint=_HINT)
    return Token(path, key)
