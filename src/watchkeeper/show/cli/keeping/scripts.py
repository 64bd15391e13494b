"""Scripts in place of an experiment: `watchkeeper run train.sh -- --lr 1e-3`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.events import Decision, RunItem
from watchkeeper.core.state import Attempt, State, fold
from watchkeeper.experiment import tree
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.experiment.scripts import checks
from watchkeeper.experiment.scripts.call import PYTHON, ScriptCall, batch_of
from watchkeeper.experiment.scripts.records import ScriptRun
from watchkeeper.experiment.scripts.register import Register
from watchkeeper.launch.plan import Plan, is_done
from watchkeeper.launch.same_work import changed_files
from watchkeeper.report.actionlog.block_format import duration_words
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.show.cli.answering import shows_progress
from watchkeeper.show.cli.keeping.early import check_early
from watchkeeper.show.text import printable
from watchkeeper.tools.promise import path_fault

_SUFFIXES = (".sh", ".bash", ".slurm", ".sbatch", ".job", PYTHON)
_ARGUMENTS = "watchkeeper.script_arguments"
_PYTHONS = ("python", "python3")
_PYTHON_ANSWERS_S = 20.0


class ScriptCommand(click.Command):
    """A command whose last arguments, after `--`, are those of a script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with what stands after `--` set aside for `arguments_of`."""
        ctx.meta[_ARGUMENTS] = None
        if "--" in args:
            index = args.index("--")
            ctx.meta[_ARGUMENTS] = tuple(args[index + 1 :])
            args = args[:index]
        try:
            return super().parse_args(ctx, list(args))
        except click.NoSuchOption as error:
            raise _option_of_a_script(error, ctx, args) from None


def _option_of_a_script(
    error: click.NoSuchOption, ctx: click.Context, args: Sequence[str]
) -> click.UsageError:
    """The error of an unknown option; behind a script it is probably one of that script."""
    scripts = [word for word in args if word.endswith(_SUFFIXES)]
    if not scripts:
        return error
    return click.UsageError(
        f"no such option {error.option_name}; a script's own arguments follow two dashes: "
        f"{ctx.command_path} {scripts[0]} -- {error.option_name} …",
        ctx,
    )


class ScriptOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of commands that take scripts, as typed; "" and None: not given."""

    name: str = ""
    after: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    again: bool = False
    request: str = ""
    time: str = ""
    gpus: str = ""
    mem: str = ""

    @property
    def head(self) -> list[str]:
        """The `#SBATCH` options of a Python file: `["--time=1:00:00", "--gpus=1"]`."""
        options = {"time": self.time, "gpus": self.gpus, "mem": self.mem}
        return [f"--{name}={value}" for name, value in options.items() if value]

    @property
    def given(self) -> list[str]:
        """The options that were given, as they are typed. `--time` is not among them: an experiment
        has one of that name, too.
        """
        names = [f"--{name}" for name in self.__struct_fields__ if getattr(self, name)]
        return [name for name in names if name != "--time"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a command is about: the experiment in `folder`, or only the runs of some of its scripts
    (`runs`), or only those with the keys in `only`; None: all of it.
    """

    folder: Path
    runs: tuple[ScriptRun, ...] | None = None
    only: frozenset[str] | None = None

    @property
    def keys(self) -> frozenset[str] | None:
        """The keys of the runs; None: all."""
        if self.runs is None:
            return self.only
        return frozenset(run.key for run in self.runs)


def targets_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument of commands that take an experiment or scripts."""
    return click.argument(
        "paths",
        nargs=-1,
        required=True,
        metavar="EXPERIMENT | SCRIPT... [-- ARGS]",
        type=click.Path(path_type=Path),
    )(command)


def script_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of commands that take scripts, `--time` left out."""
    for option in (
        click.option(
            "--mem", default="", metavar="SIZE", help="Memory of a Python file's job, e.g. 8G."
        ),
        click.option(
            "--gpus", default="", metavar="N", help="GPUs of a Python file's job, e.g. 1 or a100:2."
        ),
        click.option(
            "--request",
            default="",
            metavar="ID",
            help="The same id is one submission and the same answer.",
        ),
        click.option(
            "--output",
            multiple=True,
            metavar="PATTERN",
            help="Files that a script must leave: it is done when they hold something; repeatable.",
        ),
        click.option("--again", is_flag=True, help="Submit the same work as a new run."),
        click.option(
            "--after",
            multiple=True,
            metavar="GLOB",
            help="Scripts: start once the runs that match are done, e.g. 'train*'; repeatable.",
        ),
        click.option("--name", default="", metavar="NAME", help="The name of a script's run."),
    ):
        command = option(command)
    return command


def take_options(options: dict[str, Any], time: str) -> ScriptOptions:
    """The options of scripts, taken out of a command's `options`."""
    names = [name for name in ScriptOptions.__struct_fields__ if name != "time"]
    return ScriptOptions(time=time, **{name: options.pop(name) for name in names})


def is_folder_named(paths: Sequence[Path]) -> bool:
    """Whether the command is about an experiment's folder: one path, which is a folder, or is not
    there and does not look like a script.
    """
    (first, *others) = paths
    if others:
        return False
    return first.is_dir() or not (first.exists() or first.suffix in _SUFFIXES)


def target_of(context: click.Context, paths: Sequence[Path], options: ScriptOptions) -> Target:
    """What the command is about; scripts are recorded as runs of their folder.

    Raises:
        UsageError: the scripts or their options cannot be used; nothing was recorded.
    """
    if is_folder_named(paths):
        _refuse_script_options(paths[0], options, context.meta[_ARGUMENTS])
        return Target(folder=paths[0])
    calls = calls_of(paths, options, arguments_of(context))
    folder = calls[0].path.parent
    check_early(folder, [call.key for call in calls], context.params)
    for call in calls:
        show_batch(call)
    register = Register(folder)
    runs = [register.enter(call, again=options.again, request=options.request) for call in calls]
    return Target(folder=folder, runs=tuple(runs))


def arguments_of(context: click.Context) -> tuple[str, ...]:
    """The arguments of the script; () for none."""
    return context.meta[_ARGUMENTS] or ()


def calls_of(
    paths: Sequence[Path], options: ScriptOptions, args: Sequence[str]
) -> list[ScriptCall]:
    """The scripts as they were named, checked.

    Raises:
        UsageError: one is no script, two have one name, or an option does not fit.
    """
    whole = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - a link keeps its name
    checks.folder_of(whole)
    if options.name and len(whole) > 1:
        raise UsageError(
            f"--name {options.name} is one name, and {len(whole)} scripts were given",
            hint="submit them one after another",
        )
    needs = _needs(whole[0].parent, options)
    calls = [_call_of(path, options, tuple(args), needs) for path in dict.fromkeys(whole)]
    keys: dict[str, Path] = {}
    for call in calls:
        other = keys.setdefault(call.key, call.path)
        if other != call.path:
            raise UsageError(
                f"{other.name} and {call.path.name} would both be the run {call.key!r}",
                hint="submit them one after another, one of them with --name NAME",
            )
    return calls


def _checked_outputs(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns of `--output`, as they are.

    Raises:
        UsageError: one is empty, holds `**`, or begins with `~` or `$`.
    """
    for pattern in patterns:
        fault = path_fault(pattern)
        if fault:
            raise UsageError(
                f"--output {pattern}: {fault}",
                hint="write a path relative to this folder, or an absolute one",
            )
    return patterns


def _call_of(
    path: Path, options: ScriptOptions, args: tuple[str, ...], needs: tuple[str, ...]
) -> ScriptCall:
    """One script as it was named. A Python file gets a batch script around it, with the Python that
    is active and the options that only such a file takes.

    Raises:
        UsageError: an option does not fit the file.
    """
    batch = ""
    if path.suffix == PYTHON:
        batch = batch_of(path, _python(), options.head)
        _check_head(batch)
    elif options.head:
        raise UsageError(
            f"{' '.join(options.head)} is for Python files, and {path.name} has a head of its own",
            hint=f"write it into {path.name}: #SBATCH {options.head[0]}",
        )
    return ScriptCall(
        path=path,
        workdir=Path.cwd(),
        args=args,
        name=options.name,
        batch=batch,
        needs=needs,
        outputs=_checked_outputs(options.output),
    )


def _check_head(batch: str) -> None:
    """Refuse a batch script whose `#SBATCH` lines cannot be read, such as `--time=soon`.

    Raises:
        UsageError: with the first fault.
    """
    errors = [one for one in read_head(batch.encode()).problems if one.severity == "error"]
    if errors:
        raise UsageError(errors[0].message, hint=errors[0].hint)


def _python() -> str:
    """The Python that is active where the command was typed; ours where there is none."""
    for name in _PYTHONS:
        path = shutil.which(name)
        if path is not None:
            return _named_by(path) or path
    return sys.executable


def _named_by(path: str) -> str:
    """What a Python says that it is: a shim's answer depends on the folder. "": it did not say."""
    try:
        done = subprocess.run(
            [path, "-c", "import sys; print(sys.executable)"],
            capture_output=True,
            text=True,
            timeout=_PYTHON_ANSWERS_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _refuse_script_options(
    folder: Path, options: ScriptOptions, args: tuple[str, ...] | None
) -> None:
    """Refuse options of scripts beside an experiment's folder. `args` None: no `--` was typed.

    Raises:
        UsageError: one was given.
    """
    given = options.given
    if args is not None:
        given.append("--")
    if given:
        raise UsageError(
            f"{given[0]} is for scripts, and {folder} names an experiment",
            hint="name the script itself",
        )


def _needs(folder: Path, options: ScriptOptions) -> tuple[str, ...]:
    """The runs that `--after` names, of the experiment in the folder.

    Raises:
        UsageError: one of its globs matches none.
    """
    if not options.after:
        return ()
    from watchkeeper.experiment import experiment as experiments

    known: list[str] = []
    if tree.is_experiment(folder):
        items = experiments.read(folder).items
        known = [item.key for item in items if item.phase == "preparation"]
    needs: list[str] = []
    for glob in options.after:
        matching = [key for key in known if fnmatchcase(key, glob)]
        if not matching:
            listed = ", ".join(known[:8]) or "none yet"
            raise UsageError(
                f"--after {glob} matches no run of {folder}", hint=f"its runs: {listed}"
            )
        needs += matching
    return tuple(dict.fromkeys(needs))


# ── what is said of scripts that were submitted before


def remarks(experiment: Experiment, target: Target, plan: Plan) -> Iterator[Problem]:
    """A note on each script that is under way or done, and on what changed since. None on one that
    the experiment does not have any more.
    """
    state = fold(journal.read(experiment.folder / layout.JOURNAL).events)
    decisions = {decision.key: decision for decision in plan.decisions}
    items = {item.key: item for item in experiment.items}
    for run in target.runs or ():
        item = items.get(run.key)
        if item is not None:
            yield from _remarks_on(experiment, item, decisions[run.key], state)


def _remarks_on(
    experiment: Experiment, item: RunItem, decision: Decision, state: State
) -> Iterator[Problem]:
    """The notes on one run; none before its first attempt."""
    latest = state.run(item.key).latest
    if latest is None:
        return
    if decision.action == "active":
        yield _note(item.key, f"under way: {_job_words(latest)}")
    elif is_done(decision):
        hint = "--again submits it as a new run"
        yield _note(item.key, f"done: {_job_words(latest)}", hint)
    if latest.intended is not None and decision.action in ("active", "skip", "blocked"):
        changed = changed_files(experiment, item, latest.intended)
        if changed:
            yield _note(item.key, f"changed since it was submitted: {', '.join(changed)}")


def _note(key: str, message: str, hint: str = "") -> Problem:
    """A note: a finding that needs nothing done."""
    return Problem(where=key, message=message, hint=hint, severity="note", code="bad-script")


def _job_words(latest: Attempt) -> str:
    """`job 17, COMPLETED 2026-03-11 15:02 UTC after 12 min`."""
    words = latest.state or "not submitted yet"
    if latest.job_id:
        words = f"job {latest.job_id}, {words}"
    if latest.judged is None:
        return words
    words += f" {latest.judged.time:%Y-%m-%d %H:%M} UTC"
    if latest.judged.elapsed_s is not None:
        words += f" after {duration_words(latest.judged.elapsed_s)}"
    return words


def show_batch(call: ScriptCall) -> None:
    """Show the batch script that runs a Python file."""
    if not call.batch or not shows_progress():
        return
    lines = [f"    {printable(line)}" for line in call.batch.splitlines()]
    click.echo("\n".join([f"{call.path.name} runs as:", *lines]), err=True)


def problems_about(experiment: Experiment, target: Target) -> tuple[Problem, ...]:
    """The problems of the experiment that concern the scripts; all, where all of it is meant."""
    if target.runs is None:
        return experiment.problems
    places = {str(experiment.folder / run.script) for run in target.runs}
    places |= {run.script for run in target.runs}
    return tuple(one for one in experiment.problems if one.where.split(":")[0] in places)
