"""Whether an execution may still be alive, by the heartbeat that its wrapper leaves."""

from __future__ import annotations

import math
import secrets
from pathlib import Path

from watchkeeper.core.disk import files
from watchkeeper.core.errors import StorageError
from watchkeeper.schedulers.wrapper.claims import executions, last_end

# Heartbeats are at most two a minute.
_LONGEST_BEAT_S = 30


def beat_s(lag_s: float) -> int:
    """Seconds between two heartbeats, where a file may stay invisible to other nodes for `lag_s`
    seconds: from 1 to 30.
    """
    return max(1, min(_LONGEST_BEAT_S, int(lag_s / 4)))


def stale_s(lag_s: float) -> int:
    """The age in seconds from which a heartbeat counts as that of a dead execution. 0: there are no
    heartbeats, since `lag_s` is 0.
    """
    if lag_s:
        return 2 * beat_s(lag_s) + math.ceil(lag_s)
    return 0


def silent_s(attempt_folder: Path) -> float:
    """Seconds since the last heartbeat or claim of an attempt's last execution, by the file
    server's clock.

    Raises:
        StorageError, OSError: a file could not be written or read.
    """
    number = len(executions(attempt_folder))
    signs = [attempt_folder / f"{name}.{number}" for name in ("heartbeat", "claim")]
    last = max(sign.stat().st_mtime for sign in signs if sign.exists())
    now = attempt_folder / f".tmp-now-{secrets.token_hex(8)}"
    files.replace(now, b"")
    try:
        return now.stat().st_mtime - last
    finally:
        files.remove(now)


def is_alive(attempt_folder: Path, lag_s: float) -> bool:
    """Whether an execution of an attempt, or of a task of its array, has no exit record and a fresh
    heartbeat. False where there are no heartbeats (`lag_s` is 0), or they cannot be read.
    """
    if not lag_s:
        return False
    return any(_beats(folder, lag_s) for folder in (attempt_folder, *attempt_folder.glob("task-*")))


def _beats(folder: Path, lag_s: float) -> bool:
    if not executions(folder) or last_end(folder) is not None:
        return False
    try:
        return silent_s(folder) <= stale_s(lag_s)
    except (OSError, StorageError):
        return False
