"""The runs of this process that have begun and not ended, and what they share: the exits of the
program, its forks, and the places where it starts runs.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Generic, TypeVar

from watchkeeper.record import attempt as attempts
from watchkeeper.record.lifetime.lifetime import Lifetime
from watchkeeper.record.start_place import Place
from watchkeeper.record.stopping import endings

R = TypeVar("R")


class OpenRuns(Generic[R]):
    """The open runs, each with what the program sees of it."""

    def __init__(self) -> None:
        self._runs: dict[Lifetime, R] = {}
        self._exits = endings.Exits(self._note_exit)

    # ── begin and end

    def begin(self, lifetime: Lifetime, run: R, config: dict[str, Any]) -> None:
        """Begin a run; it is open as soon as its start is written.

        Raises:
            StorageError: its start cannot be written.
        """
        attempt = attempts.find()
        lifetime.write_start(config, attempt)
        self._runs[lifetime] = run
        lifetime.begin(attempt)
        self._exits.watch()
        lifetime.listen()

    def forget(self, lifetime: Lifetime) -> None:
        """The end of this run is written."""
        self._runs.pop(lifetime, None)
        if not self._runs:
            self._exits.forget()

    def take_place(self, place: Place, run_id: str) -> None:
        """A run of this id is started in this place: one that was started there before, and never
        ended, is left behind.
        """
        for lifetime in [one for one in self._runs if one.place == place]:
            lifetime.leave_place()
            if endings.is_interactive():
                self._end_unsaid(
                    lifetime,
                    "The cell that started this run was run again, and nobody had ended it: "
                    f"{run_id} is still open",
                )

    # ── questions

    def newest(self) -> R | None:
        """The one that began last; None: there is none."""
        lifetime = max(self._runs, key=_began, default=None)
        if lifetime is None:
            return None
        return self._runs[lifetime]

    def in_order(self) -> list[R]:
        """Those whose end is not being written, in the order of their start."""
        return [self._runs[lifetime] for lifetime in self._unended()]

    def has_id(self, run_id: str) -> bool:
        """Whether one has this id."""
        return any(lifetime.recorder.run_id == run_id for lifetime in self._unended())

    def use_folder(self, folder: Path) -> bool:
        """Whether one records into this folder."""
        return any(lifetime.recorder.folder == folder for lifetime in self._runs)

    def _unended(self) -> list[Lifetime]:
        lifetimes = [one for one in list(self._runs) if not one.recorder.has_ended]
        return sorted(lifetimes, key=_began)

    # ── forks and exits

    def share_counts(self) -> None:
        """Before a fork: what the child leaves out is counted with what its parent does."""
        for lifetime in list(self._runs):
            with contextlib.suppress(OSError):
                lifetime.recorder.left_out.before_fork()

    def after_fork(self) -> None:
        """In the child: no run shares its files and locks with the parent's."""
        for lifetime in list(self._runs):
            lifetime.after_fork()

    def end_all(self) -> None:
        """End the runs that nobody has ended, the one that began last first. Raises nothing."""
        for lifetime in sorted(self._runs, key=_began, reverse=True):
            with contextlib.suppress(Exception):
                self._end_unsaid(
                    lifetime,
                    "The program ends without having ended this run (with, or run.close())",
                )

    def _end_unsaid(self, lifetime: Lifetime, why: str) -> None:
        lifetime.end.end_unsaid(why, self._exits.error)

    def _note_exit(self) -> None:
        for lifetime in self._runs:
            lifetime.end.note_exit()


def _began(lifetime: Lifetime) -> float:
    return lifetime.recorder.began
