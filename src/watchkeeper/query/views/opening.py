"""The files that a page names as its evidence, opened as they lie on the disk.

What is asked for is looked up among what the page itself names. It is read only below the folders
that the page is about, links resolved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError
from watchkeeper.query.views.run_page.subject import Subject
from watchkeeper.query.views.shared import Evidence

MOST_BYTES = 4 * 2**20
"""Of one file: of a longer one its end."""


def folders_of(subject: Subject) -> list[Path]:
    """The folders that the sources on a run's page are relative to."""
    folders = [subject.folder, *(one.folder for one in subject.folders)]
    if subject.job is not None and subject.latest is not None:
        folders.append(subject.job.folder_of(subject.latest.number))
    return folders


def with_files(evidence: Iterable[Evidence], folders: Sequence[Path]) -> list[Evidence]:
    """The evidence, with which of its sources are files that can be opened. Sources are paths below
    one of `folders`, or words (`git`, `the scheduler`).
    """
    return [
        msgspec.structs.replace(one, is_file=_place_of(one.source, folders) is not None)
        for one in evidence
    ]


def read_source(evidence: Iterable[Evidence], source: str, folders: Sequence[Path]) -> bytes:
    """The file that is a source of some evidence; of a long one the last 4 MiB.

    Raises:
        UsageError: no evidence has that source, or it is no file below these folders.
        OSError: it cannot be read.
    """
    place = None
    if any(one.source == source for one in evidence):
        place = _place_of(source, folders)
    if place is None:
        raise UsageError(
            f"the page names no file {source[:80]!r}",
            hint="its evidence has the files that can be opened",
            code="not-found",
        )
    with open_regular(place) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MOST_BYTES))
        return file.read(MOST_BYTES)


def _place_of(source: str, folders: Sequence[Path]) -> Path | None:
    """Where a source lies; None: nowhere below these folders."""
    if not source:
        return None
    for folder in folders:
        place = folder / source
        is_below = Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder))
        if is_below and place.is_file():
            return place
    return None
