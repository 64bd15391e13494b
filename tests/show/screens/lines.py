"""What the tests of pictures share: lines without colours, and pictures in files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.show.listing.screen import Screen

GOLDEN = Path(__file__).parent / "golden"


def live(width: int) -> Screen:
    """A terminal with colours."""
    return Screen(width=width, is_live=True, is_utf8=True)


def plain(lines: Sequence[str]) -> list[str]:
    """The lines without colours, and without blanks at their ends."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in lines]


def picture(name: str) -> list[str]:
    """The lines of a golden file."""
    return (GOLDEN / f"{name}.txt").read_text().splitlines()
