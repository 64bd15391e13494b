"""Who watches an experiment, and since when: from the lease on its logs and its journal."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from watchkeeper.core import layout, processes
from watchkeeper.core.disk.files import read_fixed
from watchkeeper.core.events import Detached, Leased
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.journal import Journal
from watchkeeper.query.views.shared import Watcher
from watchkeeper.watch.logs.lease import RELEASED, Holder, Lease


def watcher_of(folder: Path, read: Journal) -> Watcher:
    """Who holds, or last held, the lease of the experiment in `folder`; an empty `Watcher` where
    nobody ever did.

    `alive` is None where the holder is on another machine, and its process cannot be looked for.
    """
    lease = Lease(folder / layout.LEASE, "", time.monotonic)
    holder = lease.holder()
    if holder is None:
        return Watcher()
    beat = folder / layout.LEASE / f"{holder.lease}.beat"
    alive = processes.is_alive(holder.process)
    if read_fixed(beat) == RELEASED:
        alive = False
    since = _began(holder, read)
    if not alive:
        since = _last_sign(holder, beat, read)
    return Watcher(process=holder.process.pid, host=holder.process.host, alive=alive, since=since)


def words_of(watcher: Watcher, active: int) -> str:
    """The same in a sentence, with `active` jobs under way.

    `Watched by process 4211 on login1.`, or that nobody does and what to type.
    """
    if watcher.alive:
        return f"Watched by process {watcher.process} on {watcher.host}."
    if watcher.alive is None and watcher.process is not None:
        return f"Last watched from {watcher.host}; whether it still is cannot be seen from here."
    if active:
        return "Nobody watches: `watchkeeper run` continues."
    return "Nothing is under way."


def _began(holder: Holder, read: Journal) -> datetime | None:
    """When the holder took the lease; None where its journal does not say.

    One that takes it back, as after a pause of its machine, began then.
    """
    times: list[datetime] = []
    for event in of_kind(read.events, Leased):
        if event.lease == holder.lease:
            times.append(event.time)
    return max(times, default=None)


def _last_sign(holder: Holder, beat: Path, read: Journal) -> datetime | None:
    """When the holder left; of one that died, its last event or beat.

    It touches the file `beat` while it lives, also when there is nothing to write down.
    """
    detached = of_kind(read.events, Detached)
    times = [event.time for event in detached if event.writer == holder.writer]
    if times:
        return max(times)
    times = [event.time for event in read.events.get(holder.writer, ())]
    with suppress(OSError):
        times.append(datetime.fromtimestamp(beat.stat().st_mtime, UTC))
    return max(times, default=None)
