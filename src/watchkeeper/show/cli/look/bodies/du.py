"""What `watchkeeper du` does, imported when it is called."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK
from watchkeeper.core.journal import utc_now
from watchkeeper.query.disk.rows import Disk, DiskRow, disk_of
from watchkeeper.query.usage.hours import GpuHours
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet
from watchkeeper.show.listing.disk import disk_words, total_words


class DuData(msgspec.Struct, frozen=True, kw_only=True):
    """What lies below the folders, the largest row first. `bytes` are those held on the disk and
    `files` the inodes that are no folders, of all folders together; `unneeded_bytes` is what the
    removal of the rows that nothing needs would free at least.
    """

    rows: list[DiskRow]
    bytes: int
    files: int
    unneeded_bytes: int
    gpu_hours: list[GpuHours]


ANSWERS = (DuData,)


def perform(paths: tuple[Path, ...], as_json: bool) -> int:
    """Do what `du` is asked for; the arguments are its options."""
    disk = disk_of(paths or (Path(),), clock=utc_now)
    echo_problems(disk.problems)
    if as_json:
        return answer(
            EXIT_OK,
            summary=f"{total_words(disk)}.",
            counts=_counts(disk),
            data=DuData(
                rows=disk.rows,
                bytes=disk.bytes,
                files=disk.files,
                unneeded_bytes=disk.unneeded_bytes,
                gpu_hours=disk.gpu_hours,
            ),
        )
    if is_quiet():
        click.echo(total_words(disk))
        return EXIT_OK
    columns = shutil.get_terminal_size().columns
    click.echo(disk_words(disk, columns, os.path.realpath(Path.cwd())))
    return EXIT_OK


def _counts(disk: Disk) -> dict[str, int]:
    """How many files there are, and rows, and rows of what nothing needs."""
    counts = {"files": disk.files, "rows": len(disk.rows)}
    counts["unneeded"] = sum(row.needed is False for row in disk.rows)
    return counts
