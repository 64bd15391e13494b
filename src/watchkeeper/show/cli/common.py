"""The arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

experiment_argument = click.argument("experiment", type=click.Path(path_type=Path))
cluster_option = click.option(
    "--cluster",
    metavar="NAME",
    help="Jobs run on this cluster of watchkeeper.toml. Default: this machine.",
)
verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="On a terminal a line for each event, as in a file, and not one picture that is renewed.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the exact commands and do nothing."
)

keep_going_option = click.option(
    "--keep-going",
    is_flag=True,
    help="Keep submitting even if the first jobs all fail by one cause.",
)
allow_unsigned_option = click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Use checkpoints from elsewhere also where nobody has signed them; it is recorded.",
)
budget_option = click.option(
    "--budget",
    default="",
    metavar="LIMITS",
    help="Submit nothing more once the experiment has used this: gpu=40h, jobs=200, or both.",
)
expect_option = click.option(
    "--expect",
    "expect",
    multiple=True,
    metavar="CRITERION",
    help="What evaluations are to report, stated before the first is submitted: 'accuracy >= 0.9'.",
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
    ):
        command = option(command)
    return glob_options(command)


def glob_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose runs and evaluations by name: `--runs`, `--evals`."""
    for option in (
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
