"""Ask on a terminal, at an experiment's first start only, for what its run logs lack."""

from __future__ import annotations

import sys

import click

from watchkeeper.core import layout
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.watch.logs.said import MODE, MODES, Said


def answers(experiment: Experiment, said: Said) -> Said | None:
    """Ask for what is still open.

    None: nothing was asked, since this is no terminal or not the experiment's first start. ""
    as an answer: Enter left it open.
    """
    on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    has_begun = (experiment.folder / layout.OURS).exists()
    if not on_terminal or has_begun:
        return None
    return Said(
        mode=_ask_mode(experiment, said),
        objective=_ask_objective(experiment, said),
        dataset=_ask_dataset(experiment, said),
        group=_ask_group(experiment, said),
    )


def _ask_mode(experiment: Experiment, said: Said) -> str:
    """The kind of the runs, one of MODES; "": it was said before, or Enter left it open."""
    if said.mode:
        return ""
    default = ""
    if experiment.summary:
        default = "experiment"
    return _mode(default)


def _ask_objective(experiment: Experiment, said: Said) -> str:
    """What the runs are to test; "": it was said before, or stands in the summary."""
    if said.objective or experiment.question:
        return ""
    return _line("What are these runs to verify or test?")


def _ask_dataset(experiment: Experiment, said: Said) -> str:
    """The dataset that the runs use; "": it was said before, or stands in the summary."""
    if said.dataset or experiment.dataset:
        return ""
    return _line("Which dataset do they use?")


def _ask_group(experiment: Experiment, said: Said) -> str:
    """The folder of `run_logs/` for their logs. Several runs are offered a folder named like the
    experiment, a single one `run_logs/` itself.
    """
    if said.group:
        return ""
    runs = {item.run for item in experiment.items}
    default = ""
    if len(runs) > 1:
        default = experiment.name
    return _group(default)


def _mode(default: str) -> str:
    """Ask for a mode until the answer is one, or Enter. `default` is what Enter is said to mean."""
    while True:
        words = _line(f"What kind of runs are these: {MODES}?", default or "pending")
        if not words or MODE.fullmatch(words):
            return words
        click.echo(f"  {words!r} is none of: {MODES}", err=True)


def _group(default: str) -> str:
    """Ask for a folder of `run_logs/`. `default`: its name, "" for `run_logs/` itself."""
    if default:
        where = f"run_logs/{default}"
    else:
        where = "run_logs/ itself"
    return _line("In which folder of run_logs/ do their logs go?", where)


def _line(question: str, default: str = "pending") -> str:
    """The answer on one line, without what cannot be printed; "" for Enter. `default` is only
    shown: whoever asked puts it in.
    """
    words = click.prompt(
        f"{question} (Enter: {default})",
        default="",
        show_default=False,
        prompt_suffix=" ",
        err=True,
    )
    printable = [letter if letter.isprintable() else " " for letter in words]
    return " ".join("".join(printable).split())
