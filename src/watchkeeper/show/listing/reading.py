"""How far a command has come that reads thousands of runs for the first time: one line on the
terminal, overwritten, and gone before the answer is shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from watchkeeper.query.catalogue.listing import Listing

FIRST_S = 0.5
"""What takes less is not worth a line."""
PAUSE_S = 0.25
_CLEAR = "\r\x1b[K"


class ReadingLine:
    """Says how many of the places are read. With `is_shown` False, or where `out` is no terminal,
    nothing is written.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        *,
        is_shown: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out or sys.stderr
        self._is_shown = is_shown and self._out.isatty()
        self._clock = clock
        self._next = clock() + FIRST_S
        self._is_dirty = False

    def note(self, listing: Listing) -> None:
        """Overwrite the line, if the last one is old enough."""
        if not self._is_shown or self._clock() < self._next:
            return
        self._next = self._clock() + PAUSE_S
        text = f"reading: {listing.read:,} of {listing.places:,} places, {len(listing.runs):,} runs"
        self._write(_CLEAR + text)
        self._is_dirty = True

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._is_dirty:
            self._write(_CLEAR)
            self._is_dirty = False

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
