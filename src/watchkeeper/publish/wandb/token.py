"""The key for a W&B server: found in a file, never printed, never on a command line."""

from __future__ import annotations

from pathlib import Path

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.tokens import Token, read_token

PLACES = ("~/.wandb_token", "~/.wandb_key")
_HINT = (
    "copy your key from the server's page /authorize into ~/.wandb_token, then "
    "`chmod 600 ~/.wandb_token`"
)


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
    return read_token(path, "W&B key", _HINT)
