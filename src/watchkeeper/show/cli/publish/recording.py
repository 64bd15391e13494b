"""What was published, into the journal of the run that made it, and from there into its run log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.core.events import Published
from watchkeeper.publish import names
from watchkeeper.publish.hub.upload import Uploaded
from watchkeeper.publish.package import layout
from watchkeeper.publish.package.record import read_record
from watchkeeper.publish.signoff.document import read_signoff
from watchkeeper.query.wandb.owners import Owner
from watchkeeper.show.cli.publish.sources import source_of
from watchkeeper.show.cli.write_down import bring_up, not_recorded, write_event

_SHORT = {names.README: "README", names.TRAINING_LOG: "TRAINING_LOG"}


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Where an upload was written down. `owner` None: nothing says which run made the package.
    `is_shown`: its run log has it now. `problems` say what could not be written.
    """

    owner: Owner | None = None
    is_shown: bool = False
    problems: tuple[Problem, ...] = ()


def owner_of(package: Path, run: Path | None, key: str) -> Owner | None:
    """Who made a package: the run that is named, else the one that its staging noted beside it;
    None: neither.

    Raises:
        UsageError: the named run is none, or the note cannot be read.
    """
    if run is not None:
        source = source_of(package, run, key)
        return _owner(source.folder, source.key, source.attempt)
    staging = read_record(package)
    if staging is None:
        return None
    return _owner(Path(staging.folder), staging.key, staging.attempt)


def _owner(folder: Path, key: str, attempt: int) -> Owner:
    """Who made a package. A recorded run (`key` "") has no attempts: its number is 0."""
    return Owner(folder=folder, key=key, attempt=attempt if key else 0)


def record(package: Path, paths: Iterable[str], done: Uploaded, owner: Owner | None) -> Recorded:
    """Write down an upload, and bring up the run log."""
    if owner is None:
        return Recorded()
    fields = fields_of(package, list(paths), done, owner)
    fault = write_event(owner.folder, "publish upload", Published, fields)
    if fault:
        return Recorded(owner=owner, problems=(_not_recorded(owner, done, fault),))
    problems: list[Problem] = []
    is_shown = bring_up(owner.folder, problems)
    return Recorded(owner=owner, is_shown=is_shown, problems=tuple(problems))


def fields_of(package: Path, paths: list[str], done: Uploaded, owner: Owner) -> dict[str, object]:
    """The fields of the event. `paths` are the package's files."""
    signoff = read_signoff(package)
    return {
        "key": owner.key,
        "attempt": owner.attempt,
        "repo": done.place.repo,
        "url": done.place.page,
        "commit": done.commit,
        "pull_request": done.pull_request,
        "private": done.private,
        "checkpoints": checkpoints_of(paths),
        "is_full": any(map(layout.is_of_trainer, paths)),
        "includes": includes_of(paths),
        "verdict": signoff.verdict if signoff is not None else "",
        "why": (signoff.verdict_reason or "") if signoff is not None else "",
    }


def checkpoints_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The names of the checkpoints in a package, numbers by their size."""
    parts = (PurePosixPath(path).parts for path in paths)
    steps = {one[1] for one in parts if len(one) > 2 and one[0] == layout.CHECKPOINTS}
    return tuple(sorted(steps, key=lambda step: (not step.isdigit(), len(step), step)))


def includes_of(paths: Iterable[str]) -> tuple[str, ...]:
    """What a package holds beside its checkpoints, as a run log names it: documents first."""
    tops = {PurePosixPath(path).parts[0] for path in paths} - {layout.CHECKPOINTS}
    order = [*_SHORT, *layout.REQUIRED]
    first = [top for top in dict.fromkeys(order) if top in tops]
    return tuple(_SHORT.get(top, top) for top in [*first, *sorted(tops.difference(first))])


def _not_recorded(owner: Owner, done: Uploaded, fault: str) -> Problem:
    """The problem of a package that is uploaded, and of which the run log does not know."""
    message = f"{done.place.repo} is uploaded, but it is not in the run log: {fault}"
    return not_recorded(owner.folder, message, f"write it down by hand: {done.place.page}")
