"""The command line: one file per command, imported only when it is called."""

from __future__ import annotations

import functools
import gc
import importlib
import io
import sys
from collections.abc import Sequence
from typing import Any

import click

from watchkeeper.core.disk import standard_streams
from watchkeeper.core.version import __version__

# name → its one line in `watchkeeper --help`, so that help imports no command.
COMMANDS = {
    "init": "A first summary for the scripts that are there, or for a sweep.",
    "run": "The main job: train, verify, evaluate, validate; continue where it stood.",
    "plan": "What would be submitted, and why each other thing is not.",
    "submit": "Submit what is ready, and leave.",
    "resume": "Go on from the newest complete checkpoint.",
    "watch": "Watch what was submitted until it has ended.",
    "status": "One look at where an experiment stands.",
    "ls": "What is there: runs below folders, and which of them.",
    "top": "What runs now, and what happened: live.",
    "serve": "The same in a browser, live.",
    "du": "What runs and checkpoints take, and what of it nothing needs.",
    "compare": "Runs side by side: settings, code, data, figures.",
    "report": "A page as one file, to pass on or to print.",
    "export": "The metric rows of recorded runs as one table in a file.",
    "wandb sync": "Offline runs of W&B to a server, and whether they arrived.",
    "import": "Runs that W&B left on this disk, as recorded runs.",
    "trace": "Where a figure comes from, back to the commit.",
    "reproduce": "The code, configuration and environment of a run again.",
    "tag": "Give a run tags, or take them away.",
    "note": "Write a line about a run.",
    "rm": "Put recorded runs away, into a trash beside them.",
    "cancel": "Ask the scheduler to end jobs.",
    "exec": "Any command as a recorded run.",
    "log": "The events of a journal, as text.",
    "doctor": "Is this machine or cluster fit.",
    "check": "Verify a journal, its views and the evidence.",
    "rebuild": "Make the views again from the journal.",
    "lint": "Run logs against the rules.",
    "checkpoint keygen": "Make a key to sign checkpoints with.",
    "checkpoint manifest": "Write down a checkpoint's files, sizes and hashes.",
    "checkpoint verify": "Compare a checkpoint with its manifest.",
    "checkpoint sign": "Vouch for a checkpoint whose checks hold.",
    "checkpoint validate": "Check a checkpoint, its passport and its sign-off.",
    "checkpoint passport": "Write down what a checkpoint is, and check it.",
    "checkpoint replay": "The reference forward pass again, against what was recorded.",
    "checkpoint reevaluate": "Name each sample whose answer differs between two evaluations.",
    "publish stage": "Make a package of a checkpoint, without what is private.",
    "publish check": "Check a package: whole, signed, and nothing private in it.",
    "publish upload": "A package to the Hugging Face Hub, and whether it arrived.",
    "publish download": "A package from the Hub, verified before it gets its name.",
    "publish open": "Open one hidden field of a package's events.",
}

# The folder of each command's module: commands are grouped by what people do.
_FOLDERS = {
    "init": "work",
    "run": "work",
    "plan": "work",
    "submit": "work",
    "watch": "work",
    "resume": "work",
    "cancel": "work",
    "exec": "work",
    "reproduce": "work",
    "status": "look",
    "ls": "look",
    "du": "look",
    "top": "look",
    "serve": "look",
    "compare": "look",
    "report": "look",
    "export": "look",
    "trace": "look",
    "log": "look",
    "tag": "words",
    "note": "words",
    "import": "exchange",
    "wandb sync": "exchange",
    "rm": "words",
    "check": "verify",
    "lint": "verify",
    "doctor": "verify",
    "rebuild": "verify",
    "checkpoint keygen": "trust",
    "checkpoint manifest": "trust",
    "checkpoint verify": "trust",
    "checkpoint sign": "trust",
    "checkpoint validate": "trust",
    "checkpoint passport": "trust",
    "checkpoint replay": "trust",
    "checkpoint reevaluate": "trust",
    "publish stage": "publish",
    "publish check": "publish",
    "publish upload": "publish",
    "publish download": "publish",
    "publish open": "publish",
}


