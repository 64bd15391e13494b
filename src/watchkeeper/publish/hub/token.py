"""The token for the Hub: read from a file, never printed, never on a command line."""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.tokens import Token, read_token

VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN")
"""What other programs take a token from. A variable is seen by every process that is started."""
_HINT = "make one at https://huggingface.co/settings/tokens, and type: hf auth login"


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
    return read_token(path, "token", _HINT)
