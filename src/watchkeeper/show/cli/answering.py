"""How a command answers: an envelope for programs with `--json`, plain text for people."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import click
import msgspec

from watchkeeper.core.criteria import Standing as Expectation
from watchkeeper.core.errors import (
    EXIT_FAILED,
    EXIT_OK,
    BusyError,
    ExperimentError,
    Problem,
    UnavailableError,
    UsageError,
    WatchkeeperError,
)
from watchkeeper.core.text import redaction
from watchkeeper.show.cli.options import JSON, PAGE, QUIET
from watchkeeper.show.envelope import PROGRAM, Answer, Page, line_of
from watchkeeper.show.text import printable

_PROBLEMS = "watchkeeper.problems"
_ANSWERED = "watchkeeper.answered"
# Of errors that the system gives; any other is "system".
_CODES_OF_THE_SYSTEM = {
    FileNotFoundError: "not-found",
    FileExistsError: "exists",
    PermissionError: "permission-denied",
    NotADirectoryError: "not-a-folder",
    IsADirectoryError: "not-a-file",
}


_MOST_ALIKE = 20
"""Problems of one severity and code that a terminal is shown: a plan of 11,200 runs without scripts
has 11,200 of them.
"""


def echo_problems(problems: Iterable[Problem]) -> None:
    """Say findings about the user's data: on standard error, without the notes where `--quiet` is
    given, or with `--json` in the answer. Of many of one kind the first are said, and how many more
    there are.
    """
    meta = click.get_current_context().meta
    if meta.get(JSON):
        meta.setdefault(_PROBLEMS, []).extend(problems)
        return
    kinds: Counter[tuple[str, str]] = Counter()
    for problem in problems:
        if problem.severity == "note" and is_quiet():
            continue
        kind = (problem.severity, problem.code)
        kinds[kind] += 1
        if kinds[kind] <= _MOST_ALIKE:
            click.echo(printable(str(problem)), err=True)
    for (severity, code), count in kinds.items():
        if count > _MOST_ALIKE:
            more = count - _MOST_ALIKE
            words = f"{severity}: and {more} more {code}".rstrip()
            click.echo(f"{words}: --json --limit 0 has all", err=True)


def echo_expectations(expected: Iterable[Expectation]) -> None:
    """Say of each criterion that was stated what came of it."""
    for one in expected:
        say(printable(f"Expected {one.words}"))


def is_quiet() -> bool:
    """Whether only the result is to be printed."""
    return bool(click.get_current_context().meta.get(QUIET))


def shows_progress() -> bool:
    """Whether standard error may say how far the command is: not with `--json` or `--quiet`."""
    return not is_quiet() and not click.get_current_context().meta.get(JSON)


def is_whole() -> bool:
    """Whether all of a list is asked for, with `--limit 0`."""
    return click.get_current_context().meta.get(f"{PAGE}.limit") == 0


def say(text: str) -> None:
    """Print what surrounds the result: nothing with `--quiet`."""
    if not is_quiet():
        click.echo(text)


def answer(
    exit_code: int,
    *,
    summary: str,
    data: Any,
    counts: Mapping[str, int] | None = None,
    problems: Sequence[Problem] = (),
    more_from: Sequence[str] | None = None,
    again: bool = False,
    beside: tuple[str, ...] = (),
    left_out: Mapping[str, int] | None = None,
) -> int:
    """Print the envelope of the command that is running, and return its exit code. The problems
    that `echo_problems` was given come first.

    `data` is a struct or a mapping, its first list the one that the answer is about. `more_from`
    are the words after `watchkeeper` of the command that has the rest of its lists, for a command
    that acts and cannot be asked again; `again`: it has no cursor, but does nothing and can be
    asked for all of it. `beside`: lists of `data` that stand beside it as well.
    `left_out`: what else was left out of `data`, by name → how many; `--limit 0` has it.

    Raises:
        UsageError: `--cursor` names no list of this answer.
    """
    context = click.get_current_context()
    words = None
    if more_from is not None:
        words = (PROGRAM, *more_from)
    elif again or _takes_a_cursor(context.command):
        words = _own_words(context)
    _print(
        Answer(
            command=_name_of(context),
            exit_code=exit_code,
            summary=summary,
            counts=counts or {},
            problems=[*context.meta.get(_PROBLEMS, ()), *problems],
            data=data,
            words=words,
            has_cursor=not again,
            beside=beside,
            left_out=left_out or {},
        ),
        context,
    )
    return exit_code


def end_with(work: Callable[[], int], as_json: bool) -> NoReturn:
    """Do the work of a command, and exit with its code, or with what its error means."""
    try:
        _refuse_a_page_of_text()
        code = work()
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted.
        sys.stderr.close()
        code = EXIT_OK
    except (WatchkeeperError, OSError) as error:
        fail(error, as_json=as_json)
    except Exception as error:
        if as_json:
            _answer_failure(EXIT_FAILED, [Problem(where="", message=repr(error), code="bug")])
        raise
    sys.exit(code)


def _refuse_a_page_of_text() -> None:
    """Refuse `--limit` and `--cursor` where the answer has no lists that they could cut.

    Raises:
        UsageError: one of them was given without `--json`.
    """
    meta = click.get_current_context().meta
    if meta.get(JSON):
        return
    for name in ("limit", "cursor"):
        value = meta.get(f"{PAGE}.{name}")
        if value is not None:
            raise UsageError(f"--{name} {value} is for --json", hint="add --json, or leave it out")


def fail(error: WatchkeeperError | OSError, *, as_json: bool) -> NoReturn:
    """Say what went wrong and what to do, and exit."""
    problems = problems_of(error)
    code = EXIT_FAILED
    if isinstance(error, WatchkeeperError):
        code = error.exit_code
    if as_json and _answer_failure(code, problems):
        sys.exit(code)
    first, *others = problems
    click.echo(f"{PROGRAM}: {printable(first.message)}", err=True)
    for problem in others:
        click.echo(f"  {printable(str(problem))}", err=True)
    if first.hint:
        click.echo(f"  {printable(first.hint)}", err=True)
    sys.exit(code)


def problems_of(error: WatchkeeperError | OSError) -> list[Problem]:
    """The error as a problem, and those that it carries."""
    if isinstance(error, OSError):
        return [
            Problem(
                where=str(error.filename or ""),
                message=f"{error.filename or 'the system'}: {error.strerror or error}",
                hint="check the path, its owner and its mode",
                code=_CODES_OF_THE_SYSTEM.get(type(error), "system"),
            )
        ]
    again = error.next
    if again is None and isinstance(error, BusyError | UnavailableError):
        again = _own_words(click.get_current_context())
    first = Problem(where="", message=str(error), hint=error.hint, code=error.code, next=again)
    if isinstance(error, ExperimentError):
        return [first, *error.problems]
    return [first]


def answer_refusal(error: click.ClickException | click.Abort, words: Sequence[str]) -> int:
    """Print the envelope of a command line that click refuses, or of a command that was
    interrupted, and return the exit code. `words` are those after the program's name.
    """
    context = getattr(error, "ctx", None)
    name = ""
    if context is not None and context.parent is not None:
        name = _name_of(context)
    elif isinstance(error, click.Abort) and words:
        name = words[0]
    where = f"{PROGRAM} {name}".rstrip()
    if isinstance(error, click.Abort):
        code = EXIT_FAILED
        problem = Problem(where=where, message="interrupted", code="interrupted")
    else:
        code = error.exit_code
        hint = f"`{where} --help` shows how it is called"
        if not name and "--json" in words[:1]:
            hint = "--json goes after the command: watchkeeper status --json"
        problem = Problem(
            where=where,
            message=error.format_message(),
            hint=hint,
            code="usage",
            next=(*where.split(), "--help"),
        )
    click.echo(line_of(_failure(name, code, [problem])))
    return code


def _answer_failure(code: int, problems: Sequence[Problem]) -> bool:
    """Print the envelope of a failure. False: the command has answered, or tried to."""
    context = click.get_current_context()
    if context.meta.get(_ANSWERED):
        return False
    name = _name_of(context)
    placed = [_with_place(problem, f"{PROGRAM} {name}") for problem in problems]
    placed += context.meta.get(_PROBLEMS, ())
    context.meta.pop(f"{PAGE}.cursor", None)
    _print(_failure(name, code, placed), context)
    return True


def _failure(name: str, code: int, problems: Sequence[Problem]) -> Answer:
    """The answer of a command that failed; the first of the problems, of which there is one, is its
    summary.
    """
    return Answer(
        command=name,
        exit_code=code,
        summary=problems[0].message,
        counts={},
        problems=problems,
        data=None,
    )


def _print(said: Answer, context: click.Context) -> None:
    """Print an answer on one line, the page of it that was asked for. There is one answer for a
    command.
    """
    page = Page(
        limit=context.meta.get(f"{PAGE}.limit"), cursor=context.meta.get(f"{PAGE}.cursor") or ""
    )
    line = line_of(said, page)
    context.meta[_ANSWERED] = True
    click.echo(line)


def _with_place(problem: Problem, place: str) -> Problem:
    """A problem with the place, where it names none itself."""
    if problem.where:
        return problem
    return msgspec.structs.replace(problem, where=place)


def _name_of(context: click.Context) -> str:
    """The command's name as it is typed after the program's: `status`, `checkpoint verify`."""
    name = str(context.info_name)
    group = context.parent
    while group is not None and group.parent is not None:
        name = f"{group.info_name} {name}"
        group = group.parent
    return name


def _takes_a_cursor(command: click.Command) -> bool:
    """Whether a command's answer comes in pages."""
    return any(parameter.name == "cursor" for parameter in command.params)


def _own_words(context: click.Context) -> tuple[str, ...]:
    """The command line that is running, without its cursor, and without secrets among a script's
    arguments.
    """
    words = [PROGRAM, *(context.find_root().obj or _name_of(context).split())]
    kept = []
    for before, word in pairwise(["", *words]):
        if "--cursor" not in (before, word) and not word.startswith("--cursor="):
            kept.append(word)
    return tuple(redaction.redact_words(kept))
