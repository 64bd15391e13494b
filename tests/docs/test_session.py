"""The recorded session of docs/session.md is typed again."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.session_page import page

ROOT = Path(__file__).parents[2]


def plain(text: str) -> list[str]:
    """The lines without what differs from one machine and hour to the next: progress with its
    times, durations, memory, dates and the widths of columns.
    """
    lines = [line for line in text.splitlines() if not re.match(r"\d\d:\d\d:\d\d  ", line)]
    masked = [re.sub(r"\d+(\.\d+)? (m?s|min|[KMG]iB|seconds?)\b", "N", line) for line in lines]
    masked = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", line) for line in masked]
    masked = [re.sub(r"─+", "─", line) for line in masked]
    return [re.sub(r"[ ]+", " ", line).strip() for line in masked if not _names_a_node(line)]


def _names_a_node(line: str) -> bool:
    """Whether it is a row of the table on compute: key, attempt, node, seconds."""
    return re.match(r"\S+ +1  \S", line) is not None


def test_the_recorded_session_says_what_is_typed_today(tmp_path: Path) -> None:
    """Each command prints what the page has, in an empty folder."""
    folder = tmp_path / "project"  # the commands name it
    folder.mkdir()
    assert plain(page(folder)) == plain((ROOT / "docs/session.md").read_text())
