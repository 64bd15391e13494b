"""One file below `run_logs/`, as it was read from the disk, and what in it must never be shown."""

from __future__ import annotations

import msgspec

from watchkeeper.core.text import lazy

SECRET = lazy.pattern(
    r"\bhf_[A-Za-z0-9]{30,}|\bsk-(?=[A-Za-z_-]{0,40}\d)(?=[a-z0-9_-]{0,40}[A-Z])[A-Za-z0-9_-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}"
    r"|\bAKIA[0-9A-Z]{16}\b|(?i:api[_-]?key|token|secret"
    r"|password)[ \t]{0,3}[=:][ \t]{0,3}[`'\"]?(?=[A-Za-z_-]{0,60}\d)[A-Za-z0-9_-]{20,}"
)
"""What looks like a secret. It is named, never shown."""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a file itself: the code of its rule, the line (from 1), and a message."""

    code: str
    line: int
    message: str


class File(msgspec.Struct, frozen=True):
    """One file below `run_logs/`: its path as shown, its parts below the root, its text (None: it
    could not be read), and what is wrong with the file itself.
    """

    path: str
    parts: tuple[str, ...]
    text: str | None
    faults: tuple[Fault, ...] = ()

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.parts[-1]
