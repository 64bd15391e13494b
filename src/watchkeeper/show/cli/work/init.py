"""`watchkeeper init`: a first summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from watchkeeper.core.disk import files
from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.experiment.draft import Draft
from watchkeeper.experiment.drafting.found import draft_of
from watchkeeper.experiment.drafting.sweep import Sweep, parse_values, sweep_of
from watchkeeper.experiment.drafting.text import text_of
from watchkeeper.experiment.summary_names import SUMMARY_MD, SUMMARY_YAML, SUMMARY_YML
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.text import printable

_SWEEP = "sweep"
_MOST_SHOWN = 8


class InitData(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: the files, in the order written, and the names of the runs."""

    folder: str
    files: list[str]
    runs: list[str]


ANSWERS = (InitData,)


@click.command("init")
@click.argument("words", nargs=-1, metavar="[sweep] [FOLDER]")
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="NAME=V,V",
    help="Sweep: a variable and its values; repeatable.",
)
@click.option(
    "--template",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="SCRIPT",
    help="Sweep: the script of each run; {NAME} stands for a value, else it is an argument.",
)
@click.option(
    "--eval",
    "evals",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="SCRIPT",
    help="Sweep: the script of an evaluation, with {run} and {epoch}; repeatable.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=None, help="Sweep: epochs that a run trains."
)
@answer_options
@command_errors
def command(
    *,
    words: tuple[str, ...],
    values: tuple[str, ...],
    template: Path | None,
    evals: tuple[Path, ...],
    epochs: int | None,
    as_json: bool,
) -> int:
    """Look at the scripts in a folder and write a commented experiment_summary.yaml for them. With
    `sweep`, make a run for each combination of values.

    No file that is there is changed.

    Example: watchkeeper init sweep exp --template train.sh --set lr=1e-4,1e-3 --set rank=8,16
    """
    is_sweep, folder = _parsed(words)
    _refuse_summary(folder)
    scripts: Mapping[Path, str] = {}
    if is_sweep:
        sweep = _sweep(folder, values, template, evals, epochs or 0)
        draft, scripts = sweep.draft, sweep.scripts
    elif values or template or evals or epochs:
        raise UsageError(
            "--set, --template, --eval and --epochs are for a sweep",
            hint="watchkeeper init sweep FOLDER --template train.sh --set lr=1e-4,1e-3",
        )
    else:
        draft = draft_of(folder.absolute())
    written = _write(folder, {**scripts, Path(SUMMARY_YAML): text_of(draft)})
    return _say(folder, draft, written, as_json=as_json)


def _parsed(words: tuple[str, ...]) -> tuple[bool, Path]:
    """Whether a sweep is asked for, and the folder: this one unless it is named."""
    rest = list(words)
    is_sweep = bool(rest) and rest[0] == _SWEEP
    if is_sweep:
        rest.pop(0)
    if len(rest) > 1:
        raise UsageError(f"init takes one folder, not {' '.join(rest)}", hint="name one folder")
    return is_sweep, Path(rest[0]) if rest else Path()


def _sweep(
    folder: Path,
    values: tuple[str, ...],
    template: Path | None,
    evals: tuple[Path, ...],
    epochs: int,
) -> Sweep:
    """The sweep that was asked for.

    Raises:
        UsageError: there is no template or no values, or one of them cannot be used.
    """
    if template is None or not values:
        raise UsageError(
            "a sweep needs a template and the values of at least one variable",
            hint="watchkeeper init sweep FOLDER --template train.sh --set lr=1e-4,1e-3",
        )
    return sweep_of(folder, parse_values(values), template, evals, epochs)


def _refuse_summary(folder: Path) -> None:
    """Refuse to write over a summary.

    Raises:
        UsageError: the folder has one.
    """
    for name in (SUMMARY_YAML, SUMMARY_YML, SUMMARY_MD):
        if (folder / name).exists():
            raise UsageError(
                f"{folder / name} is there already, and is not changed",
                hint=f"watchkeeper plan {folder} says what it asks for",
            )


def _write(folder: Path, texts: Mapping[Path, str]) -> list[str]:
    """Write the files, none of which may be there with other words. Returns their paths.

    Raises:
        UsageError: one of them is there with other words; nothing was written.
    """
    for path, text in texts.items():
        there = files.read_if_any(folder / path)
        if there is not None and there != text.encode():
            raise UsageError(
                f"{folder / path} is there with other words, and is not changed",
                hint="name another folder, or move that file away",
            )
    written: list[str] = []
    for path, text in texts.items():
        files.make_folder((folder / path).parent)
        if not files.create(folder / path, text.encode(), mode=_mode_of(path)):
            continue
        written.append(str(path))
    return written


def _mode_of(path: Path) -> int:
    """The mode of a new file, before the umask: scripts can be run."""
    return 0o666 if path.suffix == ".yaml" else 0o777


def _say(folder: Path, draft: Draft, written: list[str], *, as_json: bool) -> int:
    """Say what was written, and what to type next; EXIT_OK."""
    runs = [run.name for run in draft.runs]
    evaluations = f" and {len(draft.cells)} evaluations" if draft.cells else ""
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    summary = f"wrote {folder / SUMMARY_YAML}: {count}{evaluations}"
    if as_json:
        return answer(
            EXIT_OK,
            summary=summary,
            counts={"runs": len(runs), "evaluations": len(draft.cells)},
            data=InitData(folder=str(folder), files=written, runs=runs),
        )
    click.echo(printable(summary))
    if is_quiet():
        return EXIT_OK
    listed = ", ".join(runs[:_MOST_SHOWN])
    if len(runs) > _MOST_SHOWN:
        listed += f", and {len(runs) - _MOST_SHOWN} more"
    click.echo(printable(f"  {listed}"))
    click.echo(printable(f"Look at it, then: watchkeeper plan {folder}"))
    return EXIT_OK
