"""The end of an experiment's action logs, merged: what its watchers did, the newest last."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.journal import Journal
from watchkeeper.core.text import lazy
from watchkeeper.query.views.pages import LogLine
from watchkeeper.report.actionlog.block_format import Block, parse
from watchkeeper.report.actionlog.render import EXPERIMENT_LOG, log_names

MOST_LINES = 200
_TAIL_BYTES = 65_536
_MOST_BYTES = 64 * 2**20
_HEAD = lazy.pattern(rb"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] [A-Z_]+", re.MULTILINE)


def log_of(folder: Path, read: Journal, zone: str) -> tuple[list[LogLine], int]:
    """The last 200 blocks of all the logs, and how many there are. `zone` is that of their times.
    A log that is not there, or cannot be read, has none.
    """
    lines: list[LogLine] = []
    count = 0
    for name in (EXPERIMENT_LOG, *log_names(read.events).values()):
        blocks, number = _blocks(folder / name)
        count += number
        lines += _lines(blocks, zone)
    lines.sort(key=lambda line: line.at)
    return lines[-MOST_LINES:], count


def _blocks(path: Path) -> tuple[list[Block], int]:
    """The last blocks of one log, and how many it has."""
    try:
        with open_regular(path) as file:
            data = read_most(file, _MOST_BYTES)
    except OSError:
        return [], 0
    heads = [match.start() for match in _HEAD.finditer(data)]
    if not heads:
        return [], 0
    least = max(0, len(data) - _TAIL_BYTES)
    begin = next((head for head in heads if head >= least), heads[-1])
    blocks, _ = parse(data[begin:].decode("utf-8", "replace"), path.name)
    return blocks, len(heads)


def _lines(blocks: Iterable[Block], zone: str) -> list[LogLine]:
    """The blocks of a log as lines of the page, their times in the log's zone."""
    place = _zone(zone)
    return [
        LogLine(
            at=_aware(block.time, place),
            action=block.action,
            subject=block.subject,
            text=block.result or block.details,
        )
        for block in blocks
    ]


def _aware(time: datetime, zone: ZoneInfo) -> datetime:
    """A time of a log, which names no zone, with the zone that the log is in."""
    return time.replace(tzinfo=zone)


def _zone(name: str) -> ZoneInfo:
    """The zone; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
