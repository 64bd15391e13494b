"""Lets a scheduler forget ended jobs: the journal holds their ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.state import Attempt, AttemptId, State
from watchkeeper.schedulers.base import KeepsRecords, Scheduler
from watchkeeper.watch.logs.logbook import Logbook


class Releases:
    """Lets a scheduler forget the jobs of one experiment whose verdicts are on the disk. A verdict
    that yields to later evidence is none of these: its job is still asked for.
    """

    def __init__(self, scheduler: Scheduler, logbook: Logbook) -> None:
        self._scheduler = scheduler
        self._logbook = logbook
        self._released: set[AttemptId] = set()
        self._made_for: State | None = None

    def make(self) -> None:
        """Release what has ended since the last time. Call it when what this process wrote to the
        journal is on the disk. A scheduler that keeps no records has nothing to release. What
        cannot be released now is tried again at the next change.
        """
        state = self._logbook.state
        if not isinstance(self._scheduler, KeepsRecords) or state is self._made_for:
            return
        self._made_for = state
        ended = dict(self._ended(state))
        if not ended:
            return
        with contextlib.suppress(OSError):
            self._sync_others(ended.values())
            kept = self._scheduler.release(ended.keys())
            for token, attempt in ended.items():
                if token not in kept:
                    self._released.add(attempt.id)

    def _ended(self, state: State) -> Iterator[tuple[str, Attempt]]:
        """The token of each attempt with a verdict that stands, of those not released yet."""
        for attempt in state.attempts():
            if attempt.judged is None or attempt.yields or attempt.id in self._released:
                continue
            if attempt.intended is not None:
                yield attempt.intended.token, attempt

    def _sync_others(self, attempts: Iterable[Attempt]) -> None:
        """Bring to the disk what other writers said of them; they may have died before they did.
        Raises OSError.
        """
        writers = {attempt.judged.writer for attempt in attempts if attempt.judged is not None}
        for writer in writers - {self._logbook.writer.id}:
            with open_regular(self._logbook.journal.folder / f"{writer}.jsonl") as file:
                os.fsync(file.fileno())
