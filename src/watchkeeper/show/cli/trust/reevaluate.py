"""`watchkeeper checkpoint reevaluate`: two evaluations of one checkpoint, sample by sample."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, UsageError
from watchkeeper.publish.passport.reference.answers import Difference, differences
from watchkeeper.show.cli.answering import answer
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options
from watchkeeper.show.text import printable
from watchkeeper.tools import inspect_ai
from watchkeeper.tools.file_formats import FaultError
from watchkeeper.tools.inspect_ai import Answers


@click.command("reevaluate")
@click.argument("log", type=click.Path(path_type=Path))
@click.argument("again", type=click.Path(path_type=Path))
@page_options
@command_errors
def command(log: Path, again: Path, as_json: bool) -> int:
    """Compare two evaluations of a checkpoint, and name each sample whose answer differs. LOG and
    AGAIN are inspect-ai's logs: the one that you were given, and the one that your own evaluation
    of the same checkpoint left.

    It runs nothing: evaluate the checkpoint as its run did, then compare.

    Exit code: 0 if every answer and every score is the same; 1 if one is not; 2 if the logs are of
    different tasks, or cannot be read.

    Example: watchkeeper checkpoint reevaluate theirs.eval logs/mine.eval
    """
    first, second = _read(log), _read(again)
    if first.task != second.task:
        raise UsageError(
            f"{log} is of the task {first.task!r}, and {again} of {second.task!r}",
            hint="name two logs of the same task",
            code="other-task",
        )
    differing = differences(first, second)
    count = len({(sample.id, sample.epoch) for sample in (*first.samples, *second.samples)})
    summary = f"{first.task}: {len(differing)} of {count} samples differ"
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
            samples=differing, task=first.task, model=first.model, model_again=second.model
        ),
    )


class ReevaluateData(msgspec.Struct, frozen=True, kw_only=True):
    """The samples that differ, the task of both logs, and the model that each of them names."""

    samples: list[Difference]
    task: str
    model: str
    model_again: str


ANSWERS = (ReevaluateData,)


def _read(path: Path) -> Answers:
    """The answers in a log.

    Raises:
        UsageError: it cannot be read as one, or holds no sample.
    """
    try:
        answers = inspect_ai.read_answers(path)
    except FaultError as error:
        raise UsageError(f"{path} {error}", code="bad-file") from error
    if not answers.samples:
        raise UsageError(f"{path} holds no sample", code="bad-file")
    return answers


def _line(difference: Difference) -> str:
    first, second = _words(difference.first), _words(difference.second)
    also = " (scored otherwise)" if difference.is_of_score else ""
    return f"{difference.id}, epoch {difference.epoch}: {first}, then {second}{also}"


def _words(answered: str | None) -> str:
    return "not asked" if answered is None else repr(answered)
