"""`watchkeeper checkpoint reevaluate`: two evaluations of one checkpoint, sample by sample."""

from __future__ import annotations

import itertools
import os
import shlex
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, UsageError
from watchkeeper.publish.passport.reference import evaluation
from watchkeeper.publish.passport.reference.answers import Difference, differences
from watchkeeper.show.cli.answering import answer
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options
from watchkeeper.show.text import printable
from watchkeeper.tools import inspect_ai, samples
from watchkeeper.tools.file_formats import FaultError
from watchkeeper.tools.inspect_ai import Answers


@click.command("reevaluate")
@click.argument("log", type=click.Path(path_type=Path))
@click.argument("again", required=False, type=click.Path(path_type=Path))
@click.option("--run", "is_run", is_flag=True, help="Make the evaluation again, and compare that.")
@click.option(
    "--command",
    "words",
    metavar="COMMAND",
    help="With --run: this command in place of the one that LOG names.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="With --run: a new folder for its log and its output.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=evaluation.LIMIT_S,
    show_default=True,
    metavar="SECONDS",
    help="End the evaluation after this many seconds.",
)
@page_options
@command_errors
def command(
    log: Path,
    again: Path | None,
    *,
    is_run: bool,
    words: str | None,
    into: Path | None,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Compare two evaluations of a checkpoint, and name each sample whose answer differs. LOG is
    the one that you were given, AGAIN the one that your own evaluation of the same checkpoint left:
    inspect-ai's `.eval` or `.json`, or lines of JSON with an id and an answer each (`.jsonl`).

    With --run in the place of AGAIN, the evaluation is made now, in the folder in which you type,
    by the command that inspect-ai's LOG names: its task, model, arguments and limits. The command
    is shown first. It runs code that LOG names: do it with a log that you trust.

    Exit code: 0 if every answer and every score is the same; 1 if one is not, or the evaluation
    failed; 2 if the logs are of different tasks, or cannot be read.

    Example: watchkeeper checkpoint reevaluate theirs.eval logs/mine.eval
    """
    _check_options(again, is_run=is_run, has_command=words is not None, has_folder=into is not None)
    first = _read(log)
    if again is None:
        again = evaluation.run_again(_words(log, words), into or _new_folder(log), timeout_s)
    second = _read(again)
    if first.task != second.task:
        raise UsageError(
            f"{log} is of the task {first.task!r}, and {again} of {second.task!r}",
            hint="name two logs of the same task",
            code="other-task",
        )
    differing = differences(first, second)
    count = len({(sample.id, sample.epoch) for sample in (*first.samples, *second.samples)})
    name = first.task or log.name
    summary = f"{name}: {len(differing)} of {count} samples differ"
    code = EXIT_FAILED if differing else EXIT_OK
    if not as_json:
        for difference in differing:
            click.echo(printable(_line(difference)))
        click.echo(printable(f"{summary}."))
        return code
    return answer(
        code,
        summary=summary,
        counts={"samples": count, "differ": len(differing)},
        data=ReevaluateData(
            samples=differing,
            task=first.task,
            model=first.model,
            model_again=second.model,
            log_again=str(again),
        ),
    )


class ReevaluateData(msgspec.Struct, frozen=True, kw_only=True):
    """The samples that differ, the task of both logs and the model that each of them names ("":
    lines of JSON name none), and the second log.
    """

    samples: list[Difference]
    task: str
    model: str
    model_again: str
    log_again: str


ANSWERS = (ReevaluateData,)


def _check_options(
    again: Path | None, *, is_run: bool, has_command: bool, has_folder: bool
) -> None:
    """See that one second log is named, or asked for.

    Raises:
        UsageError: it is not.
    """
    if is_run and again is not None:
        raise UsageError("AGAIN names a log, and --run makes one", hint="leave one of them out")
    if not is_run and again is None:
        raise UsageError(
            "there is nothing to compare with",
            hint="name a second log, or make the evaluation again: --run",
        )
    if not is_run and (has_command or has_folder):
        raise UsageError("--command and --into say how to make an evaluation", hint="add --run")


def _words(log: Path, words: str | None) -> list[str]:
    """The command of the evaluation, which is shown.

    Raises:
        UsageError: the log names none, or the words are no command.
    """
    left_out: list[str] = []
    try:
        split = shlex.split(words) if words is not None else []
        if words is None:
            split, left_out = inspect_ai.command_of(log)
    except FaultError as error:
        hint = "name the command: --run --command COMMAND"
        raise UsageError(f"{log} {error}", hint=hint, code="bad-file") from error
    except ValueError as error:
        raise UsageError(f"--command is no command: {error}") from error
    if not split:
        raise UsageError("--command is empty")
    if left_out:
        message = f"no option takes what {log} says of: {', '.join(left_out)}"
        click.echo(printable(message), err=True)
    click.echo(printable(f"running: {shlex.join(split)}"), err=True)
    return split


def _new_folder(log: Path) -> Path:
    """A name that no folder here has yet, for the second log."""
    names = (f"{log.stem}.again-{number}" for number in itertools.count(1))
    return next(Path(name) for name in names if not os.path.lexists(name))


def _read(path: Path) -> Answers:
    """The answers in a log.

    Raises:
        UsageError: it cannot be read as one, or holds no sample.
    """
    try:
        answers = samples.read_answers(path)
    except FaultError as error:
        raise UsageError(f"{path} {error}", code="bad-file") from error
    if not answers.samples:
        raise UsageError(f"{path} holds no sample", code="bad-file")
    return answers


def _line(difference: Difference) -> str:
    """One question that was answered otherwise the second time: `q12, epoch 1: 'A', then 'B'`."""
    first, second = _shown(difference.first), _shown(difference.second)
    also = " (scored otherwise)" if difference.is_of_score else ""
    return f"{difference.id}, epoch {difference.epoch}: {first}, then {second}{also}"


def _shown(answered: str | None) -> str:
    """An answer in quotes; None: the question was not asked."""
    return "not asked" if answered is None else repr(answered)
