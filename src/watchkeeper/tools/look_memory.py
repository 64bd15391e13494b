"""What looks at files found, kept in the user's cache folder: of 10,000 promised files, none is
opened again that is still the same one.

What is kept is disposable. It counts only while each file, and each folder that it lies in, is the
very one that was read: its path, device, inode, size, time of change and time of writing. What was
written in the last seconds is not kept, since it may be written again within the same tick of its
filesystem's clock. Only commands that show use this; one that submits, judges or checks opens the
files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.disk.user_cache import Drawer
from watchkeeper.tools.promise import Finding, Promise
from watchkeeper.tools.script import Stamp

LEAST_PROMISES = 100
"""Of an experiment that is worth it."""
SETTLED_AFTER_S = 2.0
"""How long a file must have been as it is before what was read of it is kept."""
_NS_PER_S = 10**9


class _Known(msgspec.Struct, frozen=True, array_like=True):
    """What a look found, in which files and folders (`stamps`), and which suffixes counted as
    weights.
    """

    stamps: tuple[Stamp, ...]
    formats: tuple[str, ...]
    finding: Finding


_drawer: Drawer[dict[str, _Known]] = Drawer("looks", "looks", dict[str, _Known], 2)


class LookMemory:
    """What is remembered of the looks at one experiment's promises."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the experiment's."""
        self._folder = str(folder)
        self._before = _drawer.recall(self._folder) or {}
        self._now: dict[str, _Known] = {}

    def recall(self, promise: Promise, path: Path | str) -> Finding | None:
        """What was found of a promise at `path`, where that is still as it was; None: it must be
        looked at.
        """
        name = _name_of(promise, path)
        known = self._before.get(name)
        if known is None or known.formats != promise.formats:
            return None
        if not _are_same(known.stamps):
            return None
        self._now[name] = known
        return known.finding

    def put(
        self, promise: Promise, path: Path, stamps: tuple[Stamp, ...], finding: Finding
    ) -> None:
        """Remember the good that was found of a promise at `path`; a disk that fails may pass.
        `stamps` are of everything there, from before it was read; (): it may change unseen.
        """
        name = _name_of(promise, path)
        if name and stamps and finding.state == "good" and _are_settled(stamps):
            self._now[name] = _Known(stamps, promise.formats, finding)

    def save(self) -> None:
        """Keep what was looked up and looked at since; where that cannot be written, nothing
        happens.
        """
        if self._now.keys() != self._before.keys() or not self._is_unchanged():
            _drawer.keep(self._folder, self._now)

    def _is_unchanged(self) -> bool:
        """Whether all that is remembered is what was recalled: there is nothing new to write."""
        return all(self._before[name] is known for name, known in self._now.items())


def _name_of(promise: Promise, path: Path | str) -> str:
    """The name of a look at a path; "" where it is not remembered: a log of inspect-ai counts by
    what else is evaluated.
    """
    if promise.expected is not None:
        return ""
    return f"{promise.kind} {promise.subject}\n{path}"


def _are_same(stamps: Sequence[Stamp]) -> bool:
    """Whether at each path lies the same thing, unchanged."""
    try:
        return all(map(_is_same, stamps))
    except OSError:
        return False


def _is_same(stamp: Stamp) -> bool:
    """Whether at a path lies what the stamp is of."""
    return Stamp.of(stamp.path, os.stat(stamp.path)) == stamp  # noqa: PTH116 - of 10,000 texts


def _are_settled(stamps: Sequence[Stamp]) -> bool:
    """Whether the newest of the files' times is some seconds old."""
    newest_ns = max(max(stamp.written_ns, stamp.changed_ns) for stamp in stamps)
    return newest_ns < time.time_ns() - SETTLED_AFTER_S * _NS_PER_S
