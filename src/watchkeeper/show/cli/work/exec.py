"""`watchkeeper exec`: any command as a recorded run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.keeping.opening import check_extra, open_option, open_page
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.text import printable

if TYPE_CHECKING:
    from watchkeeper.record.run import Run
    from watchkeeper.watch.command_log import CommandLog


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
@open_option
@answer_options
@command_errors
def command(
    *,
    command_line: tuple[str, ...],
    name: str,
    folder: Path | None,
    stall_s: float | None,
    end_stalled: bool | None,
    watched: tuple[str, ...],
    opens: bool,
    as_json: bool,
) -> int:
    """Run any command as a recorded run, and end with its exit code (128 + n on signal n).

    Its output is shown, and kept in logs/stdout.log and logs/stderr.log. A run log is kept as for a
    submitted script (the setting `run_logs`; `off`: none). Signals are passed on to
    its process group. Steps and metrics that it prints become metric rows. A stall is reported with
    its cause. With --json the output is kept but not shown.

    Example: watchkeeper exec -- python train.py --lr 1e-4
    """
    from watchkeeper.record import exec as commands  # the recorder is for this command alone

    if not command_line:
        raise UsageError(
            "there is no command to run",
            hint="write it after two dashes: watchkeeper exec -- python train.py",
        )
    if opens:
        check_extra()
    name = name or commands.name_of(command_line)
    runs: list[Run] = []
    pages: list[CommandLog] = []

    def started(run: Run) -> None:
        runs.append(run)
        page = _open_log(command_line, name, run.folder)
        if page is not None:
            pages.append(page)
        if not as_json and not is_quiet():
            _say(f"run {run.run_id} in {run.folder}{_place_of(page)}")
        if opens:
            open_page(run.folder, is_quiet=is_quiet())

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
    for page in pages:
        page.close()
        if page.fault:
            _say(f"the run log is not whole: {page.fault}")
    logs = f"{run.folder}/logs"
    if as_json:
        problem = Problem(
            where=str(run.folder),
            message=ended.words,
            hint=f"its output and log are in {logs}",
            code="command-failed",
        )
        return answer(
            ended.code,
            summary=f"{name} {ended.words}",
            problems=[problem] if ended.code else [],
            data=ExecData(
                run_id=run.run_id,
                folder=str(run.folder),
                ended=ended.words,
                run_log=next((str(page.path) for page in pages if page.path), None),
            ),
        )
    if ended.code:
        _say(f"{ended.words}; its output and log are in {logs}")
    return ended.code


def _open_log(words: tuple[str, ...], name: str, run: Path) -> CommandLog | None:
    """Make the run log of the command; None where none is kept. Whatever is wrong with it or with
    the settings is said, and the command runs all the same.
    """
    from watchkeeper.core.settings import load
    from watchkeeper.watch.command_log import Command, CommandLog, complete_left

    try:
        setting = load(Path.cwd(), acts=False).run_logs
    except UsageError as error:
        _say(f"no run log is kept: {error}")
        return None
    command = Command(words, name, Path.cwd())
    complete_left(command, run, setting)
    page = CommandLog(command, run, setting)
    page.open()
    if page.fault:
        _say(f"no run log is kept: {page.fault}")
    page.fault = ""
    return page


def _place_of(page: CommandLog | None) -> str:
    """Where the run log lies, to be said behind the folder of the run."""
    if page is None or page.path is None:
        return ""
    return f"; its run log is {page.path}"


class ExecData(msgspec.Struct, frozen=True, kw_only=True):
    """The recorded run: its id, its folder with the command's output in logs/, how the command
    ended, in words, and its run log, null where none is kept.
    """

    run_id: str
    folder: str
    ended: str
    run_log: str | None


ANSWERS = (ExecData,)


def _say(words: str) -> None:
    """Say something on standard error: the output is the command's own."""
    click.echo(printable(f"watchkeeper: {words}"), err=True)
