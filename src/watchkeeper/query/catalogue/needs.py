"""What an overview says: what needs a person, and where each place stands."""

from __future__ import annotations

from datetime import datetime

import msgspec

from watchkeeper.core.errors import Problem


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Something for a person to do: `count` of a kind with one cause. `kind`: failed, unhealthy,
    unknown, late or unwatched. `line` says what, `cause` why, `place` where; `keys` names the first
    50 of them. `last`: when it last happened, null where nobody knows. `command` is what to type
    next, "" for nothing.
    """

    kind: str
    count: int
    line: str
    cause: str
    place: str
    folder: str
    keys: list[str]
    last: datetime | None = None
    command: str = ""


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best figure of a place, by what its metric's name says."""

    metric: str
    value: int | float
    run: str


class PlaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment, a recorded run, or the recorded runs side by side in one folder. `kind` is
    `experiment`, `run` or `runs`; `counts`: state → how many of `total`; `done` are settled. `last`
    is the time of the last event. `step` is that of a single run; `tags` and `note`, the last one,
    are those of an experiment as a whole, or of a single run.
    """

    name: str
    folder: str
    kind: str
    counts: dict[str, int]
    done: int
    total: int
    best: Best | None = None
    last: datetime | None = None
    step: int | float | None = None
    tags: tuple[str, ...] = ()
    note: str = ""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Needs, the worst first, and places; `counts` over all of them."""

    needs: list[Need]
    places: list[PlaceRow]
    counts: dict[str, int]
    problems: list[Problem]
