"""What `run --dry-run` and `submit --dry-run` show: the exact commands, and nothing done."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, Problem, RefusedError
from watchkeeper.core.events import Decision, RunItem
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.settings import load
from watchkeeper.core.state import State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.experiment.scripts import records
from watchkeeper.experiment.scripts.call import ScriptCall
from watchkeeper.launch import plan as planning
from watchkeeper.launch.plan import Selection
from watchkeeper.query.status import decide
from watchkeeper.schedulers.base import Job, SubmitHost
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.wrapper.names import wrapper_name
from watchkeeper.show.cli.answering import answer, echo_problems, say
from watchkeeper.show.cli.keeping import unsigned
from watchkeeper.show.cli.keeping.scripts import (
    ScriptOptions,
    arguments_of,
    calls_of,
    show_batch,
)
from watchkeeper.show.text import printable

# What only a submission makes: the attempt's token, and the ids of the jobs that it waits for.
TOKEN = "TOKEN"
JOB_ID = "JOB_ID"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One submission to come: `command`, run in `folder`; or `refused`, why there is none.
    `attempt` is 0 where none would be made.
    """

    key: str
    attempt: int
    folder: str
    command: str = ""
    refused: str = ""


def show_commands(
    experiment: Experiment,
    state: State,
    scheduler: SubmitHost,
    selection: Selection,
    *,
    as_json: bool,
) -> int:
    """Print what a submission now would run. Returns the exit code."""
    plan, _ = decide(experiment, state, selection)
    items = {item.key: item for item in experiment.items}
    commands = []
    for decision in plan.ready:
        array = planning.tasks_to_retry(state, decision)
        commands.append(_command(experiment, scheduler, items[decision.key], decision, array))
    for decision in unsigned.refused(plan):
        folder = experiment.workdir_of(items[decision.key])
        commands.append(
            Command(key=decision.key, attempt=0, folder=str(folder), refused=decision.detail)
        )
    waiting = [decision.key for decision in plan.decisions if decision.action == "wait"]
    return _answer(experiment.name, commands, waiting, as_json=as_json)


def _answer(name: str, commands: list[Command], waiting: list[str], *, as_json: bool) -> int:
    """Print the submissions to come, and return the exit code."""
    refused = [command for command in commands if command.refused]
    code = EXIT_FAILED if refused else EXIT_OK
    if as_json:
        return answer(
            code,
            summary=_summary(commands, waiting),
            counts={"to submit": len(commands) - len(refused), "refused": len(refused)},
            problems=[_problem(command) for command in refused],
            data=DryRunData(experiment=name, commands=commands, waiting=waiting),
            again=True,
        )
    _show(commands)
    say(("\n" if commands else "") + _summary(commands, waiting))
    return code


class DryRunData(msgspec.Struct, frozen=True, kw_only=True):
    """The submissions that would be made now, and the keys of the work that waits for these."""

    experiment: str
    commands: list[Command]
    waiting: list[str]


def _problem(command: Command) -> Problem:
    """A submission that is refused already, as a problem."""
    return Problem(where=command.key, message=command.refused, code="submission-refused")


def _show(commands: list[Command]) -> None:
    """Print a line for each command."""
    for command in commands:
        if command.refused:
            line = f"# {command.key}: refused: {command.refused}"
        else:
            line = f"cd {shlex.quote(command.folder)} && {command.command}"
        click.echo(printable(line))


def _summary(commands: list[Command], waiting: list[str]) -> str:
    """In one line how many jobs would be submitted, how many are refused, and how many wait for
    these.
    """
    if not commands and not waiting:
        return "Nothing to submit."
    refused = sum(bool(command.refused) for command in commands)
    counts = f"{len(commands) - refused} to submit now"
    if refused:
        counts += f", {refused} refused"
    if waiting:
        counts += f", {len(waiting)} after these"
    return f"{counts}. Nothing was submitted, and nothing written."


def show_script_commands(
    context: click.Context,
    paths: Sequence[Path],
    options: ScriptOptions,
    cluster: str | None,
    *,
    allow_unsigned: bool,
    as_json: bool,
) -> int:
    """Print what a submission of these scripts would run. Returns the exit code."""
    calls = calls_of(paths, options, arguments_of(context))
    folder = calls[0].path.parent
    scheduler = scheduler_of(load(folder, cluster=cluster, acts=False))
    known = {run.key for run in records.read_all(folder)[0]}
    commands: list[Command] = []
    for call in calls:
        if call.key in known and not options.again:
            note = Problem(
                where=call.key, message="was submitted before", severity="note", code="tried-before"
            )
            echo_problems([note])
            continue
        show_batch(call)
        command = _script_command(folder, scheduler, call)
        if not allow_unsigned:
            command = _unless_unsigned(folder, call, command)
        commands.append(command)
    return _answer(folder.name, commands, [], as_json=as_json)


def _script_command(folder: Path, scheduler: SubmitHost, call: ScriptCall) -> Command:
    """The first submission of a script."""
    command = Command(key=call.key, attempt=1, folder=str(call.workdir))
    try:
        source = call.batch.encode() or read_whole(call.path)
        return _with_words(
            command, folder, scheduler, source, call.path.name, after=call.needs, array=""
        )
    except OSError as error:
        why = f"cannot read {call.path}: {error.strerror}"
        return msgspec.structs.replace(command, refused=why)


def _unless_unsigned(folder: Path, call: ScriptCall, command: Command) -> Command:
    """The submission, or why the gate refuses it."""
    if command.refused:
        return command
    source = call.batch.encode() or read_whole(call.path)
    refusal = unsigned.refusal_of_script(folder, call, source.decode("utf-8", "replace"))
    if not refusal:
        return command
    return msgspec.structs.replace(command, command="", refused=refusal)


def _command(
    experiment: Experiment, scheduler: SubmitHost, item: RunItem, decision: Decision, array: str
) -> Command:
    """What would be typed to submit a piece of work. Where its script cannot be read it is
    refused.
    """
    script = experiment.folder / item.script
    workdir = experiment.workdir_of(item)
    command = Command(key=item.key, attempt=decision.attempt, folder=str(workdir))
    try:
        source = read_whole(script)
        return _with_words(
            command,
            experiment.folder,
            scheduler,
            source,
            script.name,
            after=decision.after,
            array=array,
        )
    except OSError as error:
        why = f"cannot read {script}: {error.strerror}"
        return msgspec.structs.replace(command, refused=why)


def _with_words(
    command: Command,
    folder: Path,
    scheduler: SubmitHost,
    source: bytes,
    name: str,
    *,
    after: Sequence[str],
    array: str,
) -> Command:
    """The submission with the exact command of the script `source`, or why it is refused."""
    try:
        head = read_head(source, name=name)
        if faults := [problem for problem in head.problems if problem.severity == "error"]:
            raise RefusedError("; ".join(fault.message for fault in faults))
        attempt = attempt_folder(folder, command.key, command.attempt)
        job = Job(
            wrapper=attempt / wrapper_name(TOKEN),
            folder=Path(command.folder),
            name=head.name,
            token=TOKEN,
            after=tuple(JOB_ID for _ in after),
            array=array,
        )
        return msgspec.structs.replace(command, command=scheduler.exact_words(job, head))
    except RefusedError as error:
        return msgspec.structs.replace(command, refused=str(error))
