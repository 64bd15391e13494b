"""The pages of W&B runs that were synced: into the journal of the work that left the runs, and from
there into its run log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.core.events import Synced
from watchkeeper.publish.wandb.plan import SyncPlan
from watchkeeper.publish.wandb.sync import Sent
from watchkeeper.query.wandb.owners import Owner, owners_of
from watchkeeper.show.cli.write_down import bring_up, not_recorded, write_event


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Where the pages of a sync were written down: whose they are, and the journals' folders that
    have a run log which shows them now. `problems` are pages that could not be written down.
    """

    owners: tuple[Owner, ...] = ()
    shown: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()


def keep_pages(
    plan: SyncPlan, sent: Iterable[Sent], given: Sequence[Path], *, public: bool = False
) -> Kept:
    """Write down the page of each run that is on the server, in the journal of each attempt that
    left segments of it, and bring up the run logs. A run that belongs to nobody is passed over.
    """
    owners: dict[Owner, None] = {}
    problems: list[Problem] = []
    for one in sent:
        if one.outcome != "synced":
            continue
        for owner, folders in _owned(plan, one, given).items():
            fields = _event(plan, one, owner, folders, public=public)
            fault = write_event(owner.folder, "wandb sync", Synced, fields)
            if fault:
                problems.append(_not_kept(owner, one, fault))
            else:
                owners[owner] = None
    places = dict.fromkeys(owner.folder for owner in owners)
    shown = [folder for folder in places if bring_up(folder, problems)]
    return Kept(owners=tuple(owners), shown=tuple(shown), problems=tuple(problems))


def _owned(plan: SyncPlan, sent: Sent, given: Sequence[Path]) -> dict[Owner, list[Path]]:
    """The folders of a run by whose they are."""
    (run,) = (run for run in plan.runs if run.run_id == sent.run_id)
    parts: dict[Owner, list[Path]] = {}
    for folder, owner in owners_of(run.folders, given).items():
        parts.setdefault(owner, []).append(folder)
    return parts


def _event(
    plan: SyncPlan, sent: Sent, owner: Owner, folders: Iterable[Path], *, public: bool
) -> dict[str, object]:
    """The fields of the event."""
    return {
        "tool": "wandb",
        "id": sent.run_id,
        "url": sent.url,
        "folders": tuple(map(str, folders)),
        "rows": sent.rows,
        "entity": plan.entity,
        "project": plan.project,
        "key": owner.key,
        "attempt": owner.attempt,
        "public": public,
    }


def _not_kept(owner: Owner, sent: Sent, fault: str) -> Problem:
    """The problem of a run that is synced, and of whose page the run log does not know."""
    message = f"{sent.run_id} is synced, but its page is not in the run log: {fault}"
    return not_recorded(owner.folder, message, f"write it down by hand: {sent.url}")
