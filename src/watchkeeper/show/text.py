"""Text for a terminal: harmless, and in columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from watchkeeper.core.text.figures import clock


def printable(text: str) -> str:
    """Text from jobs and files, safe for a terminal: control characters are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    """A character as it is shown: ESC is a backslash and `x1b`; a line end stays."""
    if character.isprintable() or character == "\n":
        return character
    return f"\\x{ord(character):02x}"


def harmless_json(text: str) -> str:
    """The JSON text with control, bidirectional and zero-width characters as its own escapes: a
    program reads the same values, and a terminal obeys none of them.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(map(_harmless_in_json, text))


def _harmless_in_json(character: str) -> str:
    """The character, or its escape where a terminal would obey it. The line ends of JSON lines
    stay.
    """
    if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf"):
        return character
    return _json_escape(character)


def _json_escape(character: str) -> str:
    """The escape of a character: a `u` and four hexadecimal digits behind a backslash, two of them
    for a character outside of Unicode's first plane. Source: RFC 8259, section 7.
    """
    units = character.encode("utf-16-be")
    escapes: list[str] = []
    for at in range(0, len(units), 2):
        escapes.append(f"\\u{units[at : at + 2].hex()}")
    return "".join(escapes)


def width(text: str) -> int:
    """How many columns a terminal gives the text: `実験` takes four, an accent that combines with
    the letter before it none.
    """
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    """The columns of one character: 0, 1 or 2. Source: Unicode Standard Annex 11."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 1


def shorten(text: str, most: int, dots: str = "...") -> str:
    """The text in at most this many columns; what is cut ends in dots."""
    if width(text) <= most:
        return text
    room = most - len(dots)
    if room < 0:
        return dots[:most]
    kept = text[:room]
    while width(kept) > room:
        kept = kept[:-1]
    return f"{kept}{dots}"


def wrap(text: str, columns: int) -> list[str]:
    """The text on lines of at most this many columns, broken between words; a longer word is broken
    within.
    """
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}"
        if lines[-1] and width(joined) <= columns:
            lines[-1] = joined
            continue
        pieces = _pieces(word, columns)
        if lines[-1]:
            lines += pieces
        else:
            lines[-1:] = pieces
    return lines


def _pieces(word: str, columns: int) -> list[str]:
    """A word in pieces of at most this many columns, each of one character at least."""
    pieces = [""]
    for character in word:
        if pieces[-1] and width(pieces[-1] + character) > columns:
            pieces.append("")
        pieces[-1] += character
    return pieces


def table(
    header: Sequence[str], lines: Sequence[Sequence[str]], *, right: tuple[int, ...] = ()
) -> str:
    """Columns padded to their widest cell; `right` names the columns set flush right. Empty columns
    are left out.
    """
    columns = [column for column in range(len(header)) if _is_used(lines, column)]
    cells = []
    for line in [header, *lines]:
        cells.append([printable(line[column]) for column in columns])
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    flush_right = [column in right for column in columns]
    rule = "  ".join("─" * columns_wide for columns_wide in widths)
    rows = [_padded(line, widths, flush_right) for line in cells]
    return "\n".join([rows[0], rule, *rows[1:]])


def _is_used(lines: Sequence[Sequence[str]], column: int) -> bool:
    return any(line[column] for line in lines)


def _padded(line: Sequence[str], widths: Sequence[int], flush_right: Sequence[bool]) -> str:
    """One line of a table, each cell padded to its column's width."""
    padded = []
    for cell, columns_wide, is_right in zip(line, widths, flush_right, strict=True):
        space = " " * (columns_wide - width(cell))
        padded.append(space + cell if is_right else cell + space)
    return "  ".join(padded).rstrip()


def duration(seconds: float | None) -> str:
    """`1.4 s`, `12:05` (minutes), `1:02:33`; "" for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return clock(seconds)


def size(count: int | None) -> str:
    """`1.50 GiB`, `12.0 MiB`; "" for None."""
    if count is None:
        return ""
    if count >= 2**30:
        return f"{count / 2**30:.2f} GiB"
    return f"{count / 2**20:.1f} MiB"


def number(value: object) -> str:
    """A metric as a person reads it: four digits after the point; whole numbers as they are."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value)
