"""`watchkeeper exec`: any command as a recorded run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.core.errors import UsageError
from watchkeeper.show.cli.common import command_errors, echo_json, json_option
from watchkeeper.show.text import printable

if TYPE_CHECKING:
    from watchkeeper.record import Run


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.argument("command_line", metavar="-- CMD [ARG]…", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--name",
    default="",
    help="Name of its runs. Default: the name of the script or program.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Exactly this folder. Default: artifacts/NAME/<run id>.",
)
@click.option(
    "--stall-s",
    type=float,
    metavar="SECONDS",
    help=(
        "Raise an alarm when nothing advances for this long. Default: 5 times the longest "
        "pause, at least 10 minutes."
    ),
)
@click.option(
    "--end-stalled",
    is_flag=True,
    default=None,
    help="End the command when it stalls; needs --stall-s.",
)
@click.option(
    "--files",
    "watched",
    multiple=True,
    metavar="GLOB",
    help="Files whose change also counts as progress; repeatable.",
)
@json_option
@command_errors
def command(
    *,
    command_line: tuple[str, ...],
    name: str,
    folder: Path | None,
    stall_s: float | None,
    end_stalled: bool | None,
    watched: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run any command as a recorded run, and end with its exit code (128 + n on signal n).

    Its output is shown, and kept in logs/stdout.log and logs/stderr.log. Signals are passed on to its
    process group. Steps and metrics that it prints become metric rows. A stall is reported with its
    cause. With --json the output is kept but not shown.

    Example: watchkeeper exec -- python train.py --lr 1e-4
    """
    from watchkeeper.record import exec as commands  # the recorder is for this command alone

    if not command_line:
        raise UsageError(
            "there is no command to run",
            hint="write it after two dashes: watchkeeper exec -- python train.py",
        )
    name = name or commands.name_of(command_line)
    runs: list[Run] = []

    def started(run: Run) -> None:
        runs.append(run)
        if not as_json:
            _say(f"run {run.run_id} in {run.folder}")

    ended = commands.record(
        command_line,
        root=None if folder else Path("artifacts") / name,
        folder=folder,
        pipeline=name,
        stall_s=stall_s,
        end_stalled=end_stalled,
        watched=watched,
        show=not as_json,
        started=started,
    )
    (run,) = runs
    if as_json:
        echo_json(
            {
                "run_id": run.run_id,
                "folder": str(run.folder),
                "exit_code": ended.code,
                "ended": ended.words,
            }
        )
    elif ended.code:
        _say(f"{ended.words}; its output and log are in {run.folder}/logs")
    return ended.code


def _say(words: str) -> None:
    click.echo(printable(f"watchkeeper: {words}"), err=True)
