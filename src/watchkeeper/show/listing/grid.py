"""A table that fits: columns that are dropped, in a fixed order, where there is no room."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.text import printable, width

_GAP = "  "


class Column(msgspec.Struct, kw_only=True):
    """One column. `drop` says which goes first where there is no room, the largest; 0: none does.
    `kinds` are the kinds by which its cells are coloured. A column with `least` above 0 is cut, down
    to that width, before any column is dropped.
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
    widths = [column.width for column in shown]
    rule = "-"
    if screen.is_utf8:
        rule = "─"
    lines = [
        _line([column.header for column in shown], shown, widths),
        _GAP.join(rule * wide for wide in widths),
    ]
    for number in range(len(shown[0].cells)):
        lines.append(_row(number, shown, widths, screen))
    return "\n".join(lines)


def _harmless(column: Column) -> Column:
    cells = [" ".join(printable(cell).split("\n")) for cell in column.cells]
    return msgspec.structs.replace(column, header=printable(column.header), cells=cells)


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


def _row(number: int, columns: Sequence[Column], widths: Sequence[int], screen: Screen) -> str:
    cells = [column.cells[number] for column in columns]
    paints = [_kind(column, number) for column in columns]
    return _line(cells, columns, widths, paints, screen)


def _kind(column: Column, number: int) -> str:
    if column.kinds:
        return column.kinds[number]
    return ""


def _line(
    cells: Sequence[str],
    columns: Sequence[Column],
    widths: Sequence[int],
    kinds: Sequence[str] = (),
    screen: Screen | None = None,
) -> str:
    padded = []
    for number, (cell, column, wide) in enumerate(zip(cells, columns, widths, strict=True)):
        space = " " * (wide - width(cell))
        shown = cell
        if screen is not None and kinds[number]:
            shown = screen.paint(cell, kinds[number])
        padded.append(space + shown if column.right else shown + space)
    return _GAP.join(padded).rstrip()
