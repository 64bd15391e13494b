"""The folders that were asked for, and the ids of what lies below them. Pure but for real paths.

An id names a place or a run in an address: the name of such a folder (a *root*), a slash and the
path below it; for a run of an experiment its key follows. An id is compared with the ids of what
was read, and is never joined to a path.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.text import odd_bytes


class Root(NamedTuple):
    """A folder that was asked for. `path` is as it was typed, `real` without links; no two have one
    `name`.
    """

    name: str
    path: Path
    real: str

    def id_of(self, below: str) -> str:
        """The id of a place by its path below the root, "" for the root itself. A byte of its name
        that is no UTF-8 has a sign in its place.
        """
        return odd_bytes.as_text(f"{self.name}/{below}".rstrip("/"))


def roots_of(paths: Sequence[Path]) -> list[Root]:
    """The roots in the order that was typed, without those that lie in another one. Where two
    folders have one name, the later is `NAME-2`.

        /a/night, /b/night, /a/night/r8 → `night` at /a/night, `night-2` at /b/night

    A folder that was typed twice, or under two links, is one root.
    """
    reals = {path: os.path.realpath(path) for path in paths}
    roots: dict[str, Root] = {}
    for path in paths:
        real = reals[path]
        is_below = any(_lies_in(real, other) for other in reals.values())
        if real in roots or is_below:
            continue
        # Of the root of the filesystem the name is "".
        wanted = Path(real).name or "root"
        taken = {root.name for root in roots.values()}
        roots[real] = Root(_free_name(wanted, taken), path, real)
    return list(roots.values())


def run_id(experiment_id: str, key: str) -> str:
    """The id of a run of an experiment: `night/r8` of the key `r8`."""
    return f"{experiment_id}/{odd_bytes.as_text(key)}"


def _lies_in(real: str, other: str) -> bool:
    """Whether one real path lies below another: `/exp/r8` does below `/exp`, `/exp` and `/exp2` do
    not. Below `/`, which ends with a slash already, all others do.
    """
    return real != other and real.startswith(f"{other.rstrip('/')}/")


def _free_name(name: str, taken: set[str]) -> str:
    """The name, or `NAME-2` and so on where it is taken."""
    name = odd_bytes.as_text(name)
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"
