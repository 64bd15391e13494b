"""What `run --dry-run` and `submit --dry-run` show: the exact commands, and nothing done."""

from __future__ import annotations

import shlex

import click
import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, Problem, RefusedError
from watchkeeper.core.events import Decision, RunItem
from watchkeeper.core.layout import attempt_folder
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import plan as planning
from watchkeeper.launch.plan import Selection
from watchkeeper.query.status import decide
from watchkeeper.schedulers.base import Job, SubmitHost
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.wrapper.names import wrapper_name
from watchkeeper.show.cli.answering import answer, say
from watchkeeper.show.text import printable

# What only a submission makes: the attempt's token, and the ids of the jobs that it waits for.
TOKEN = "TOKEN"
JOB_ID = "JOB_ID"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One submission to come: `command`, run in `folder`; or `refused`, why there is none."""

    key: str
    attempt: int
    folder: str
    command: str = ""
    refused: str = ""


def show_commands(
    experiment: Experiment, scheduler: SubmitHost, selection: Selection, *, as_json: bool
) -> int:
    """Print what a submission now would run. Returns the exit code."""
    state, plan, _ = decide(experiment, selection)
    items = {item.key: item for item in experiment.items}
    commands = []
    for decision in plan.ready:
        array = planning.tasks_to_retry(state, decision)
        commands.append(_command(experiment, scheduler, items[decision.key], decision, array))
    waiting = [decision.key for decision in plan.decisions if decision.action == "wait"]
    refused = [command for command in commands if command.refused]
    code = EXIT_FAILED if refused else EXIT_OK
    if as_json:
        return answer(
            code,
            summary=_summary(commands, waiting),
            counts={"to submit": len(commands) - len(refused), "refused": len(refused)},
            problems=[_problem(command) for command in refused],
            data=DryRunData(experiment=experiment.name, commands=commands, waiting=waiting),
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
    if not commands and not waiting:
        return "Nothing to submit."
    counts = f"{len(commands)} to submit now"
    if waiting:
        counts += f", {len(waiting)} after these"
    return f"{counts}. Nothing was submitted, and nothing written."


def _command(
    experiment: Experiment, scheduler: SubmitHost, item: RunItem, decision: Decision, array: str
) -> Command:
    script = experiment.folder / item.script
    found = Command(key=item.key, attempt=decision.attempt, folder=str(script.parent))
    try:
        head = read_head(read_whole(script), name=script.name)
        if faults := [problem for problem in head.problems if problem.severity == "error"]:
            raise RefusedError("; ".join(fault.message for fault in faults))
        wrapper = attempt_folder(experiment.folder, item.key, decision.attempt) / wrapper_name(
            TOKEN
        )
        after = tuple(JOB_ID for _ in decision.after)
        job = Job(
            wrapper=wrapper,
            folder=script.parent,
            name=head.name,
            token=TOKEN,
            after=after,
            array=array,
        )
        return msgspec.structs.replace(found, command=scheduler.exact_words(job, head))
    except RefusedError as error:
        return msgspec.structs.replace(found, refused=str(error))
    except OSError as error:
        return msgspec.structs.replace(found, refused=f"cannot read {script}: {error.strerror}")
