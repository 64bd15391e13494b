"""The wrapper's file names, which carry the attempt's token."""

from __future__ import annotations

import re
from pathlib import Path

from watchkeeper.core.text import lazy

_PREFIX = "wk-"
_SUFFIX = ".sh"
_NAME = lazy.pattern(rf"\.?{_PREFIX}([A-Za-z0-9_-]+){re.escape(_SUFFIX)}")


def wrapper_name(token: str) -> str:
    """The wrapper's file name, by which its job is found again."""
    return f"{_PREFIX}{token}{_SUFFIX}"


def name_beside(token: str) -> str:
    """The name of a link to the wrapper in the script's own folder. A script that asks Slurm for
    its `Command=`, to find the files beside it, then looks in that folder.
    """
    return f".{wrapper_name(token)}"


def token_of(path: Path | str) -> str | None:
    """The token in a wrapper's path; None if the path is not a wrapper's."""
    match = _NAME.fullmatch(Path(path).name)
    if match:
        return match.group(1)
    return None
