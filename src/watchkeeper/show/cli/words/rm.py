"""`watchkeeper rm`: put recorded runs away."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

import click
import msgspec

from watchkeeper.core.disk.files import keep_out_of_git, make_folder
from watchkeeper.core.disk.ownership import other_owner
from watchkeeper.core.errors import EXIT_OK, StorageError, WatchkeeperError
from watchkeeper.core.ids import run_id
from watchkeeper.core.journal import utc_now
from watchkeeper.core.layout import TRASH
from watchkeeper.query.catalogue.removal import check_removable
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.text import printable


@click.command("rm")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--force",
    is_flag=True,
    help="Move also a run that has no end and may still be running.",
)
@answer_options
@command_errors
def command(runs: tuple[Path, ...], force: bool, as_json: bool) -> int:
    """Put recorded runs away: each folder is moved, whole, into `.watchkeeper-trash` beside it, and
    nothing is deleted. A run that is under way, an experiment, what a job of an experiment
    recorded, and a folder with other runs in it are refused. All are moved, or none.

    Example: watchkeeper rm artifacts/training/r8
    """
    folders = list(dict.fromkeys(_plain(run) for run in runs))
    for folder in folders:
        check_removable(folder, force=force)
    moved = _move_all(folders)
    if as_json:
        count = len(moved)
        summary = f"{count} run{'s' if count > 1 else ''} moved into {TRASH}"
        return answer(EXIT_OK, summary=summary, counts={"moved": count}, data=RmData(moved=moved))
    for one in moved:
        if is_quiet():
            click.echo(printable(one.trash))
            continue
        click.echo(printable(f"{one.folder}: moved to {one.trash}"))
        click.echo(printable(f"  to get it back: {shlex.join(one.back)}"))
    return EXIT_OK


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A run's folder, where it is now, and the command that brings it back, as its words."""

    folder: str
    trash: str
    back: tuple[str, ...]


class RmData(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that were moved."""

    moved: list[Moved]


ANSWERS = (RmData,)


def _plain(run: Path) -> Path:
    """The path without `.` and `..`, so that it names a folder in its parent; links stay."""
    if run.is_symlink():
        return run
    return run.resolve()


def _move_all(folders: list[Path]) -> list[Moved]:
    """Move them; where one cannot be, those before it are moved back."""
    moved: list[Moved] = []
    try:
        for folder in folders:
            moved.append(_move(folder))
    except WatchkeeperError:
        for one in reversed(moved):
            os.rename(one.trash, one.folder)  # noqa: PTH104 - as `_move`
        raise
    return moved


def _move(folder: Path) -> Moved:
    """Move a folder into the trash beside it, into a new folder there: nothing is overwritten."""
    trash = folder.parent / TRASH
    _refuse_foreign(trash)
    place = make_folder(trash / run_id(utc_now()))
    keep_out_of_git(trash)
    target = place / folder.name
    try:
        os.rename(folder, target)  # noqa: PTH104 - the same filesystem, or an error
    except OSError as error:
        place.rmdir()
        raise StorageError(
            f"{folder} could not be moved to {target}: {error.strerror}",
            hint="nothing was changed; check the mode of the folder that it lies in",
        ) from error
    return Moved(folder=str(folder), trash=str(target), back=("mv", str(target), str(folder)))


def _refuse_foreign(trash: Path) -> None:
    """Refuse a trash that somebody else made, or that leads elsewhere."""
    try:
        mode = trash.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode) or other_owner(trash):
        raise WatchkeeperError(
            f"{trash} is not a folder of yours", hint="move it away, or move the run yourself"
        )
