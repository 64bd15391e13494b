"""The last figures of recorded runs, kept in the user's cache folder: of a thousand runs with a
thousand rows each, only those that have changed are read again.

What is kept is disposable. It counts only while the files of the run's journal and rows are the
very ones that were read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from watchkeeper.core.disk import user_cache
from watchkeeper.core.events import Number
from watchkeeper.core.version import SOFTWARE

Identity = tuple[tuple[str, int, int, int, int], ...]
"""Of a run's journal and rows, each file's, as `query/catalogue/places.py` has it."""
_FORMAT = 1  # to rise with each change of what a figure means


class _Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    identity: Identity
    figures: dict[str, Number]


class _File(msgspec.Struct, frozen=True, array_like=True):
    format: int
    software: str
    top: str
    runs: dict[str, _Known]


_decoder = msgspec.msgpack.Decoder(_File)
_encoder = msgspec.msgpack.Encoder()


class FiguresMemory:
    """What is remembered of the recorded runs below one folder."""

    def __init__(self, top: Path) -> None:
        """`top` is the folder, under any name."""
        self._top = str(top.resolve())
        self._place = user_cache.folder() / "figures" / f"{user_cache.name_of(self._top)}.figures"
        self._before = self._load()
        self._now: dict[str, _Known] = {}

    def recall(self, run: Path, identity: Identity) -> Mapping[str, Number] | None:
        """The figures of a run whose files are those that were read; None: it must be read."""
        known = self._before.get(str(run.resolve()))
        if known is None or known.identity != identity:
            return None
        return known.figures

    def put(self, run: Path, identity: Identity, figures: Mapping[str, Number]) -> None:
        """Remember the figures of a run. Its identity is from before they were read, so that a file
        that grew meanwhile is read again; (): it is not known, and nothing is kept.
        """
        if identity:
            self._now[str(run.resolve())] = _Known(identity, dict(figures))

    def save(self) -> None:
        """Keep what was put; where that cannot be written, nothing happens."""
        if not self._now or self._now == self._before:
            return
        try:
            data = _encoder.encode(_File(_FORMAT, SOFTWARE, self._top, self._now))
        except (UnicodeEncodeError, OverflowError):
            return  # something that no encoding has: the runs are read each time
        user_cache.keep(self._place, data)

    def _load(self) -> dict[str, _Known]:
        data = user_cache.recall(self._place)
        if data is None:
            return {}
        try:
            file = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        if (file.format, file.software, file.top) != (_FORMAT, SOFTWARE, self._top):
            return {}
        return file.runs
