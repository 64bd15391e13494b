"""What the commands share: options, errors as people see them, and JSON as programs do."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK, ExperimentError, Problem, WatchkeeperError
from watchkeeper.core.text import odd_bytes
from watchkeeper.show.text import harmless_json, printable

experiment_argument = click.argument("experiment", type=click.Path(path_type=Path))
cluster_option = click.option(
    "--cluster",
    metavar="NAME",
    help="Jobs run on this cluster of watchkeeper.toml. Default: this machine.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the exact commands and do nothing."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on standard output."
)


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose work: `--runs`, `--evals`, `--retry-failed`, `--queue-ahead`,
    `--gate`.
    """
    for option in (
        click.option(
            "--gate",
            type=click.Choice(["all", "each"]),
            help=(
                "Evaluations wait for all fine-tunes (the default), or each for its own checkpoint."
            ),
        ),
        click.option(
            "--queue-ahead",
            is_flag=True,
            default=None,
            help="Submit evaluations before their fine-tunes have ended; they wait in the queue.",
        ),
        click.option("--retry-failed", is_flag=True, help="Retry what failed before."),
        click.option(
            "--evals", metavar="GLOB", help="Only evaluations whose key matches, e.g. '*/clean/*'."
        ),
        click.option(
            "--runs", metavar="GLOB", help="Only runs whose name matches, and their evaluations."
        ),
    ):
        command = option(command)
    return command


def run_log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the run logs are to say: `--mode`, `--objective`, `--task`, `--group`, `--dataset`,
    `--set`, `--continue`.
    """
    for option in (
        click.option(
            "--continue",
            "log",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            metavar="LOG",
            help="Run logs: continue this log of one run, also one that someone else started.",
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="TEXT",
            help="Run logs: a key setting, e.g. 'lr 1e-3'.",
        ),
        click.option(
            "--dataset",
            default="",
            metavar="TEXT",
            help="Run logs: the dataset, where the summary names none.",
        ),
        click.option(
            "--group",
            default="",
            metavar="NAME",
            help="Run logs: their folder. Default: the experiment's name.",
        ),
        click.option(
            "--task",
            default="",
            metavar="NAME",
            help="Run logs: the task in the name of one run's log.",
        ),
        click.option(
            "--objective",
            default="",
            metavar="TEXT",
            help="Run logs: what the run verifies or tests.",
        ),
        click.option(
            "--mode",
            default="",
            metavar="TYPE",
            help="Run logs: replication, experiment or 'pipeline (kind)'.",
        ),
    ):
        command = option(command)
    return command


def fail(
    message: str, hint: str = "", code: int = 1, problems: tuple[Problem, ...] = ()
) -> NoReturn:
    """Say what went wrong and what to do, and exit."""
    click.echo(f"watchkeeper: {printable(message)}", err=True)
    for problem in problems:
        click.echo(f"  {printable(str(problem))}", err=True)
    if hint:
        click.echo(f"  {printable(hint)}", err=True)
    sys.exit(code)


def command_errors(function: Callable[..., int]) -> Callable[..., None]:
    """Run a command's function: its result is the exit code, and errors become a message, never a
    traceback.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            sys.exit(function(*args, **kwargs))
        except ExperimentError as error:
            fail(str(error), error.hint, error.exit_code, error.problems)
        except WatchkeeperError as error:
            fail(str(error), error.hint, error.exit_code)
        except BrokenPipeError:
            # The reader (`| head`) has what it wanted.
            sys.stderr.close()
            sys.exit(EXIT_OK)
        except OSError as error:
            fail(
                f"{error.filename or 'the system'}: {error.strerror or error}",
                "check the path, its owner and its mode",
            )

    return wrapped


def echo_json(value: Any) -> None:
    """Print one JSON document."""
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:
        data = msgspec.json.encode(odd_bytes.plain(value))
    click.echo(harmless_json(msgspec.json.format(data, indent=2).decode()))


def echo_problems(problems: tuple[Problem, ...]) -> None:
    """Findings about the user's data, on standard error."""
    for problem in problems:
        click.echo(printable(str(problem)), err=True)
