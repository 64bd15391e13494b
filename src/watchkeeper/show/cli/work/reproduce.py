"""`watchkeeper reproduce`: what a run was submitted with, and the same again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from watchkeeper.core.code import git
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, Problem
from watchkeeper.launch import reproduce
from watchkeeper.launch.reproduce import Part, Recipe, Restored, Submodule
from watchkeeper.query.trace.of_experiment import attempt_of
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.common import experiment_argument
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.text import printable


@click.command("reproduce")
@experiment_argument
@click.argument("run")
@click.option(
    "--attempt",
    type=click.IntRange(min=1),
    metavar="N",
    help="This attempt. Default: the last one submitted.",
)
@click.option(
    "--worktree",
    "target",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Make it there; DIR must not exist yet.",
)
@answer_options
@command_errors
def command(
    experiment: Path, run: str, attempt: int | None, target: Path | None, as_json: bool
) -> int:
    """Show what a run was submitted with (commit, uncommitted changes, script, configurations,
    environment, command), or restore it in a separate worktree. Your working tree is never written
    to.

    RUN is the name of a run or the key of an evaluation, as `status` and the logs show it. Exit
    code: 1 if a part is missing.

    Example: watchkeeper reproduce examples/digits h64_lr1e-1 --worktree ../again
    """
    folder, found = attempt_of(experiment, run, attempt)
    recipe = reproduce.recipe(folder, found)
    if target is not None:
        restored = reproduce.restore(recipe, target)
    else:
        restored = None
    code = EXIT_FAILED if recipe.faults else EXIT_OK
    if as_json:
        return answer(
            code,
            summary=_summary(recipe, restored),
            counts={"missing": len(recipe.faults)},
            problems=[
                Problem(where=recipe.key, message=fault, code="part-missing")
                for fault in recipe.faults
            ],
            data=ReproduceData(recipe=recipe, restored=restored),
            again=restored is None,
        )
    if is_quiet():
        _show_result(recipe, restored)
        return code
    for line in _lines(recipe):
        click.echo(printable(line))
    if restored is not None:
        _show_restored(restored)
    return code


class ReproduceData(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempt was submitted with, and what was made of it; null without `--worktree`."""

    recipe: Recipe
    restored: Restored | None


ANSWERS = (ReproduceData,)


def _summary(recipe: Recipe, restored: Restored | None) -> str:
    """In one line whether an attempt can be made again; or where it was (`restored` None: it was
    not).
    """
    which = f"{recipe.key}, attempt {recipe.attempt}"
    if restored is not None:
        return f"{which} is restored in {restored.folder}."
    if recipe.faults:
        return f"{which} cannot be made again: {recipe.faults[0]}"
    return f"{which} can be made again."


def _show_result(recipe: Recipe, restored: Restored | None) -> None:
    """The command that runs it, and on standard error what is missing."""
    for fault in recipe.faults:
        click.echo(printable(f"MISSING: {fault}"), err=True)
    command = recipe.command
    if restored is not None:
        command = restored.run
    if command:
        click.echo(printable(command))


def _show_restored(restored: Restored) -> None:
    """Say where the attempt was made again, what was put in place, and how to run it."""
    click.echo(printable(f"\nMade: {restored.folder}"))
    for name in restored.placed:
        click.echo(printable(f"  put in place: {name}"))
    for note in restored.notes:
        click.echo(printable(f"  note: {note}"))
    click.echo(printable(f"Run it: {restored.run}"))


def _lines(recipe: Recipe) -> Iterator[str]:
    """The recipe as text: the code, the files, the environment and the command, then what is
    missing.
    """
    yield f"{recipe.key}, attempt {recipe.attempt}" + (
        f", job {recipe.job_id}" if recipe.job_id else ""
    )
    yield from _code(recipe)
    yield f"script       {_part(recipe.script)}"
    for part in recipe.configs:
        yield f"config       {_part(part)}"
    for part in recipe.code:
        yield f"code         {_part(part)}"
    for subject, fingerprint in recipe.inputs.items():
        yield f"input        {subject}, {fingerprint[:40]}"
    yield from _environment(recipe)
    yield f"command      {recipe.command or 'not submitted'}"
    yield from (f"note: {note}" for note in recipe.notes)
    yield from (f"MISSING: {fault}" for fault in recipe.faults)
    if not recipe.faults:
        words = (
            f"{shlex.quote(recipe.experiment)} {shlex.quote(recipe.key)} --attempt {recipe.attempt}"
        )
        yield f"\nTo make it: watchkeeper reproduce {words} --worktree DIR"


def _code(recipe: Recipe) -> Iterator[str]:
    """The lines on the commit, on what was not committed, and on the submodules."""
    if not recipe.commit:
        yield "commit       none"
        return
    yield f"commit       {recipe.commit}{_branch(recipe.branch)}"
    yield f"uncommitted  {_uncommitted(recipe)}"
    for submodule in recipe.submodules:
        yield f"submodule    {_submodule(submodule)}"


def _branch(branch: str) -> str:
    """` (branch trunk)`; "" where none was recorded."""
    if branch == git.DETACHED:
        return " (HEAD was detached)"
    if branch:
        return f" (branch {branch})"
    return ""


def _uncommitted(recipe: Recipe) -> str:
    """Where the uncommitted changes were kept, or what is known of them."""
    if recipe.diff is None:
        known = {False: "nothing", True: "changes that were not kept", None: "not known"}
        return known[recipe.dirty]
    if recipe.diff.fault:
        return f"{recipe.diff.kept}: {recipe.diff.fault}"
    return recipe.diff.kept


def _submodule(submodule: Submodule) -> str:
    """A submodule's path, the commit it was at, and how that differs from the recorded one."""
    text = f"{submodule.path} at an unknown commit"
    if submodule.used:
        text = f"{submodule.path} at {submodule.used[:12]}"
        if submodule.used != submodule.recorded:
            text += f", not the recorded {submodule.recorded[:12]}"
    if submodule.changed:
        text += ", with uncommitted changes that were not kept"
    return text


def _part(part: Part) -> str:
    """A file of the recipe: whether the same lies there today, where its copy is kept, and why it
    cannot be had again.
    """
    words = {
        "as kept": "the same today",
        "changed": "another today",
        "gone": "gone today",
        "unknown": "today unknown",
    }
    return f"{part.name} ({words[part.today]}): {part.kept}" + (
        f": {part.fault}" if part.fault else ""
    )


def _environment(recipe: Recipe) -> Iterator[str]:
    """The lines on what was installed where it was submitted. It is not the job's own
    environment.
    """
    found = recipe.environment
    if found is None:
        yield "environment  " + ("cannot be read" if recipe.environment_sha256 else "not recorded")
        return
    where = "the submitter's; the job's own may be another"
    yield f"environment  {recipe.environment_sha256[:12]}: {where}"
    for name, python in (("submitter", found.submitter), ("on its PATH", found.on_path)):
        if python is not None:
            known = (
                f"Python {python.version or '(version unknown)'}, {len(python.packages)} packages"
            )
            yield f"             {name}: {known}, {python.executable}"
    for name, value in found.variables.items():
        yield f"             {name}={value}"
