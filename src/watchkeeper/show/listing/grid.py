"""A table that fits: columns that are dropped, in a fixed order, where there is no room."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.text import printable, width

_GAP = "  "


class Column(msgspec.Struct, kw_only=True):
    """One column. `drop` says which goes first where there is no room, the largest; 0: none does.
    `kinds` are the kinds by which its cells are coloured. A column with `least` above 0 is cut,
    down to that width, before any column is dropped.
    """

    header: str
    cells: list[str]
    right: bool = False
    drop: int = 0
    kinds: Sequence[str] = ()
    least: int = 0

    @property
    def width(self) -> int:
        """Its widest cell, in columns of the terminal."""
        return max(map(width, [self.header, *self.cells]))


def grid(columns: Sequence[Column], screen: Screen) -> str:
    """The columns side by side below their headers. Empty ones are left out."""
    used = [_harmless(column) for column in columns if any(column.cells)]
    shown = fit(used, screen.width)
    rule = "-"
    if screen.is_utf8:
        rule = "─"
    padded = [_padded(column, rule, screen) for column in shown]
    return "\n".join(_GAP.join(cells).rstrip() for cells in zip(*padded, strict=True))


def _harmless(column: Column) -> Column:
    cells = [_one_line(cell) for cell in column.cells]
    return msgspec.structs.replace(column, header=printable(column.header), cells=cells)


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return " ".join(printable(text).split("\n"))


def _padded(column: Column, rule: str, screen: Screen) -> list[str]:
    """Header, rule and cells, each as wide as the widest. Thousands of cells are padded at once."""
    wide = column.width
    lines = [_pad(column.header, wide, column), rule * wide]
    if not column.kinds:
        return lines + [_pad(cell, wide, column) for cell in column.cells]
    for cell, kind in zip(column.cells, column.kinds, strict=True):
        space = " " * (wide - width(cell))
        lines.append(screen.paint(cell, kind) + space)
    return lines


def _pad(cell: str, wide: int, column: Column) -> str:
    space = wide
    if not cell.isascii():
        space -= width(cell) - len(cell)
    if column.right:
        return cell.rjust(space)
    return cell.ljust(space)


def fit(columns: Sequence[Column], room: int | None) -> list[Column]:
    """The columns that have room, in their order; those that can be cut get what is left over."""
    shown = list(columns)
    if room is None or _total(shown) <= room:
        return shown
    whole = {id(column): column.cells for column in shown if column.least}
    for column in shown:
        if column.least:
            _cut(column, column.least)
    while _total(shown) > room:
        droppable = [column for column in shown if column.drop]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda column: column.drop))
    for column in shown:
        if column.least:
            most = column.width + max(0, room - _total(shown))
            column.cells = whole[id(column)]
            _cut(column, most)
    return shown


def _total(columns: Sequence[Column]) -> int:
    gaps = len(_GAP) * (len(columns) - 1)
    return sum(column.width for column in columns) + gaps


def _cut(column: Column, most: int) -> None:
    column.cells = [shorten(cell, most) for cell in column.cells]


def shorten(text: str, most: int) -> str:
    """The text in at most so many columns; what is cut ends in three dots."""
    if width(text) <= most:
        return text
    kept = text[:most]
    while width(kept) > most - 3:
        kept = kept[:-1]
    return f"{kept}..."
