"""Who may submit an attempt: `intent.json`, created exclusively, and `takeover.K`, by which a
submitter takes over from one that died.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.core.errors import StorageError
from watchkeeper.core.journal import encode_json
from watchkeeper.core.processes import ProcessName

# A holder on another host counts as dead after this many seconds at least.
_LEAST_SILENCE_S = 120.0


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Who may submit an attempt: the content of `intent.json` and of each `takeover.K`. The token
    stays the same.
    """

    key: str
    attempt: int
    token: str
    writer: str
    process: ProcessName
    time: datetime


class HeldByAnotherError(Exception):
    """Another process holds the attempt, and lives or may live. `hold`: None where it could not be
    read.
    """

    def __init__(self, hold: Hold | None) -> None:
        super().__init__()
        self.hold = hold


def hold_attempt(folder: Path, hold: Hold, *, lag_s: float) -> tuple[str, bool]:
    """Hold the attempt of `folder`. Returns its token, and whether it was free until now.

    `hold` is who wants it, now. Its holder on another host counts as dead once it has been silent
    for `lag_s`, the seconds until the scheduler shows a job, and at least two minutes.

    Raises:
        HeldByAnotherError: its holder is alive, or may be.
        StorageError: the holder cannot be read.
    """
    files.make_folder(folder)
    if files.create(folder / "intent.json", encode_json(hold)):
        return hold.token, True
    holder = read_hold(folder)
    if holder is None:
        raise StorageError(
            f"{folder}/intent.json cannot be read",
            hint="move that attempt's folder away if no job of it runs",
        )
    if holder.writer == hold.writer:
        return holder.token, False
    if not _is_gone(holder, hold.time, lag_s):
        raise HeldByAnotherError(holder)
    takeover = msgspec.structs.replace(hold, token=holder.token)
    if not files.create(folder / f"takeover.{len(_holds(folder))}", encode_json(takeover)):
        raise HeldByAnotherError(read_hold(folder))
    return takeover.token, False


def read_hold(folder: Path) -> Hold | None:
    """Who holds the attempt now; None: it is free, or no file of it can be read."""
    for path in reversed(_holds(folder)):
        try:
            return read_record(path, Hold)
        except (OSError, UnreadableRecordError):
            continue
    return None


def _holds(folder: Path) -> list[Path]:
    """The files that name a holder, the last one at the end."""
    takeovers = sorted(folder.glob("takeover.*"), key=lambda path: int(path.suffix[1:]))
    return [folder / "intent.json", *takeovers]


def _is_gone(holder: Hold, now: datetime, lag_s: float) -> bool:
    """Whether the holder can no longer submit: dead on this boot, or silent on another host."""
    is_alive = processes.is_alive(holder.process)
    if is_alive is not None:
        return not is_alive
    return now - holder.time > timedelta(seconds=max(lag_s, _LEAST_SILENCE_S))
