"""The parts that several pages have. Times are aware; what is None is not known, never 0.

An *id* names a place or a run in an address: the name of a folder that was asked for, a slash, and
the path below it; for a run of an experiment its key follows. `text/html` never occurs: every text
is shown as text.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from watchkeeper.core.events import FilePath, Host

Real = int | float
Standing = Literal["done", "running", "to do", "failed", "blocked", "unknown", "not needed"]
"""Where a piece of work stands."""
NeedKind = Literal[
    "failed", "invalid", "lost", "unhealthy", "unknown", "late", "unwatched", "damaged"
]
"""What needs a person, the worst first. `unhealthy`: stalled, silent or failing; `late`: will not
end before its time limit; `damaged`: files that cannot be read.
"""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Something for a person to do: `count` pieces of work of one kind with one cause.

    `line` says what ("6 evaluations failed"). `cause` is the last line that the newest of them
    wrote, as it wrote it, "" for none; `why` says the rest in our words, "" for nothing.
    `experiment` is the name of the place and `id` its id ("" outside a page). `subject` names
    whom it is about ("reversal of 3 runs", "r32_lr2e-4"); `keys` are the first 50 of them, with
    `ids` where each has a page. `blocks`: how many other jobs wait for them in vain. `first` and
    `last`: when it happened. `command` is what to type next, "" for nothing.
    """

    kind: NeedKind
    count: int
    line: str
    cause: str = ""
    why: str = ""
    experiment: str = ""
    id: str = ""
    folder: FilePath = ""
    subject: str = ""
    keys: list[str] = []
    ids: list[str] = []
    blocks: int = 0
    first: datetime | None = None
    last: datetime | None = None
    command: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One dated observation: `what` was seen ("step", "stall", "death", "disk", "exit"), `text`
    in words, `at` when, and `source`, the file or the command that says so. `is_file`: it is a file
    that the page can open.
    """

    what: str
    text: str
    at: datetime | None = None
    source: FilePath = ""
    is_file: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is, as figures. `step` of `total` training steps; `rate_per_s` in steps per
    second; `eta_s` seconds to the last step; `limit_s` seconds to the time limit; `fits`: whether
    it ends before that; `loss`, the last one, under the name `loss_name`.
    """

    step: Real | None = None
    total: Real | None = None
    rate_per_s: float | None = None
    eta_s: float | None = None
    limit_s: float | None = None
    fits: bool | None = None
    loss: float | None = None
    loss_name: str = ""


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best figure: of a metric, in a run, at an epoch or a training step."""

    metric: str
    value: Real
    run: str = ""
    id: str = ""
    epoch: int | None = None
    step: Real | None = None


class Watcher(msgspec.Struct, frozen=True, kw_only=True):
    """Who watches an experiment: process `process` on `host`. `alive` None: that cannot be seen
    from here. `since`: since when nobody does, or since when this one does. All None: nobody ever
    did.
    """

    process: int | None = None
    host: Host = ""
    alive: bool | None = None
    since: datetime | None = None
