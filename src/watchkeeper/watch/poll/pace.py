"""When to look at the scheduler again: soon where something moves, seldom where nothing does, never
under the floor.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt

MOST_EACH = 10
"""Of the jobs that run, and of those that wait, at one look between two polls."""
_SLOWER = 1.5
_LONGEST_PAUSE_S = 0.3
_TRACES = ("claim.", "exit.")


def longer(pause_s: float, soonest_s: float) -> float:
    """The pause after this one between two looks at the jobs' own files, in seconds: where nothing
    has moved for a while, a little later is soon enough. From 0.02: 0.03, 0.045, …, up to 0.3, or
    to `soonest_s` where that is longer.
    """
    return min(pause_s * _SLOWER, max(soonest_s, _LONGEST_PAUSE_S))


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


class Rota:
    """Whose turn it is to be looked at between two polls: a few jobs each time, so that a watch
    over thousands that wait costs no more than one over ten. Jobs that run come first.
    """

    def __init__(self) -> None:
        self._turns = 0

    def next(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Some of the attempts; after enough turns, each of them. Of 25 that run, and as many that
        wait, there are at most 10 and 10, and each is looked at in every third turn.
        """
        running = [attempt for attempt in attempts if attempt.state == "RUNNING"]
        others = [attempt for attempt in attempts if attempt.state != "RUNNING"]
        self._turns += 1
        return [*self._some(running), *self._some(others)]

    def _some(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        """The group of these attempts whose turn it is; all of them where they are one group."""
        groups = -(-len(attempts) // MOST_EACH)
        if groups < 2:
            return attempts
        first = self._turns % groups * MOST_EACH
        return attempts[first : first + MOST_EACH]


def traces(experiment: Path, attempts: Iterable[Attempt]) -> frozenset[str]:
    """What the jobs' wrappers have left, a file for each start and each end, as whole paths:
    `…/runs/r8/1/claim.1`. Asks no scheduler. A folder that cannot be read holds none.
    """
    names: set[str] = set()
    for attempt in attempts:
        folder = attempt_folder(experiment, *attempt.id)
        if attempt.array:
            # Each task leaves its own, in a folder within the attempt's.
            for path in folder.glob("*/*"):
                if path.name.startswith(_TRACES):
                    names.add(str(path))
        for name in _names_in(folder):
            if name.startswith(_TRACES):
                names.add(f"{folder}/{name}")
    return frozenset(names)


def _names_in(folder: Path) -> list[str]:
    """The names in a folder; [] where it is not there, or cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []
