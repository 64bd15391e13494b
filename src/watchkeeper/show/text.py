"""Text for a terminal: harmless, and in columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from watchkeeper.core.text.figures import clock


def printable(text: str) -> str:
    """Text from jobs and files, harmless on a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def harmless_json(text: str) -> str:
    """The JSON text with control, bidirectional and zero-width characters as its own escapes: a
    program reads the same values, and a terminal obeys none of them.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf") else _json_escape(c)
        for c in text
    )


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def width(text: str) -> int:
    """How many columns a terminal gives the text."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def table(
    header: Sequence[str], lines: Sequence[Sequence[str]], *, right: tuple[int, ...] = ()
) -> str:
    """Columns padded to their widest cell; `right` names the columns set flush right. Empty columns
    are left out.
    """
    used = [i for i in range(len(header)) if any(line[i] for line in lines)]
    cells = [[printable(line[i]) for i in used] for line in [header, *lines]]
    widths = [max(width(line[i]) for line in cells) for i in range(len(used))]

    def row(line: Sequence[str]) -> str:
        padded = []
        for i, cell in enumerate(line):
            space = " " * (widths[i] - width(cell))
            padded.append(space + cell if used[i] in right else cell + space)
        return "  ".join(padded).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([row(cells[0]), rule, *map(row, cells[1:])])


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
