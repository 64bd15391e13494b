"""The last figures of recorded runs, kept in the user's cache folder: of a thousand runs with a
thousand rows each, only those that have changed are read again.

What is kept is disposable. It counts only while the files of the run's journal and rows are the
very ones that were read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from watchkeeper.core.disk.user_cache import Drawer
from watchkeeper.core.events import Number

Identity = tuple[tuple[str, int, int, int, int], ...]
"""Of a run's journal and rows, each file's, as `query/catalogue/places.py` has it."""


class _Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    identity: Identity
    figures: dict[str, Number]


# Of a folder: its runs by their real paths.
_drawer: Drawer[dict[str, _Known]] = Drawer("figures", "figures", dict[str, _Known], 1)


class FiguresMemory:
    """What is remembered of the recorded runs below one folder."""

    def __init__(self, top: Path) -> None:
        """`top` is the folder, under any name: what is kept is kept under its real path."""
        self._top = str(top.resolve())
        self._before = _drawer.recall(self._top) or {}
        self._now: dict[str, _Known] = {}

    def recall(self, run: Path, identity: Identity) -> Mapping[str, Number] | None:
        """The figures of a run whose files are those that were read; None: it must be read.

            {"train_loss": 0.031, "val_loss": 0.044}

        `identity` is that of the files as they are now.
        """
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
        """Keep what was put; where that cannot be written, nothing happens. A run that was not put
        this time is forgotten: it may be gone.
        """
        if self._now and self._now != self._before:
            _drawer.keep(self._top, self._now)
