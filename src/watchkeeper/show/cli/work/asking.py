"""On a terminal, what run logs want and nobody has said is asked at an experiment's first start,
and never again there.
"""

from __future__ import annotations

import sys

import click

from watchkeeper.core import layout
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.watch.logs.said import MODE, MODES, Said


def answers(experiment: Experiment, said: Said) -> Said | None:
    """The answers to what is open, "" where Enter left it so; None where nothing was asked."""
    if (
        not (sys.stdin.isatty() and sys.stderr.isatty())
        or (experiment.folder / layout.OURS).exists()
    ):
        return None
    several = len({item.run for item in experiment.items}) > 1
    found = Said(
        mode="" if said.mode else _mode("experiment" if experiment.summary else ""),
        objective=""
        if said.objective or experiment.question
        else _line("What are these runs to verify or test?"),
        dataset="" if said.dataset or experiment.dataset else _line("Which dataset do they use?"),
        group="" if said.group else _group(experiment.name if several else ""),
    )
    return found


def _mode(default: str) -> str:
    while True:
        words = _line(f"What kind of runs are these: {MODES}?", default or "pending")
        if not words or MODE.fullmatch(words):
            return words
        click.echo(f"  {words!r} is none of: {MODES}", err=True)


def _group(default: str) -> str:
    if default:
        where = f"run_logs/{default}"
    else:
        where = "run_logs/ itself"
    return _line("In which folder of run_logs/ do their logs go?", where)


def _line(question: str, default: str = "pending") -> str:
    words = click.prompt(
        f"{question} (Enter: {default})",
        default="",
        show_default=False,
        prompt_suffix=" ",
        err=True,
    )
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
