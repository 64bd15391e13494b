"""The link from an attempt to its recorded run: `recorder.json` in the attempt's folder.

The recorder writes it when the run starts; of several runs in one job, the last one's stays.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from watchkeeper.core.disk.records import UnreadableRecordError, read_record

RECORDER = "recorder.json"


class Link(msgspec.Struct, frozen=True):
    """What readers need of the record: `folder`, the absolute path of the run folder."""

    folder: str


def read_link(attempt_folder: Path) -> Path | None:
    """Read where the attempt's recorder keeps its run folder; None: no recorder, or no readable
    link.
    """
    path = f"{attempt_folder}/{RECORDER}"
    if not os.access(path, os.F_OK):  # of ten thousand jobs without a recorder, each
        return None
    try:
        link = read_record(path, Link)
    except (OSError, UnreadableRecordError):
        return None
    return Path(link.folder)
