"""The live progress of a watch: the same blocks as in the logs, one line each, and a count that is
overwritten.
"""

from __future__ import annotations

import sys
from typing import TextIO

from watchkeeper.core.events import AnyEvent, Planned, Submitted, Unknown
from watchkeeper.core.journal import local_zone
from watchkeeper.report.actionlog.block_format import Block
from watchkeeper.report.actionlog.render import Renderer
from watchkeeper.show.text import printable

_CLEAR = "\r\x1b[K"
_WIDE = 28


class Progress:
    """Shows events as they are written. `out` is the terminal, or a file that a batch system keeps;
    with `shown` false nothing is written to it. `name` stands in each line before its action: which
    of several experiments it is about ("": there is one).
    """

    def __init__(self, out: TextIO = sys.stderr, *, shown: bool = True, name: str = "") -> None:
        self._out = out
        self._shown = shown
        self._live = shown and out.isatty()
        self._name = f"{name}  " if name else ""
        self._renderer = Renderer(local_zone())

    def tell(self, event: AnyEvent | Unknown) -> None:
        """Show one event, whoever wrote it."""
        if not self._shown:
            return
        blocks = self._renderer.feed(event)
        if (isinstance(event, Submitted) and event.by) or (
            isinstance(event, Planned) and event.phase
        ):
            return  # said already: by its submitter's own event, by the experiment's
        lines = [_line(block, self._name) for _, block in blocks if not _hidden(block)]
        if lines:
            self._clear()
            self._out.write("".join(f"{line}\n" for line in lines))
            self._out.flush()

    def count(self, words: str) -> None:
        """Overwrite the last line, on a terminal only."""
        if self._live:
            self._out.write(_CLEAR + words)
            self._out.flush()

    def end(self) -> None:
        """Leave the terminal clean."""
        self._clear()
        self._out.flush()

    def _clear(self) -> None:
        if self._live:
            self._out.write(_CLEAR)


def _hidden(block: Block) -> bool:
    """What the count below the lines says anyway, and what the person left out."""
    return block.action == "STATUS_CHECK" or (
        block.action == "SKIP" and block.details == "not selected"
    )


def _line(block: Block, name: str) -> str:
    if block.action == "STATE_CHANGE":
        plain = block.result.endswith((" started", " finished"))
        if plain:
            text = block.details
        else:
            text = f"{block.details}  {block.result}"
    elif block.action in ("SKIP", "RETRY", "DISCOVER_EXPERIMENT"):
        text = block.details
    elif block.action == "HALT":
        text = f"{block.details}; {block.result}"
    else:
        text = block.result + (f" in {block.duration}" if block.duration else "")
    if block.subject:
        subject = f"{block.subject:<{_WIDE}}  "
    else:
        subject = ""
    return printable(f"{block.time:%H:%M:%S}  {name}{block.action:<19} {subject}{text}")
