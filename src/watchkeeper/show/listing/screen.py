"""What the place can show that text is written to, and the glyphs of states."""

from __future__ import annotations

import codecs
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import TextIO

import click
import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.query.catalogue.entry import medians
from watchkeeper.show.text import shorten, wrap

_ENDLESS = 1_000_000
_WIDE = 100
_BARS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
# Kind of a state → glyph, glyph where only ASCII can be shown, colour.
_GLYPHS = {
    "done": ("✓", "v", "green"),
    "failed": ("✗", "x", "red"),
    "warning": ("!", "!", "yellow"),
    "running": ("▶", ">", "blue"),
    "waiting": ("○", "o", ""),
    "blocked": ("⊘", "%", "red"),
    "not needed": ("–", "-", ""),
    "unknown": ("?", "?", "magenta"),
}
_KIND_OF_GLYPH = {glyph: kind for kind, glyphs in _GLYPHS.items() for glyph in glyphs[:2]}
_GLYPH = lazy.pattern(rf"(?<!\S)[{re.escape(''.join(_KIND_OF_GLYPH))}](?!\S)")
_KINDS = {
    "finished": "done",
    "done": "done",
    "failed": "failed",
    "died": "failed",
    "interrupted": "failed",
    "cancelled": "failed",
    "lost": "failed",
    "invalid": "failed",
    "running": "running",
    "waiting": "waiting",
    "to do": "waiting",
    "blocked": "blocked",
    "not needed": "not needed",
}


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """`width` in columns, None where lines may have any length; `is_live`: bars, sparklines and
    colours are shown; `is_utf8`: more than ASCII can be.
    """

    width: int | None = None
    is_live: bool = False
    is_utf8: bool = False

    @property
    def room(self) -> int:
        """How many columns a line may have."""
        if self.width is None:
            return _ENDLESS
        return self.width

    @property
    def is_wide(self) -> bool:
        """Whether there is room for all columns of a picture."""
        return self.room >= _WIDE

    def glyph(self, kind: str) -> str:
        """The glyph of a kind: done, failed, warning, running, waiting, blocked, not needed,
        unknown.
        """
        wide, plain, _ = _GLYPHS[kind]
        if self.is_utf8:
            return wide
        return plain

    def paint(self, text: str, kind: str) -> str:
        """The text in the colour of a kind, where colours are shown."""
        colour = _GLYPHS[kind][2]
        if not self.is_live or not colour:
            return text
        return click.style(text, fg=colour)

    def paint_glyphs(self, text: str) -> str:
        """The text with each glyph that stands alone in the colour of its kind."""
        if not self.is_live:
            return text
        return _GLYPH.sub(self._painted, text)

    def _painted(self, match: re.Match[str]) -> str:
        glyph = match.group()
        return self.paint(glyph, _KIND_OF_GLYPH[glyph])

    @property
    def rule(self) -> str:
        """What a line below a header is made of."""
        if self.is_utf8:
            return "─"
        return "-"

    def cut(self, text: str, most: int) -> str:
        """The text in at most this many columns; what is cut ends in an ellipsis."""
        if self.is_utf8:
            return shorten(text, most, "…")
        return shorten(text, most)

    def wrap(self, text: str, columns: int, most: int) -> list[str]:
        """The text on lines of this many columns, broken between words; after `most` it is cut."""
        lines = wrap(text, columns)
        if len(lines) <= most:
            return lines
        rest = " ".join(lines[most - 1 :])
        return [*lines[: most - 1], self.cut(rest, columns)]

    def bar(self, share: float, columns: int) -> str:
        """A bar that is filled by a share from 0 to 1, and full only at 1; "" where bars are not
        shown.
        """
        if not (self.is_live and self.is_utf8):
            return ""
        eighths = int(min(max(share, 0.0), 1.0) * columns * 8)
        whole, rest = divmod(eighths, 8)
        filled = "█" * whole
        if rest:
            filled += _EIGHTHS[rest]
        return filled.ljust(columns, "·")

    def spark(self, values: Sequence[float], columns: int) -> str:
        """The values as a line of bars from the least to the greatest; "" where none are shown."""
        if not (self.is_live and self.is_utf8) or len(values) < 2:
            return ""
        shown = medians(values, columns)
        least, most = min(shown), max(shown)
        if most <= least:
            return _BARS[0] * len(shown)
        # Halves: the difference of two finite numbers may be infinite.
        span = most / 2 - least / 2
        return "".join(_BARS[round((value / 2 - least / 2) / span * 7)] for value in shown)


def screen_of(out: TextIO, environ: Mapping[str, str] = os.environ) -> Screen:
    """What standard output can show. A file or a pipe gets whole lines of plain text."""
    is_terminal = out.isatty()
    is_live = is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    width = None
    if is_terminal:
        width = shutil.get_terminal_size().columns
    return Screen(width=width, is_live=is_live, is_utf8=_is_utf8(out) and is_terminal)


def _is_utf8(out: TextIO) -> bool:
    try:
        return codecs.lookup(out.encoding or "ascii").name == "utf-8"
    except LookupError:
        return False


def kind_of(state: str) -> str:
    """The kind of a run's state, by which it has its glyph and colour."""
    return _KINDS.get(state, "unknown")
