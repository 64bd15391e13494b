"""Where an experiment stands, on the terminal of the command that watches it: the picture of
`status`, renewed in place.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from typing import TextIO

from watchkeeper.core.events import AnyEvent, Unknown

_LEAST_PAUSE_S = 2.0
_SHARE = 50  # times as long as a look took, a pause is: a watch costs next to nothing


class StandingPicture:
    """Draws what `look` returns, lines that fit the terminal, over what it drew before. `clock`
    gives seconds.
    """

    def __init__(
        self,
        out: TextIO,
        look: Callable[[], list[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._clock = clock
        self._look = look
        self._shown: list[str] = []
        self._next = -math.inf

    def tell(self, event: AnyEvent | Unknown) -> None:
        """An event: the next picture has what came of it."""

    def count(self, words: str) -> None:
        """Draw again, if the last picture is old enough. The picture has the counts as well."""
        del words
        began = self._clock()
        if began < self._next:
            return
        lines = self._look()[: max(1, shutil.get_terminal_size().lines - 1)]
        self._draw(lines)
        took = self._clock() - began
        self._next = began + max(_LEAST_PAUSE_S, _SHARE * took)

    def end(self) -> None:
        """Leave the terminal as if nothing had been drawn."""
        self._draw([])

    def _draw(self, lines: list[str]) -> None:
        """Write the lines that changed, and take away what is too much."""
        written = []
        if self._shown:
            written.append(f"\x1b[{len(self._shown)}F")
        for number, line in enumerate(lines):
            if number < len(self._shown) and self._shown[number] == line:
                written.append("\n")
            else:
                written.append(f"{line}\x1b[K\n")
        written.append("\x1b[J")
        self._shown = lines
        self._out.write("".join(written))
        self._out.flush()
