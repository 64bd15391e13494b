"""What was published, into the journal of the run that made it, and from there into its run log."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core import layout as folders
from watchkeeper.core.disk.ownership import other_owner
from watchkeeper.core.errors import Problem, WatchkeeperError
from watchkeeper.core.events import Published
from watchkeeper.core.journal import Writer
from watchkeeper.publish import names
from watchkeeper.publish.hub.upload import Uploaded
from watchkeeper.publish.package import layout
from watchkeeper.publish.package.record import read_record
from watchkeeper.publish.signoff.document import read_signoff
from watchkeeper.show.cli.exchange.pages import bring_up
from watchkeeper.show.cli.publish.sources import source_of

_SHORT = {names.README: "README", names.TRAINING_LOG: "TRAINING_LOG"}


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The work that made a package: the folder of its journal, its key there ("": the journal's own
    run), and its attempt (0: the journal's own run).
    """

    folder: Path
    key: str = ""
    attempt: int = 0

    @property
    def words(self) -> str:
        """How it is called: `capitalization r8 attempt 2`."""
        if not self.key:
            return self.folder.name
        return f"{self.folder.name} {self.key} attempt {self.attempt}"


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
    return Owner(folder=folder, key=key, attempt=attempt if key else 0)


def record(package: Path, paths: Iterable[str], done: Uploaded, owner: Owner | None) -> Recorded:
    """Write down an upload, and bring up the run log."""
    if owner is None:
        return Recorded()
    fault = _write(owner, fields_of(package, list(paths), done, owner))
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


def _write(owner: Owner, fields: dict[str, object]) -> str:
    """Write the event; why it could not be written, "" if it was."""
    folder = owner.folder / folders.JOURNAL
    if not folder.is_dir():
        return f"{owner.folder} has no journal"
    stranger = other_owner(folder)
    if stranger:
        return f"its journal belongs to {stranger}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "its journal cannot be written"
    try:
        writer = Writer(folder, "publish upload")
        writer.write(Published, **fields)
        writer.close()
    except (WatchkeeperError, OSError) as error:
        return str(error)
    return ""


def _not_recorded(owner: Owner, done: Uploaded, fault: str) -> Problem:
    return Problem(
        where=str(owner.folder),
        message=f"{done.place.repo} is uploaded, but it is not in the run log: {fault}",
        hint=f"write it down by hand: {done.place.page}",
        severity="warning",
        code="not-recorded",
    )
