"""The experiment's journal as one watcher holds it: read, written, folded, and shown in the live
logs.

Everything goes through the journal: what this process does is written first and read back, so that
state, logs and terminal can never say more than what a crash would leave.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import AnyEvent, Leased, Observed, Phase, Unknown
from watchkeeper.core.events.choose import all_of
from watchkeeper.core.journal import Clock, Writer
from watchkeeper.core.state import Replay, State
from watchkeeper.report.actionlog.render import log_names
from watchkeeper.watch.logs.action_logs import LiveLogs
from watchkeeper.watch.logs.lease import Lease

Tell = Callable[[AnyEvent | Unknown], None]


class Logbook:
    """`tell` is shown every event that anybody writes meanwhile."""

    def __init__(
        self,
        folder: Path,
        purpose: str,
        tell: Tell,
        clock: Clock,
        monotonic: Callable[[], float],
        *,
        replay: Replay | None = None,
    ) -> None:
        """`replay`: the experiment's journal as it was read before (None: it was not); it is
        continued here.
        """
        self.folder = folder
        self.monotonic = monotonic
        self.replay = replay or Replay(folder / layout.JOURNAL)
        self.journal = self.replay.journal
        self.fold = self.replay.fold
        self.writer = Writer(self.journal.folder, purpose, clock=clock, read=self.journal)
        self._lease = Lease(folder / layout.LEASE, self.writer.id, monotonic)
        self._logs = LiveLogs(folder)
        self._tell = tell
        self.replay.refresh()

    @property
    def state(self) -> State:
        """The state that everything read so far tells."""
        return self.replay.state

    @property
    def leads(self) -> bool:
        """Whether this process holds the lease: it polls, judges and keeps the logs."""
        return self._lease.held

    @property
    def leader(self) -> str:
        """The other process that holds the lease, or held it last, in words; "": there is none, or
        this one does.
        """
        holder = None if self.leads else self._lease.holder()
        if holder is None:
            return ""
        return f"process {holder.process.pid} on {holder.process.host}"

    @property
    def log_names(self) -> dict[Phase, str]:
        """The name of each phase's action log that was chosen so far."""
        return log_names(self.journal.events)

    def write(self, kind: type, **fields: object) -> None:
        """Write one event, and show it.

        Raises:
            StorageError: it could not be written.
        """
        self.writer.write(kind, **fields)
        self.sync()

    def sync(self) -> None:
        """Read what anybody wrote, ourselves included."""
        new = self.replay.refresh()
        for event in all_of(new):
            self._tell(event)
        if self.leads:
            self._note_aside(self._logs.extend(new.get(self.writer.id, ()), self.journal.events))

    def take_lead(self) -> bool:
        """Take the lease if it is free, and bring the logs up to the journal; True if it was taken
        now.
        """
        if not self._lease.take():
            return False
        self.sync_quietly()
        self.writer.write(Leased, lease=self._lease.number, saw=self.journal.saw)
        self.sync_quietly()
        self._note_aside(self._logs.take_over(self.journal.events))
        return True

    def sync_quietly(self) -> None:
        """Read what anybody wrote, without a word in the logs: `take_over` brings them up whole."""
        for event in all_of(self.replay.refresh()):
            self._tell(event)

    def beat(self) -> None:
        """Show other hosts that we live, and make what was written durable."""
        self.show_life()
        self.writer.sync()

    def show_life(self) -> None:
        """Show other hosts that we live, at most twice a minute."""
        self._lease.beat()

    def close(self) -> None:
        """Give the lease back and seal the journal. A seal that cannot be written is left out: it
        is nobody's fact.
        """
        self._lease.release()
        with contextlib.suppress(StorageError):
            self.writer.close()

    def _note_aside(self, aside: Iterable[Path]) -> None:
        """Note that a log held bytes of somebody else, and where they are kept."""
        for path in aside:
            self.write(
                Observed,
                what="view displaced",
                detail=f"a log held other bytes: they are kept as {path.name}",
            )
