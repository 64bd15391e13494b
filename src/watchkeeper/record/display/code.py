"""Which code a process runs, and whether the files it came from have changed since: a program that
was edited keeps running what it once loaded.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from pathlib import Path

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.version import PACKAGE

FILES_LIMIT = 1_000

Stamp = tuple[int, int]


def _foreign() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    places = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*places, PACKAGE)


def source_files() -> list[Path]:
    """The user's own Python files that this process has loaded: neither the library's nor installed
    packages'.
    """
    foreign = _foreign()
    files: dict[Path, None] = {}
    for module in list(sys.modules.values()):
        name = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(name, str) and name.endswith(".py") and not name.startswith(foreign):
            files[Path(name).absolute()] = None
    return list(files)[:FILES_LIMIT]


class Code:
    """The files as they were when they were first seen; a file that is imported later is first seen
    by a later look.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[Stamp, str]] = {}
        self.changed: tuple[str, ...] = ()
        """The names of files whose bytes are others now, or that are gone."""
        self.look()

    @property
    def sha256(self) -> str:
        """One hash over all of them, in the order of their paths; "" where there are none."""
        if not self._seen:
            return ""
        lines = (f"{sha256} {path}\n" for path, (_, sha256) in sorted(self._seen.items()))
        return hashlib.sha256("".join(lines).encode("utf-8", "replace")).hexdigest()

    def look(self) -> tuple[str, ...]:
        """Look again; returns `changed`. A file is read only if its size or its time is another."""
        for path in source_files():
            if path not in self._seen and (stamp := _stamp(path)) is not None:
                self._seen[path] = (stamp, _sha256(path))
        self.changed = tuple(
            path.name
            for path, (stamp, sha256) in self._seen.items()
            if _stamp(path) != stamp and (_stamp(path) is None or _sha256(path) != sha256)
        )
        return self.changed


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(read_whole(path)).hexdigest()
    except OSError:
        return ""
