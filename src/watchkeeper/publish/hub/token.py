"""The token for the Hub: read from a file, never printed, never on a command line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError

VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN")
"""What other programs take a token from. A variable is seen by every process that is started."""
_MOST_BYTES = 4096
_HINT = "make one at https://huggingface.co/settings/tokens, and type: hf auth login"


class Token(msgspec.Struct, frozen=True):
    """A token and the file that it is from. Its `repr` does not show it."""

    path: Path
    key: str

    def __repr__(self) -> str:
        return f"Token({str(self.path)!r}, …)"


def default_path() -> Path:
    """Where `hf auth login` keeps a token: HF_TOKEN_PATH, HF_HOME/token, else
    ~/.cache/huggingface/token.
    """
    given = os.environ.get("HF_TOKEN_PATH")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "token"
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "huggingface" / "token"


def find_token(given: Path | None) -> Token:
    """The token in the file that was given, else in the one of `hf auth login`.

    Raises:
        UsageError: there is none, others can read it, or it is no token.
    """
    if given is not None:
        return _read(given.expanduser())
    path = default_path()
    if path.exists():
        return _read(path)
    in_environment = [name for name in VARIABLES if os.environ.get(name)]
    if in_environment:
        raise UsageError(
            f"no token in {path}; {in_environment[0]} is not read: each process sees it",
            hint="put the token into a file that only you can read, and pass --token-file FILE",
        )
    raise UsageError(f"no token: {path} is not there", hint=f"{_HINT}; or pass --token-file FILE")


def find_token_if_any(given: Path | None) -> Token | None:
    """As `find_token`; None: no file was given, and none is in its usual place.

    Raises:
        UsageError: there is one that cannot be used.
    """
    if given is None and not default_path().exists():
        return None
    return find_token(given)


def _read(path: Path) -> Token:
    try:
        with open_regular(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"the token in {path}: {error.strerror}", hint=_HINT) from None
    if stat.S_IMODE(mode) & 0o077:
        hint = f"chmod 600 {path}; if others use this machine, make a new token"
        raise UsageError(f"others can read the token in {path}", hint=hint)
    key = data.decode("ascii", "replace").strip()
    if not key.isascii() or len(key.split()) != 1 or not key.isprintable():
        raise UsageError(f"{path} holds no token: one word is expected", hint=_HINT)
    return Token(path, key)
