"""Several experiments watched by one process: each scheduler is asked once for all of them.

Every experiment keeps its own lease, journal, logs and end, as if it were watched alone. What one
of them fails by ends its own watch only.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.watch.keeper import OVER, Keeper, Standing
from watchkeeper.watch.poll.pace import longer
from watchkeeper.watch.together.looks import SharedLook

MOST_LOOKED_AT = 5
"""Experiments whose jobs' files are looked at, at one time between two polls."""
_TICK_S = 1.0  # between two looks for a request to leave


class Group:
    """The watches that share the looks at one scheduler, without those that are over. `due_at`:
    when their next turn is, in seconds of the watch's clock.
    """

    def __init__(self, look: SharedLook, keepers: Iterable[Keeper]) -> None:
        self.look = look
        self.keepers = list(keepers)
        self.due_at = 0.0
        self._rota = deque(self.keepers)
        self._pause_s = 0.0
        self._files_at = 0.0

    def leave_out(self, keeper: Keeper) -> None:
        """Take out a watch that is over."""
        self.keepers.remove(keeper)
        self._rota.remove(keeper)

    def rest(self, now: float) -> None:
        """Begin to wait for the turn of the watch that is due first."""
        self.due_at = now + min((keeper.rest_s for keeper in self.keepers), default=0.0)
        self._pause_s = self._soonest_s
        self._files_at = now + self._pause_s

    @property
    def wakes_at(self) -> float:
        """When there is something to do: a turn, or a look at the jobs' files."""
        return min(self.due_at, self._files_at)

    def next_looked_at(self, now: float) -> list[Keeper]:
        """The watches whose jobs' files are looked at now: after enough times, each of them. Empty
        where it is too soon, or where a whole turn is due anyway. Each look makes the pause until
        the next one a little longer.
        """
        if now < self._files_at or now >= self.due_at:
            return []
        self._pause_s = longer(self._pause_s, self._soonest_s)
        self._files_at = now + self._pause_s
        some = list(self._rota)[:MOST_LOOKED_AT]
        self._rota.rotate(-len(some))
        return some

    def be_due_if_asked(self, keeper: Keeper) -> None:
        """Take the next turn now where a watch is to leave."""
        if keeper.is_asked_to_leave:
            self.due_at = 0.0

    def be_due_if_stirred(self, keeper: Keeper) -> None:
        """Take the next turn now where a job of a watch has started or ended."""
        if keeper.stirs():
            self.due_at = 0.0

    @property
    def _soonest_s(self) -> float:
        """The shortest pause between two looks that one of the watches asks for, in seconds; 0.0:
        none is left.
        """
        return min((keeper.soonest_s for keeper in self.keepers), default=0.0)


class Together:
    """The watches of one process, which submit nothing. `over`: how those ended that are over;
    `failed` is called with each that failed, and its error. `begun` is called after the first turn
    of all.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        failed: Callable[[Keeper, Exception], None],
        begun: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.over: dict[Keeper, Standing] = {}
        self._groups = groups
        self._failed = failed
        self._begun = begun
        self._monotonic = monotonic
        self._woken = threading.Event()

    def keep(self) -> None:
        """Watch until each watch has ended, has left or has failed."""
        try:
            self._keep()
        finally:
            for keeper in self._left:
                _close(keeper)

    def ask_to_leave(self, why: str) -> None:
        """End all watches at the next opportunity; the jobs continue. Safe from a signal
        handler.
        """
        for keeper in self._left:
            keeper.ask_to_leave(why)
        self._woken.set()

    @property
    def _left(self) -> list[Keeper]:
        """The watches that are not over."""
        return [keeper for group in self._groups for keeper in group.keepers]

    def _keep(self) -> None:
        """Begin all watches, then take turns until none is left."""
        for group in self._groups:
            self._each(group, group.keepers, Keeper.begin)
            self._turn(group)
        self._begun()
        while self._left:
            self._wait()
            for group in self._groups:
                if group.keepers and group.due_at <= self._monotonic():
                    self._turn(group)

    def _turn(self, group: Group) -> None:
        """One turn of each watch, after one look for all of them. The watches say which jobs they
        ask for, before any of them is answered.
        """
        asked: list[list[str]] = []
        self._each(group, group.keepers, Keeper.prepare)
        self._each(group, group.keepers, lambda keeper: asked.append(keeper.job_ids))
        group.look.look(asked)
        self._each(group, group.keepers, lambda keeper: self._take_turn(group, keeper))
        group.rest(self._monotonic())

    def _take_turn(self, group: Group, keeper: Keeper) -> None:
        """One turn of one watch, which is taken out when it has ended or was asked to leave."""
        standing = keeper.turn()
        if standing in OVER:
            self.over[keeper] = standing
            group.leave_out(keeper)
            _close(keeper)

    def _wait(self) -> None:
        """Wait until the turn of a group is due, or until no watch is left. Between two looks for a
        request to leave it sleeps for _TICK_S at most.
        """
        while groups := [group for group in self._groups if group.keepers]:
            now = self._monotonic()
            if any(group.due_at <= now for group in groups):
                return
            left = min(group.wakes_at for group in groups) - now
            self._woken.wait(min(left, _TICK_S))
            for group in groups:
                self._look_for_news(group)

    def _look_for_news(self, group: Group) -> None:
        """What is done between two turns: keep the leases, look for a request to leave, and look
        whether a job has started or ended.
        """
        self._each(group, group.keepers, lambda keeper: keeper.logbook.show_life())
        self._each(group, group.keepers, group.be_due_if_asked)
        self._each(group, group.next_looked_at(self._monotonic()), group.be_due_if_stirred)

    def _each(
        self, group: Group, keepers: Iterable[Keeper], step: Callable[[Keeper], None]
    ) -> None:
        """Do one step of each watch; one that fails is over, and the others continue."""
        for keeper in list(keepers):
            try:
                step(keeper)
            except Exception as error:
                group.leave_out(keeper)
                _close(keeper)
                self._failed(keeper, error)


def _close(keeper: Keeper) -> None:
    """Give back what a watch holds. What cannot be written any more is no fact."""
    with suppress(WatchkeeperError, OSError):
        keeper.logbook.close()
