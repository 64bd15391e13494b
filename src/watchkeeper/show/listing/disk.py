"""What runs and checkpoints take on the disk, as text. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from watchkeeper.core.text.figures import size
from watchkeeper.query.disk.rows import Disk, DiskRow
from watchkeeper.query.usage.hours import GpuHours
from watchkeeper.show.text import printable, shorten, table, width, wrap

_MOST_ROWS = 40
_LEAST_PATH = 8
_DOTS = "…"
_CAUSES = ("done", "failed", "timed_out", "cancelled", "superseded", "lost", "under_way")
_GAP = 2


def disk_words(disk: Disk, columns: int, cwd: str) -> str:
    """The total, a line for each row and the GPU-hours, at most `columns` wide. Paths are relative
    to `cwd` where they lie in it.
    """
    parts = ["\n".join(wrap(total_words(disk), columns))]
    if disk.rows:
        parts.append("\n".join(_row_lines(disk.rows[:_MOST_ROWS], columns, cwd)))
    more = len(disk.rows) - _MOST_ROWS
    if more > 0:
        parts.append(f"and {more} more: --json --limit 0 has them")
    if disk.gpu_hours:
        lines = hours_table(disk.gpu_hours).split("\n")
        parts.append("\n".join(shorten(line, columns, _DOTS) for line in lines))
    return "\n\n".join(parts)


def total_words(disk: Disk) -> str:
    """`4.50 GiB in 312 files; nothing needs 1.20 GiB of it`."""
    words = f"{size(disk.bytes)} in {disk.files} file{'' if disk.files == 1 else 's'}"
    if disk.unneeded_bytes:
        words += f"; nothing needs {size(disk.unneeded_bytes)} of it"
    return words


def hours_table(hours: Iterable[GpuHours]) -> str:
    """A line for each user: GPU-hours, by what became of the jobs."""
    header = ["GPU-hours", "total", *(cause.replace("_", " ") for cause in _CAUSES), "guessed"]
    lines = []
    for one in hours:
        figures = [one.total, *(getattr(one, cause) for cause in _CAUSES), one.guessed]
        lines.append([printable(one.user), *map(_hours, figures)])
    return table(header, lines, right=tuple(range(1, len(header))))


def _hours(value: float) -> str:
    """`12.3`; "" for none, `<0.1` for less than is shown."""
    if not value:
        return ""
    if value < 0.1:
        return "<0.1"
    return f"{value:.1f}"


def _row_lines(rows: Sequence[DiskRow], columns: int, cwd: str) -> list[str]:
    """The rows as lines: what does not fit is cut from the reason first, then from the path."""
    figures = [(size(row.bytes), str(row.files), row.kind) for row in rows]
    header = ("size", "files", "what")
    columns_of_cells = zip(header, *figures, strict=True)
    widths = [max(map(len, cells)) for cells in columns_of_cells]
    room = max(columns - sum(widths) - _GAP * len(widths), _LEAST_PATH)
    paths = [_tail(printable(_shown(row.path, cwd)), room) for row in rows]
    lines = [_line(header, widths, "path")]
    for cells, path, row in zip(figures, paths, rows, strict=True):
        left = room - width(path) - _GAP
        reason = ""
        if row.why and left >= _LEAST_PATH:
            reason = "  " + shorten(printable(_reason(row)), left, _DOTS)
        lines.append(_line(cells, widths, path + reason))
    return lines


def _line(cells: Sequence[str], widths: Sequence[int], rest: str) -> str:
    size_cell, files, kind = cells
    figures = f"{size_cell:>{widths[0]}}  {files:>{widths[1]}}"
    return f"{figures}  {kind:<{widths[2]}}  {rest}".rstrip()


def _reason(row: DiskRow) -> str:
    if row.needed is None:
        return f"not known: {row.why}"
    if row.needed:
        return f"needed: {row.why}"
    return f"not needed: {row.why}"


def _shown(path: str, cwd: str) -> str:
    """The path relative to `cwd`, where it lies in it."""
    if path == cwd:
        return "."
    return os.path.relpath(path, cwd) if path.startswith(f"{cwd}/") else path


def _tail(path: str, most: int) -> str:
    """The end of a path, which says more than its beginning, in at most so many columns."""
    if width(path) <= most:
        return path
    kept = path[-most:]
    while width(kept) > most - len(_DOTS):
        kept = kept[1:]
    return _DOTS + kept
