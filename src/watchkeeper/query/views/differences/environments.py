"""The environments that runs were submitted from: kept package lists, and how one differs from
another.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from watchkeeper.core.code.environment import Environment, Python
from watchkeeper.core.disk.objects import read_kept

MOST_DETAILS = 200
"""Packages that are named one by one."""


class Change(NamedTuple):
    """How an environment differs from another: in a few words, and package by package."""

    words: str
    details: list[str]


class Environments:
    """Reads kept environments, each once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], Environment | None] = {}

    def read(self, folder: Path, sha256: str) -> Environment | None:
        """The environment that `folder` keeps under this hash; None where it cannot be read. A hash
        of "" is that of a run whose environment nobody noted.
        """
        if not sha256:
            return None
        place = (folder, sha256)
        if place not in self._known:
            self._known[place] = _decoded(read_kept(folder, sha256))
        return self._known[place]


def python_of(environment: Environment) -> Python:
    """The Python that a script finds: the first one of the PATH, if its packages were seen, else
    the submitter's own.
    """
    found = environment.on_path
    if found is None or not found.packages:
        return environment.submitter
    return found


def counted(packages: Mapping[str, str]) -> str:
    """How many packages there are (name → version), in words: `17 packages`."""
    if len(packages) == 1:
        return "1 package"
    return f"{len(packages)} packages"


def change_of(old: Mapping[str, str], new: Mapping[str, str]) -> Change:
    """How packages (name → version) differ from others: `156: 139 more, 1 changed`.

    The details name each one: `torch 2.4.0 → 2.5.1`, `+ accelerate 1.0`, `− apex 0.1`. Of more than
    200 the first are named, and the last line says how many are left. Where nothing differs, the
    words are `156 packages` alone, without details.
    """
    added: list[str] = []
    changed: list[str] = []
    for name, version in new.items():
        before = old.get(name)
        if before is None:
            added.append(f"+ {name} {version}")
        elif before != version:
            changed.append(f"{name} {before} → {version}")
    removed: list[str] = []
    for name, version in old.items():
        if name not in new:
            removed.append(f"− {name} {version}")
    counts = ((added, "more"), (removed, "fewer"), (changed, "changed"))
    words = [f"{len(lines)} {what}" for lines, what in counts if lines]
    if not words:
        return Change(counted(new), [])
    details = [*changed, *added, *removed]
    left_out = len(details) - MOST_DETAILS
    if left_out > 0:
        details = [*details[:MOST_DETAILS], f"{left_out} more"]
    return Change(f"{len(new)}: {', '.join(words)}", details)


def _decoded(data: bytes | None) -> Environment | None:
    """The environment in a kept file; None where there is no file, or it is damaged."""
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=Environment)
    except (msgspec.DecodeError, RecursionError):
        return None
