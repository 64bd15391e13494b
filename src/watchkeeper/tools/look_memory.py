"""What looks at files found, kept in the user's cache folder: of 10,000 promised files, none is
opened again that is still the same one.

What is kept is disposable. Which files lie where is looked up each time; what was read of them
counts only while each is the very file that was read: its name, device, inode, size, time of change
and time of writing. A file that was written in the last seconds is not kept, since it may be
written again within the same tick of its filesystem's clock. Only commands that show use this; one
that submits, judges or checks opens the files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.collector import collector_paused
from watchkeeper.core.disk import user_cache
from watchkeeper.core.version import SOFTWARE
from watchkeeper.tools.promise import Finding, Promise
from watchkeeper.tools.script import File, Stamp

LEAST_PROMISES = 100
"""Of an experiment that is worth it."""
SETTLED_AFTER_S = 2.0
"""How long a file must have been as it is before what was read of it is kept."""
_FORMAT = 1  # to rise with each change of what a look finds
_NS_PER_S = 10**9


class _Known(msgspec.Struct, frozen=True, array_like=True):
    """What a look found, in which files (`stamps`), and which suffixes counted as weights."""

    stamps: tuple[Stamp, ...]
    formats: tuple[str, ...]
    finding: Finding


class _File(msgspec.Struct, frozen=True, array_like=True):
    format: int
    software: str
    folder: str
    looks: dict[str, _Known]


_decoder = msgspec.msgpack.Decoder(_File)
_encoder = msgspec.msgpack.Encoder()


class LookMemory:
    """What is remembered of the looks at one experiment's promises."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the experiment's."""
        self._folder = str(folder)
        self._place = user_cache.folder() / "looks" / f"{user_cache.name_of(folder)}.looks"
        self._before = self._load()
        self._now: dict[str, _Known] = {}

    def finding(
        self, promise: Promise, shown: str, files: Sequence[File], look: Callable[[], Finding]
    ) -> Finding:
        """What lies at the place `shown` of a promise, in these files: as it is remembered, else as
        `look` finds it.

        Raises:
            OSError: `look` raises it.
        """
        name = f"{promise.subject}\n{shown}"
        stamps = tuple(file.stamp for file in files)
        known = self._before.get(name)
        if known is None or known.stamps != stamps or known.formats != promise.formats:
            known = _Known(stamps, promise.formats, look())
        if files and _are_settled(stamps):
            self._now[name] = known
        return known.finding

    def save(self) -> None:
        """Keep what was looked up and looked at since; where that cannot be written, nothing
        happens.
        """
        if self._now.keys() == self._before.keys() and self._is_unchanged():
            return
        try:
            data = _encoder.encode(_File(_FORMAT, SOFTWARE, self._folder, self._now))
        except (UnicodeEncodeError, OverflowError):
            return  # something that no encoding has: the files are read each time
        user_cache.keep(self._place, data)

    def _is_unchanged(self) -> bool:
        return all(self._before[name] is known for name, known in self._now.items())

    def _load(self) -> dict[str, _Known]:
        data = user_cache.recall(self._place)
        if data is None:
            return {}
        try:
            with collector_paused():
                file = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        if (file.format, file.software, file.folder) != (_FORMAT, SOFTWARE, self._folder):
            return {}
        return file.looks


def _are_settled(stamps: Sequence[Stamp]) -> bool:
    """Whether the newest of the files' times is some seconds old."""
    newest_ns = max(max(stamp.written_ns, stamp.changed_ns) for stamp in stamps)
    return newest_ns < time.time_ns() - SETTLED_AFTER_S * _NS_PER_S
