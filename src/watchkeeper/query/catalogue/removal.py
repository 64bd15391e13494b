"""Which recorded runs may be put away, and why not. Nothing is written."""

from __future__ import annotations

from pathlib import Path

from watchkeeper.core import journal, layout
from watchkeeper.core.disk.ownership import other_owner
from watchkeeper.core.errors import UsageError, WatchkeeperError
from watchkeeper.core.events import RunStarted
from watchkeeper.core.journal import Journal
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.query.catalogue.places import places_below

_MOST_NAMED = 3


def check_removable(run: Path, *, force: bool) -> None:
    """Refuse to put a folder away that is no recorded run's alone, or whose run may be under way.
    `force`: one that may still be running is moved too.

    Raises:
        UsageError: it is no recorded run.
        WatchkeeperError: it must not be moved.
    """
    if run.is_symlink():
        raise UsageError(f"{run} is a link", hint=f"name the folder itself: {run.resolve()}")
    if is_experiment(run):
        raise WatchkeeperError(
            f"{run} is an experiment: its jobs and their results are not put away",
            hint="move the folder yourself when no job of it runs: `watchkeeper status` shows it",
        )
    if not (run / layout.JOURNAL).is_dir():
        raise UsageError(f"{run} is no recorded run", hint="`watchkeeper ls` lists those there are")
    owner = other_owner(run)
    if owner:
        raise WatchkeeperError(f"{run} belongs to {owner}", hint="ask its owner to do it")
    read = journal.read(run / layout.JOURNAL)
    _refuse_under_way(run, read, force=force)
    _refuse_job(run, read)
    _refuse_others(run)


def _refuse_under_way(run: Path, read: Journal, *, force: bool) -> None:
    """Refuse a run into which a process of this machine records, forced or not; unless forced, one
    of which nothing tells whether its process lives.
    """
    lives = journal.unsealed(read).values()
    if True in lives:
        raise WatchkeeperError(
            f"{run} is under way: a process records into it", hint="wait for its end, or stop it"
        )
    if None in lives and not force:
        raise WatchkeeperError(
            f"{run} has no end and may still be running: it was started on "
            "another machine, or before this one was restarted",
            hint="if it no longer runs: --force",
        )


def _refuse_job(run: Path, read: Journal) -> None:
    """Refuse what a job of an experiment recorded: its verdict rests on it."""
    for events in read.events.values():
        for event in events:
            if isinstance(event, RunStarted) and event.attempt and Path(event.attempt).is_dir():
                experiment = event.attempt.partition(f"/{layout.RUNS}/")[0]
                raise WatchkeeperError(
                    f"{run} is what a job of {experiment} recorded",
                    hint="the experiment's logs and verdicts rest on it: leave it there",
                )


def _refuse_others(run: Path) -> None:
    """Refuse a folder with other runs in it."""
    top = str(run.resolve())
    others = [place.path for place in places_below(top).found if place.path != top]
    if others:
        named = ", ".join(others[:_MOST_NAMED])
        if len(others) > _MOST_NAMED:
            named += f" and {len(others) - _MOST_NAMED} more"
        raise WatchkeeperError(
            f"{run} holds other runs: {named}", hint="put those away first, or move them"
        )
