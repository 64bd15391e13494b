"""An experiment as one look found it: what the parts of its page are made from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.core.events import Decision, RunItem
from watchkeeper.core.journal import Journal
from watchkeeper.core.state import Attempt
from watchkeeper.query.catalogue.roots import run_id
from watchkeeper.query.ranking import Ranking
from watchkeeper.query.rows import Row
from watchkeeper.query.status import Examined
from watchkeeper.query.views.shared import Standing

PENDING = "PENDING"
"""The state of a job that is in its scheduler's queue."""


class Site(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An experiment. `folder` is as a command takes it; `id` names it in addresses, "" outside a
    page. `ranking`: which figures are the better ones; `now` is when the look was; `notes` are
    those of its page, None where nobody looked for them yet.
    """

    name: str
    id: str
    folder: str
    looked: Examined
    read: Journal
    ranking: Ranking
    now: datetime
    notes: Sequence[Problem] | None = None

    @cached_property
    def rows(self) -> list[Row]:
        """Its work. An array is one piece of work: its tasks are part of its row.

        In the order of the experiment's description.
        """
        return [row for row in self.looked.rows if row.array_task is None]

    @cached_property
    def items(self) -> Mapping[str, RunItem]:
        """Key → the piece of work as it is planned. Tasks of an array have no item of their own."""
        return {item.key: item for item in self.looked.experiment.items}

    @cached_property
    def decisions(self) -> Mapping[str, Decision]:
        """Key → what would be done with it now, if `run` were typed, and why."""
        return {one.key: one for one in self.looked.plan.decisions}

    def of_rows(self, rows: list[Row]) -> Site:
        """The same with these of its rows alone: a page of some of the work."""
        looked = msgspec.structs.replace(self.looked, rows=rows)
        return msgspec.structs.replace(self, looked=looked)

    def latest(self, key: str) -> Attempt | None:
        """The newest attempt at a piece of work; None where it was never submitted."""
        return self.looked.state.run(key).latest

    def id_of(self, key: str) -> str:
        """The id of a run's page, as it stands in its address: `night/r8` of the key `r8`. "": the
        site has no pages.
        """
        if not self.id:
            return ""
        return run_id(self.id, key)

    def command(self, *words: str) -> str:
        """A command on the experiment, as one types it: `command("run", "--retry-failed")` gives
        `watchkeeper run FOLDER --retry-failed`, quoted for a shell.
        """
        name, *options = words
        return shlex.join(["watchkeeper", name, self.folder, *options])

    def noun(self, key: str) -> str:
        """What a piece of work is: an evaluation, a training, or a run of anything else.

        A run that is to leave checkpoints is a training. The key has to be one of `items`.
        """
        item = self.items[key]
        if item.phase == "evaluation":
            return "evaluation"
        if self.looked.experiment.checkpoints_of(item.run):
            return "training"
        return "run"


def standing_of(row: Row) -> Standing:
    """Where it stands for people: what is in a queue waits, and does not run.

    A scheduler's own word for both is that the job is active.
    """
    is_queued = row.state == PENDING
    if is_queued and row.standing == "running":
        return "to do"
    return row.standing


def counted(count: int, noun: str) -> str:
    """A count with its noun, which takes an `s`: `1 run`, `6 evaluations`, `1,200 runs`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}s"


def at_step(step: float | None, total: float | None) -> str:
    """`at step 40 of 120`; "" where no step is known, and without the `of` where no total is."""
    if step is None:
        return ""
    if total is None:
        return f"at step {step:,}"
    return f"at step {step:,} of {total:,}"


def ended_at(attempt: Attempt | None) -> datetime | None:
    """When an attempt ended: as its scheduler says, else when that was seen. None while it is under
    way.
    """
    if attempt is None or attempt.judged is None:
        return None
    facts = attempt.facts
    if facts is not None and facts.ended is not None:
        return facts.ended
    # The verdict is from a little later than the end.
    return attempt.judged.time