# A group → its line in `watchkeeper --help`. The name of a command in it is `GROUP COMMAND`.
GROUPS: dict[str, str] = {
    "checkpoint": "What a checkpoint is, and who vouched for it.",
    "wandb": "Runs of W&B, sent safely.",
    "publish": "A package of a run, from which nothing private leaves.",
}


# Commands whose module holds the options alone, so that `--help` costs no more than they do: what
# the command does is a module of the same name in `bodies/`, imported when the command is called.
_WITH_BODIES = frozenset({
    "plan", "status", "ls", "du", "top", "compare", "export", "trace", "log",
})  # fmt: skip


def module_of(name: str) -> str:
    """The module of a command, by its name: it has the options."""
    return f"{_folder_of(name)}.{name.rsplit(maxsplit=1)[-1]}"


def body_of(name: str) -> str:
    """The module of what a command does, by its name: it has `ANSWERS`, the kinds of its answer."""
    if name in _WITH_BODIES:
        return f"{_folder_of(name)}.bodies.{name}"
    return module_of(name)


def _folder_of(name: str) -> str:
    """The package that holds the module of a command, by the command's name."""
    return f"watchkeeper.show.cli.{_FOLDERS[name]}"


_FLAGS_OF_EXEC = ("--json", "--end-stalled", "--open", "-q", "--quiet")


def _options_of_exec(words: list[str]) -> list[str]:
    """The words before the program that is to be run: an option that is no flag takes the next."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        takes_the_next = words[at] not in _FLAGS_OF_EXEC and "=" not in words[at]
        at += 2 if takes_the_next else 1
    return words[:at]


class LazyGroup(click.Group):
    """A group whose commands live in a module each. `group` is its name, "" for the program."""

    def __init__(self, *args: Any, group: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._group = group

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line as click does. What click itself refuses is answered in JSON where
        `--json` is among the options.
        """
        words = list(sys.argv[1:] if args is None else args)
        code: Any
        run = functools.partial(super().main, words, prog_name, complete_var, obj=words, **extra)
        if not standalone_mode or not self._is_json_wanted(words):
            return run(standalone_mode=standalone_mode)
        try:
            code = run(standalone_mode=False)
        except (click.ClickException, click.Abort) as error:
            from watchkeeper.show.cli.answering import answer_refusal  # not for --help

            code = answer_refusal(error, words)
        sys.exit(code)

    def _is_json_wanted(self, words: list[str]) -> bool:
        """Whether `--json` is an option of Watchkeeper: it stands before `--`, and before the
        program that `exec` starts.
        """
        if "--" in words:
            words = words[: words.index("--")]
        if words[:1] == ["exec"]:
            words = _options_of_exec(words[1:])
        return "--json" in words

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of a working day."""
        return list(self._lines())

    def _lines(self) -> dict[str, str]:
        """The name of each command and group here → its line of help."""
        if self._group:
            return {
                name.removeprefix(f"{self._group} "): line
                for name, line in COMMANDS.items()
                if name.startswith(f"{self._group} ")
            }
        lines = {name: line for name, line in COMMANDS.items() if " " not in name}
        return lines | GROUPS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None if there is none of this name."""
        name = f"{self._group} {cmd_name}".strip()
        if name in GROUPS:
            return LazyGroup(cmd_name, group=name, help=GROUPS[name])
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(module_of(name)).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command named when there is none."""
        if args and self.get_command(ctx, args[0]) is None:
            import difflib

            # A slip of the finger is not to end with what takes a run away.
            harmless = [name for name in self._lines() if name != "rm"]
            near = difflib.get_close_matches(args[0], harmless, n=1)
            raise click.UsageError(
                f"no such command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
                ctx,
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines().items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="watchkeeper")
def main() -> None:
    """Submits each job once, watches it by evidence, writes down everything, and never loses a row.

    Example: watchkeeper run examples/digits
    """
    standard_streams.fill()
    # Thousands of runs are a million small values, which a collector would walk again and again.
    gc.set_threshold(100_000, 50, 50)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a name may hold bytes that no encoding has
