"""`watchkeeper import`: runs of W&B as recorded runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, Problem, WatchkeeperError
from watchkeeper.publish.wandb.importing import ImportedRun, import_run
from watchkeeper.publish.wandb.offline import Segment, grouped, runs_of, wandb_files
from watchkeeper.record.writing import manifest
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.text import printable

DEFAULT_ROOT = Path("artifacts", "imported")


@click.command("import")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option(
    "--into",
    "root",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_ROOT,
    metavar="FOLDER",
    help=f"Where the recorded runs are made, a folder each. Default: {DEFAULT_ROOT}",
)
@click.option(
    "--renew",
    is_flag=True,
    help="Import again what has grown since its import. The old import is moved into the trash.",
)
@answer_options
@command_errors
def command(paths: tuple[Path, ...], root: Path, renew: bool, as_json: bool) -> int:
    """Make recorded runs of runs that W&B kept on this disk, which `ls`, `compare`, `export` and
    the pages then show like any other. PATH is a `.wandb` file, a folder `offline-run-…`, or any
    folder with some in it. `wandb` need not be installed.

    The rows, the configuration, the summary's figures, tags, notes, commit and end are taken. What
    was resumed under one id becomes one run; what was begun anew under it, or ran beside it,
    another. Images, tables and other media stay where they are,
    and are counted. The source is not changed. A run that was imported before is not imported
    again.

    Example: watchkeeper import wandb
    """
    files = list(dict.fromkeys(file for path in paths for file in wandb_files(path)))
    sources, problems = grouped(files)
    parted = [runs_of(segments) for segments in sources.values()]
    runs, failed = _import_all(list(chain(*parted)), root, renew=renew)
    shared = {own[0][0].begin.run_id: len(own) for own in parted if len(own) > 1}
    problems += failed
    exit_code = EXIT_FAILED if problems else EXIT_OK
    summary = _summary(runs, problems)
    if as_json:
        return answer(
            exit_code,
            summary=summary,
            counts={"imported": len(_new(runs)), "there before": len(runs) - len(_new(runs))},
            problems=problems,
            data=ImportData(runs=[_row(run, shared) for run in runs]),
        )
    for run in runs:
        click.echo(printable(_line(run, shared)))
    echo_problems(problems)
    say(summary)
    if runs and not is_quiet():
        click.echo(printable(f"Look at them: watchkeeper ls {root}"))
    return exit_code


class ImportRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run of W&B: its id and name there, the folder of the recorded run that was made of it, and
    its metric rows. `is_new` is false where it had been imported before; `is_unfinished` where the
    source has no end. `media` counts what stays in the source only, by name. `runs_with_id` is
    how many runs of this id were read: each is a recorded run of its own.
    """

    folder: str
    id: str
    name: str
    rows: int
    is_new: bool
    is_unfinished: bool
    media: dict[str, int]
    runs_with_id: int


class ImportData(msgspec.Struct, frozen=True, kw_only=True):
    """Each run that was read."""

    runs: list[ImportRow]


ANSWERS = (ImportData,)


def _import_all(
    sources: Sequence[Sequence[Segment]], root: Path, *, renew: bool
) -> tuple[list[ImportedRun], list[Problem]]:
    """Import each run; what cannot be imported is a problem, and the others are."""
    runs = []
    problems = []
    for segments in sources:
        try:
            run = import_run(segments, root, renew=renew)
        except (WatchkeeperError, OSError) as error:
            hint = error.hint if isinstance(error, WatchkeeperError) else ""
            where = str(segments[0].path)
            problems.append(
                Problem(where=where, message=str(error), hint=hint, code="not-imported")
            )
            continue
        if run.is_new:
            manifest.rebuild(run.folder.resolve())
        runs.append(run)
    return runs, problems


def _new(runs: Sequence[ImportedRun]) -> list[ImportedRun]:
    """The runs that were not there before."""
    return [run for run in runs if run.is_new]


def _row(run: ImportedRun, shared: Mapping[str, int]) -> ImportRow:
    """One run for programs. `shared`: id → how many of the runs have it; an id that is not there is
    one run's.
    """
    return ImportRow(
        folder=str(run.folder),
        id=run.run_id,
        name=run.name,
        rows=run.rows,
        is_new=run.is_new,
        is_unfinished=run.is_unfinished,
        media=dict(run.media),
        runs_with_id=shared.get(run.run_id, 1),
    )


def _line(run: ImportedRun, shared: Mapping[str, int]) -> str:
    """What came of one run, for people. `shared` counts the runs of an id that several have."""
    if is_quiet():
        return str(run.folder)
    named = f"{run.name} ({run.run_id})" if run.name else run.run_id
    notes = [f"{run.rows:,} row{'' if run.rows == 1 else 's'}"]
    if not run.is_new:
        notes.append("imported before")
    if run.run_id in shared:
        notes.append(f"one of {shared[run.run_id]} runs with this id")
    if run.is_unfinished:
        notes.append("no end: it runs still, or was killed")
    if run.media:
        count = sum(run.media.values())
        notes.append(f"{count} of {', '.join(sorted(run.media))} stay in W&B's folder")
    return f"{named}: {'; '.join(notes)}\n  {run.folder}"


def _summary(runs: Sequence[ImportedRun], problems: Sequence[Problem]) -> str:
    """In one line how many runs were imported, how many were there before, and how many problems
    there are.
    """
    new = len(_new(runs))
    parts = [f"{new} run{'' if new == 1 else 's'} imported"]
    if len(runs) > new:
        parts.append(f"{len(runs) - new} there before")
    if problems:
        parts.append(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}")
    return ", ".join(parts) + "."
