"""Whose the runs of W&B on this disk are: an attempt's of an experiment, or a recorded run's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Judged, Learned
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.journal import Journal
from watchkeeper.publish.wandb.belonging import ids_of, segments_of
from watchkeeper.publish.wandb.offline import wandb_files


class Owner(NamedTuple):
    """`folder` has the journal. `key` and `attempt` name the work in an experiment; "" and 0: the
    folder's own run.
    """

    folder: Path
    key: str = ""
    attempt: int = 0

    @property
    def words(self) -> str:
        """How the work is called: `capitalization r8 attempt 2`."""
        if not self.key:
            return self.folder.name
        return f"{self.folder.name} {self.key} attempt {self.attempt}"


def files_of(path: Path) -> list[Path]:
    """The `.wandb` files that a path means: those of a recorded run or of an experiment, with what
    lies below it; else those in the folder, or the file itself.

    Raises:
        UsageError: there are none; or several runs of W&B ran at once beside a recorded run.
    """
    root = path.resolve()
    if not (root / layout.JOURNAL).is_dir():
        return wandb_files(path)
    files: list[Path] = []
    for folder in owned(root):
        files += sorted(folder.glob("*.wandb"))
    try:
        files += wandb_files(path)
    except UsageError:
        if not files:
            message = f"no run of W&B belongs to {path}"
            hint = "give the folder offline-run-…, or a folder with some in it"
            raise UsageError(message, hint=hint) from None
    # One file may be found under two names: by the journal, and below the folder.
    by_real_path = {file.resolve(): file for file in files}
    return list(by_real_path.values())


def owners_of(folders: Iterable[Path], given: Iterable[Path]) -> dict[Path, Owner]:
    """Whose each of these folders of W&B runs is, as far as a journal says so: that of a folder
    that was given, or of one above the W&B folder itself.

        /exp/wandb/offline-run-…-a1 → Owner(/exp, "r8", 2)

    A folder that no journal names is left out. Where several do, the one that was read last counts.

    Raises:
        UsageError: as for `owned`.
    """
    wanted = [folder.resolve() for folder in folders]
    places = dict.fromkeys(path.resolve() for path in given)
    for folder in wanted:
        places |= dict.fromkeys(folder.parents)
    owners: dict[Path, Owner] = {}
    for place in places:
        if (place / layout.JOURNAL).is_dir():
            owners |= owned(place)
    return {folder: owners[folder] for folder in wanted if folder in owners}


def owned(place: Path) -> dict[Path, Owner]:
    """The folders of W&B runs that the journal of a folder speaks of, each with whose it is.

    The verdicts of an experiment name them. Without any such verdict, they are those that ran
    beside the folder's own recorded run. {}: there are none.

    Raises:
        UsageError: several runs of W&B ran at once beside a recorded run.
    """
    read = journal.read(place / layout.JOURNAL)
    by_attempt = dict(_of_attempts(place, read))
    if by_attempt:
        return by_attempt
    return dict(_of_recorded(place))


def _of_attempts(place: Path, read: Journal) -> Iterator[tuple[Path, Owner]]:
    """The W&B run of each attempt, as its newest verdict names it: its folders, each with the
    attempt. A verdict that names none has none, even where an older one did.
    """
    verdicts = sorted(of_kind(read.events, Judged), key=lambda event: event.time)
    newest = {(event.key, event.attempt): event.learned for event in verdicts}
    for (key, attempt), learned in newest.items():
        for folder in _folders(learned):
            yield (place / folder).resolve(), Owner(place, key, attempt)


def _folders(learned: Learned | None) -> tuple[str, ...]:
    """The folders of W&B's runs that a training recorded into, the last one last; () for none."""
    if learned is None or not learned.wandb:
        return ()
    return (*learned.wandb_earlier, learned.wandb)


def _of_recorded(place: Path) -> Iterator[tuple[Path, Owner]]:
    """The folders of W&B's runs beside a recorded run, each with that run.

    Raises:
        UsageError: several ran beside it at once, and nobody can say which is its own.
    """
    for segments in segments_of(place).values():
        ids = ids_of(segments)
        if len(ids) > 1:
            message = f"beside {place} ran several runs of W&B at once: {', '.join(ids[:5])}"
            raise UsageError(message, hint="give the folder of the one that is this run's")
        for segment in segments:
            yield segment.path.parent.resolve(), Owner(place)
