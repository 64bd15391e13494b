"""Lines as braille characters: two dots wide and four high in each column of a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

_BLANK = 0x2800
# Row of a dot within its character → its bit in the left and in the right column.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
DOTS_WIDE, DOTS_HIGH = 2, 4
_LOG_FROM = 5.0
"""A scale is logarithmic from this ratio of its greatest to its least value."""
_NICE = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
_LEAST_GAP = 3


class Scale(msgspec.Struct, frozen=True):
    """From values to dots, the greatest at the top, row 0. `rows` are characters."""

    least: float
    most: float
    rows: int

    @property
    def is_log(self) -> bool:
        """Whether equal ratios are equal distances."""
        return self.least > 0 and self.most / self.least >= _LOG_FROM

    def share(self, value: float) -> float:
        """How far below the top a value lies, from 0 to 1; the middle where all are the same."""
        if self.most <= self.least:
            return 0.5
        if self.is_log:
            most, least = math.log(self.most), math.log(self.least)
            return (most - math.log(value)) / (most - least)
        # Halves: the difference of two finite numbers may be infinite.
        return (self.most / 2 - value / 2) / (self.most / 2 - self.least / 2)

    def dot(self, value: float) -> int:
        """The row of dots of a value."""
        within = min(max(value, self.least), self.most)
        return round(self.share(within) * (self.rows * DOTS_HIGH - 1))

    def labels(self) -> dict[int, str]:
        """Row of characters → its label: the ends, and round values between them.

        Three rows at least lie between two labels. Where all values are the same, one label stands
        in the middle.
        """
        if self.most <= self.least:
            return {self.rows // 2: _label(self.least)}
        labels = {0: _label(self.most)}
        last = 0
        for value in self._round_values():
            row = int(self.share(value) * self.rows)
            if last + _LEAST_GAP <= row <= self.rows - 1 - _LEAST_GAP:
                labels[row] = _label(value)
                last = row
        labels[self.rows - 1] = _label(self.least)
        return labels

    def _round_values(self) -> Iterator[float]:
        """Round values within the scale, the greatest first; of a linear scale its quarters.

        Of a logarithmic one they are 7, 5, 3, 2, 1.5 and 1 of each power of ten. Those that would
        lie too near to one another are left out by `labels`.
        """
        if not self.is_log:
            for part in range(1, 4):
                yield self.most - (self.most / 4 - self.least / 4) * part
            return
        exponent = math.floor(math.log10(self.most))
        while float(f"1e{exponent + 1}") > self.least:
            decade = [nice * float(f"1e{exponent}") for nice in reversed(_NICE)]
            yield from filter(self._has, decade)
            exponent -= 1

    def _has(self, value: float) -> bool:
        """Whether a value lies within the scale."""
        return self.least < value < self.most


def _label(value: float) -> str:
    """With two digits; from 100 to 99,999 as a whole number."""
    text = f"{value:.2g}"
    is_short = 1 <= abs(value) < 1e5
    if "e" in text and is_short:
        return f"{value:.0f}"
    return text


class Canvas:
    """A field of dots, `columns` × `rows` characters large."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self._cells = [[0] * columns for _ in range(rows)]
        self._kinds: list[list[str]] = [[""] * columns for _ in range(rows)]

    def dot(self, x: int, y: int, kind: str = "") -> None:
        """Set the dot in column `x` and row `y` of dots, from the top left; what lies outside is
        left out. `kind` colours its character, as a whole.
        """
        column, right = divmod(x, DOTS_WIDE)
        row, below = divmod(y, DOTS_HIGH)
        if 0 <= column < self.columns and 0 <= row < self.rows:
            self._cells[row][column] |= _BITS[below][right]
            self._kinds[row][column] = kind

    def line(self, points: Sequence[tuple[int, int] | None], kind: str = "") -> None:
        """Join points, each a column and a row of dots; None breaks the line. A point alone is one
        dot.
        """
        before = None
        for point in points:
            if point is not None:
                self._join(before or point, point, kind)
            before = point

    def _join(self, begin: tuple[int, int], end: tuple[int, int], kind: str) -> None:
        """A straight line from one dot to another: a dot for each column or row, whichever are
        more.
        """
        (x, y), (to_x, to_y) = begin, end
        steps = max(abs(to_x - x), abs(to_y - y), 1)
        for step in range(steps + 1):
            across = round((to_x - x) * step / steps)
            down = round((to_y - y) * step / steps)
            self.dot(x + across, y + down, kind)

    def pieces(self, row: int) -> list[tuple[str, str]]:
        """A row as texts of one kind each, with their kinds. Blanks belong to the piece before, so
        that colours change as rarely as possible.
        """
        pieces: list[tuple[str, str]] = []
        for bits, kind in zip(self._cells[row], self._kinds[row], strict=True):
            character = chr(_BLANK + bits) if bits else " "
            if pieces and (pieces[-1][1] == kind or not bits):
                pieces[-1] = (pieces[-1][0] + character, pieces[-1][1])
            else:
                pieces.append((character, kind))
        return pieces
