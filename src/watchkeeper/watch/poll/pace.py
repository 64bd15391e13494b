"""When to look at the scheduler again: soon where something moves, seldom where nothing does, never
under the floor.
"""

from __future__ import annotations

from pathlib import Path

from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt

_SLOWER = 1.5


class Pace:
    """The time between two looks, in seconds: `usual_s` after a change, `soonest_s` while one is
    under way, and longer after each look that showed nothing new, up to `longest_s`.
    """

    def __init__(self, *, soonest_s: float, usual_s: float, longest_s: float) -> None:
        self.soonest_s = soonest_s
        self._usual_s = usual_s
        self._longest_s = max(longest_s, usual_s)
        self.seconds = usual_s

    def looked(self, *, changed: bool, changing: bool) -> None:
        """A look is over: whether it showed a change, and whether a job is on its way out, or has
        just left a trace that the scheduler may tell of a little later.
        """
        if changing:
            self.seconds = self.soonest_s
        elif changed:
            self.seconds = self._usual_s
        else:
            self.seconds = min(self.seconds * _SLOWER, self._longest_s)

    def silent(self) -> None:
        """The scheduler did not answer: it is asked half as often, up to `longest_s`."""
        self.seconds = min(max(self.seconds, self._usual_s) * 2, self._longest_s)


def traces(experiment: Path, attempts: list[Attempt]) -> frozenset[str]:
    """What the jobs' wrappers have left, a file for each start and each end. Asks no scheduler."""
    names: set[str] = set()
    for attempt in attempts:
        folder = attempt_folder(experiment, *attempt.id)
        names.update(
            str(path) for name in ("claim", "exit") for path in folder.glob(f"**/{name}.*")
        )
    return frozenset(names)
