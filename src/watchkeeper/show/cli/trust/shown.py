"""Checks of a checkpoint, and how far hashing is, as the commands show them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import click
import msgspec

from watchkeeper.core.errors import Problem, Severity
from watchkeeper.core.text.figures import size
from watchkeeper.publish.checks import Category, Check, Status
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.passport.health.scan import Health, need_numpy, scan
from watchkeeper.publish.passport.tensors.inventory import look
from watchkeeper.show.cli.answering import is_quiet, shows_progress
from watchkeeper.show.text import printable

_CLEAR = "\r\x1b[K"
_EVERY_S = 0.1
_SEVERITIES: dict[Status, Severity] = {"fail": "error", "soft_signal": "warning"}


class CheckEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One check. `status` is `pass`, `fail`, `soft_signal` or `not_checked`; `where` is a path in
    the checkpoint or a field of a document, "" for the whole.
    """

    category: Category
    name: str
    status: Status
    where: str
    message: str
    hint: str


def entries_of(checks: Iterable[Check]) -> list[CheckEntry]:
    """The checks as an answer has them, with every field."""
    return [
        CheckEntry(
            category=check.category,
            name=check.name,
            status=check.status,
            where=check.where,
            message=check.message,
            hint=check.hint,
        )
        for check in checks
    ]


def problems_of(root: Path, checks: Iterable[Check]) -> list[Problem]:
    """What failed or is a soft signal, as the problems of an answer."""
    return [
        Problem(
            where=check.where or str(root),
            message=check.message,
            hint=check.hint,
            severity=_SEVERITIES[check.status],
            code=check.name,
        )
        for check in checks
        if check.status in _SEVERITIES
    ]


def echo_checks(root: Path, checks: Sequence[Check]) -> None:
    """Print a line for each check, the failed ones first; with `--quiet` only those that failed or
    are a soft signal.
    """
    for status in ("fail", "soft_signal", "not_checked", "pass"):
        if is_quiet() and status not in _SEVERITIES:
            continue
        for check in checks:
            if check.status == status:
                click.echo(printable(_line(root, check)))


def _line(root: Path, check: Check) -> str:
    """A check on one line: its status, the file, what was found, and what to do about it."""
    hint = f" ({check.hint})" if check.hint else ""
    return f"{check.status}: {check.where or root}: {check.message}{hint}"


class HashingProgress:
    """How much of some bytes is hashed, or what else `did` says was done with them: one line that
    is overwritten, on a terminal only.
    """

    def __init__(self, total_bytes: int, out: TextIO | None = None, *, did: str = "hashed") -> None:
        self._did = did
        self._total_bytes = total_bytes
        self._out = out or sys.stderr
        self._is_shown = shows_progress() and self._out.isatty()
        self._done_bytes = 0
        self._began_s = self._shown_s = time.monotonic()

    def add(self, count: int) -> None:
        """Count bytes that were hashed, and show how far that is, ten times a second at most."""
        self._done_bytes += count
        now_s = time.monotonic()
        if self._is_shown and now_s - self._shown_s >= _EVERY_S:
            self._shown_s = now_s
            self._out.write(_CLEAR + self._words(now_s - self._began_s))
            self._out.flush()

    def _words(self, elapsed_s: float) -> str:
        """How far it is, and how fast."""
        speed = size(round(self._done_bytes / elapsed_s))
        return f"{self._did} {size(self._done_bytes)} of {size(self._total_bytes)}, {speed}/s"

    def end(self) -> None:
        """Leave the terminal clean."""
        if self._is_shown:
            self._out.write(_CLEAR)
            self._out.flush()


def scan_numbers(root: Path) -> Health:
    """Look through the numbers of a checkpoint's weights, and show how far that is.

    Raises:
        UsageError: the root is no folder, or NumPy is not installed.
        ChangingFileError: a file became shorter meanwhile.
        OSError: a file cannot be read.
    """
    need_numpy()
    inventory = look(root, list_files(root)[0].sizes)
    total_bytes = sum(file.size_bytes for file in inventory.files)
    progress = HashingProgress(total_bytes, did="looked through")
    try:
        return scan(root, inventory, progress.add)
    finally:
        progress.end()
