"""A table that fits: columns that are dropped, in a fixed order, where there is no room."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.text import printable, width

_GAP = "  "


class Column(msgspec.Struct, kw_only=True):
    """One column. `second` is the second line of its header. `drop` says which goes first where
    there is no room, the largest; 0: none does. `kinds` are the kinds by which its cells are
    coloured; `has_glyphs`: the glyphs in its cells are. A column with `least` above 0 is cut, down
    to that width, before any column is dropped. It is at least `wide` columns wide where there is
    room.
    """

    header: str
    cells: list[str]
    second: str = ""
    right: bool = False
    drop: int = 0
    kinds: Sequence[str] = ()
    has_glyphs: bool = False
    least: int = 0
    wide: int = 0

    @property
    def width(self) -> int:
        """Its widest cell, in columns of the terminal."""
        return max(self.wide, *map(width, [self.header, self.second, *self.cells]))


def grid(columns: Sequence[Column], screen: Screen) -> str:
    """The columns side by side below their headers. Empty ones are left out."""
    used = [_harmless(column) for column in columns if any(column.cells)]
    shown = fit(used, screen)
    has_second = any(column.second for column in shown)
    padded = [_padded(column, screen, has_second=has_second) for column in shown]
    return "\n".join(_GAP.join(cells).rstrip() for cells in zip(*padded, strict=True))


def _harmless(column: Column) -> Column:
    """The column with texts that cannot move the cursor, change colours or break the line."""
    cells = [one_line(cell) for cell in column.cells]
    return msgspec.structs.replace(
        column, header=one_line(column.header), second=one_line(column.second), cells=cells
    )


def one_line(text: str) -> str:
    """The text on one line, harmless to a terminal."""
    if text.isprintable():
        return text
    return " ".join(printable(text).split("\n"))


def _padded(column: Column, screen: Screen, *, has_second: bool) -> list[str]:
    """Header, rule and cells, each as wide as the widest. Thousands of cells are padded at once."""
    wide = column.width
    lines = [_pad(column.header, wide, column)]
    if has_second:
        lines.append(_pad(column.second, wide, column))
    lines.append(screen.rule * wide)
    cells = [_pad(cell, wide, column) for cell in column.cells]
    if column.has_glyphs:
        cells = [screen.paint_glyphs(cell) for cell in cells]
    if column.kinds:
        pairs = zip(cells, column.kinds, strict=True)
        cells = [screen.paint(cell, kind) for cell, kind in pairs]
    return lines + cells


def _pad(cell: str, wide: int, column: Column) -> str:
    """A cell, filled up with spaces to `wide` columns. `実験` has two letters and takes four."""
    space = wide
    if not cell.isascii():
        space -= width(cell) - len(cell)
    if column.right:
        return cell.rjust(space)
    return cell.ljust(space)


def fit(columns: Sequence[Column], screen: Screen) -> list[Column]:
    """The columns that have room, in their order; those that can be cut get what is left over."""
    shown = list(columns)
    room = screen.room
    if _total(shown) <= room:
        return shown
    for column in shown:
        column.wide = 0
    cuttable = [column for column in shown if column.least]
    whole = [column.cells for column in cuttable]
    for column in cuttable:
        _cut(column, column.least, screen)
    _drop(shown, room)
    for column, cells in zip(cuttable, whole, strict=True):
        most = column.width + max(0, room - _total(shown))
        column.cells = cells
        _cut(column, most, screen)
    _squeeze(shown, room, screen)
    return shown


def _drop(shown: list[Column], room: int) -> None:
    """Take columns away until the others fit, or none may be."""
    order = sorted(shown, key=lambda column: -column.drop)
    for column in order:
        if _total(shown) <= room or not column.drop:
            return
        shown.remove(column)


def _squeeze(columns: Sequence[Column], room: int, screen: Screen) -> None:
    """Cut the widest columns until all fit, where nothing more can be dropped."""
    while (excess := _total(columns) - room) > 0:
        widths = sorted(column.width for column in columns)
        widest = max(columns, key=lambda column: column.width)
        if widest.width <= 1:
            return
        next_widest = max(1, *widths[-2:-1], widest.width - excess)
        most = min(widest.width - 1, next_widest)
        _cut(widest, most, screen)
        widest.header = screen.cut(widest.header, most)
        widest.second = screen.cut(widest.second, most)


def _total(columns: Sequence[Column]) -> int:
    """The width of a line, in columns of the terminal, with the gaps."""
    gaps = len(_GAP) * (len(columns) - 1)
    return sum(column.width for column in columns) + gaps


def _cut(column: Column, most: int, screen: Screen) -> None:
    """Cut the cells of a column to at most this many columns, an ellipsis included."""
    column.cells = [screen.cut(cell, most) for cell in column.cells]
