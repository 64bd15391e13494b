"""Models of the Hugging Face Hub by the places where its client keeps them. Pure."""

from __future__ import annotations

import re
from typing import Any

_SNAPSHOT = re.compile(
    r"(?:^|/)models--(?P<name>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})(?:/|$)", re.ASCII
)


def asset_at(path: str) -> dict[str, Any] | None:
    """The model and the commit that a path inside the Hub's cache names; None: it is no such path.
    The client writes the `/` of a model's name as `--`.
    """
    match = _SNAPSHOT.search(path)
    if match is None:
        return None
    name = match["name"].replace("--", "/")
    return {"name": name, "revision": match["commit"], "pinned": True}


def name_at(path: str | None) -> str | None:
    """The model's name where a path lies in the Hub's cache; else the path as it is."""
    if not path:
        return path
    asset = asset_at(path)
    if asset is None:
        return path
    name: str = asset["name"]
    return name
