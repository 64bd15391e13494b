"""The lease on the live views: of all watchers of an experiment, one at a time renders.

Lease number k is a file `lease/<k>.json`, created exclusively by hard link; the holder is whoever
made the highest one, for as long as it is alive. On the same host and boot that is known from the
process; elsewhere the holder's heartbeat (`<k>.beat`, a fixed-size overwrite) must have stood still
for the visibility lag, on our own monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.core.journal import encode_json
from watchkeeper.core.processes import ProcessName

BEAT_EVERY_S = 30.0
STALE_AFTER_S = 120.0
RELEASED = "released"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a lease's file."""

    lease: int
    writer: str
    process: ProcessName


class Lease:
    """One process's part in the lease of one experiment."""

    def __init__(self, folder: Path, writer: str, monotonic: Callable[[], float]) -> None:
        self._folder = folder
        self._writer = writer
        self._monotonic = monotonic
        self._beat: files.FixedFile | None = None
        self._beat_at = -BEAT_EVERY_S
        self._beats = 0
        self._watched: tuple[int, str, float] = (0, "", 0.0)
        self.number = 0

    @property
    def held(self) -> bool:
        """Whether this process holds the lease. It loses it for good when somebody else has taken
        the next one.
        """
        if self.number == 0 or self._is_made(self.number + 1):
            return False
        # Where a person has removed the folder, the next watcher counts from the beginning.
        return self._is_made(self.number)

    def holder(self) -> Holder | None:
        """Who holds, or last held, the lease."""
        number = self._last_number()
        try:
            if number:
                return read_record(self._folder / f"{number}.json", Holder)
            return None
        except (OSError, UnreadableRecordError):
            return None

    def take(self) -> bool:
        """Take the lease if nobody living holds it; True if it is ours now, newly."""
        last = self._last_number()
        holder = self.holder()
        if self.held or (holder is not None and not self._gone(holder)):
            return False
        files.make_folder(self._folder)
        mine = Holder(lease=last + 1, writer=self._writer, process=processes.this_process())
        if not files.create(self._folder / f"{last + 1}.json", encode_json(mine)):
            return False
        self.number = last + 1
        self._beat = files.FixedFile(self._folder / f"{self.number}.beat", size_bytes=32)
        self.beat()
        return True

    def beat(self) -> None:
        """Show that we live, at most twice a minute."""
        if self._beat is not None and self._monotonic() - self._beat_at >= BEAT_EVERY_S:
            self._beats += 1
            self._beat_at = self._monotonic()
            self._beat.write(f"beat {self._beats}")

    def release(self) -> None:
        """Let the next watcher take it at once."""
        if self._beat is not None:
            self._beat.write(RELEASED)
            self._beat.close()
            self._beat = None

    def _gone(self, holder: Holder) -> bool:
        """Whether a holder is gone: it released the lease, its process is dead, or, on another
        machine, its beat has not changed for too long by this machine's own clock.
        """
        beat = files.read_fixed(self._folder / f"{holder.lease}.beat")
        if beat == RELEASED:
            return True
        alive = processes.is_alive(holder.process)
        if alive is not None:
            return not alive
        now = self._monotonic()
        if self._watched[:2] != (holder.lease, beat):
            self._watched = (holder.lease, beat, now)
        return now - self._watched[2] > STALE_AFTER_S

    def _is_made(self, number: int) -> bool:
        """Whether the lease of this number was taken, by whomever."""
        return (self._folder / f"{number}.json").exists()

    def _last_number(self) -> int:
        """The number of the newest lease; 0 for none."""
        if not self._folder.is_dir():
            return 0
        numbers = [int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdigit()]
        return max(numbers, default=0)
