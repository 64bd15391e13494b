"""What was found at a stall or a death, as a text for people: `logs/stall-TIME.txt`,
`logs/death-TIME.txt` of the run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.disk import tails

EVENTS = 20  # of each of the run's writers, the last ones
ROWS = 5  # of metrics, the last ones
LINES = 40  # of each log
TAIL_BYTES = 32_768


class Section(msgspec.Struct, frozen=True):
    """A heading, and what is under it."""

    title: str
    text: str


def text(head: Sequence[str], sections: Sequence[Section]) -> str:
    """The report. Pure."""
    parts = ["\n".join(head)]
    parts += [f"== {section.title} ==\n{section.text.rstrip() or '(none)'}" for section in sections]
    return "\n\n".join(parts) + "\n"


def last_events(journal: Path) -> str:
    """The last lines of the journal's files."""
    return "\n".join(
        "\n".join(tails.last_lines(path, EVENTS, TAIL_BYTES)) for path in _newest(journal, ".jsonl")
    )


def last_rows(folder: Path) -> str:
    """The last rows of the writer that wrote last."""
    if _newest(folder, ".jsonl"):
        return "\n".join(tails.last_lines(_newest(folder, ".jsonl")[-1], ROWS, TAIL_BYTES))
    return ""


def last_lines(folder: Path) -> list[Section]:
    """The last lines of the run's logs."""
    return [
        Section(
            f"Last lines of logs/{path.name}", "\n".join(tails.last_lines(path, LINES, TAIL_BYTES))
        )
        for path in _newest(folder / "logs", ".log")
    ]


def _newest(folder: Path, suffix: str) -> list[Path]:
    """Up to four files, the last written one last."""
    with contextlib.suppress(OSError):
        paths = [path for path in folder.iterdir() if path.suffix == suffix]
        return sorted(paths, key=lambda path: path.stat().st_mtime)[-4:]
    return []
