"""A sweep: a run for each combination of values, from template scripts."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import UsageError
from watchkeeper.core.ids import name_fault
from watchkeeper.core.text import lazy
from watchkeeper.experiment import tree
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun, EvalKey

MOST_RUNS = 5_000
_NAME = lazy.pattern(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_IN_NAME = lazy.pattern(r"[^A-Za-z0-9.+=-]+")
_TORCHTUNE = lazy.pattern(r"^[^#\n]*\btune[ \t]+run\b", re.MULTILINE)
_INSPECT = lazy.pattern(r"^[^#\n]*\binspect[ \t]+eval\b", re.MULTILINE)


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What is written: the draft of the summary, and the scripts by their paths in the folder."""

    draft: Draft
    scripts: Mapping[Path, str]


def parse_values(words: Sequence[str]) -> dict[str, list[str]]:
    """Name → values, from `lr=1e-4,1e-3` and the like.

    Raises:
        UsageError: a word is none of that form, or names a variable again.
    """
    values: dict[str, list[str]] = {}
    for word in words:
        name, sign, listed = word.partition("=")
        own = [value.strip() for value in listed.split(",")]
        if not sign or not _NAME.fullmatch(name) or not all(own):
            raise UsageError(
                f"--set {word}: it must be NAME=VALUE,VALUE", hint="--set lr=1e-4,1e-3"
            )
        if name in values:
            raise UsageError(f"--set {word}: {name} is set before", hint="list its values together")
        if len(set(own)) < len(own):
            raise UsageError(f"--set {word}: a value is listed twice", hint="list it once")
        values[name] = own
    return values


def sweep_of(
    folder: Path,
    values: Mapping[str, Sequence[str]],
    template: Path,
    evals: Sequence[Path] = (),
    epochs: int = 0,
) -> Sweep:
    """The sweep over all combinations of `values`.

    A template that names `{lr}` gives each run a script of its own, `RUN/finetune.slurm`, with the
    values filled in; any other is run as it lies, with the values as arguments: `--lr 1e-4`.
    `evals` are templates of evaluations at each of `epochs` epochs (0: they are not known), with
    `{run}` and `{epoch}` beside the variables; a task has its template's name.

    Raises:
        UsageError: a template cannot be used, or a combination cannot name a run.
    """
    text = _read(template)
    tasks = {path.stem: _read(path) for path in evals}
    named = [name for name in values if _place(name).search(text)]
    is_filled = bool(named or tasks)
    if is_filled and len(named) < len(values):
        missing = next(name for name in values if name not in named)
        raise UsageError(
            f"{template} has no {{{missing}}}", hint=f"write {{{missing}}} where its value goes"
        )
    tool = "torchtune" if _TORCHTUNE.search(text) else "script"
    if (tasks or tool == "torchtune") and not epochs:
        raise UsageError("how many epochs are trained is not known", hint="--epochs 2")
    scripts: dict[Path, str] = {}
    runs: list[DraftRun] = []
    cells: list[DraftCell] = []
    for name, chosen in _combinations(values).items():
        if not is_filled:
            runs.append(_run_with_arguments(name, _relative(folder, template), chosen))
            continue
        runs.append(DraftRun(name=name, type="fine-tuned", where=name, epochs=tuple(range(epochs))))
        scripts[Path(name, tree.FINETUNE)] = _filled(text, chosen | {"run": name})
        for task, epoch in itertools.product(tasks, range(epochs)):
            cell = EvalKey(run=name, task=task, epoch=epoch)
            cells.append(DraftCell(key=cell, where=name, tool="script"))
            script = Path(name, "eval", f"{cell.cell}.slurm")
            scripts[script] = _filled(tasks[task], chosen | {"run": name, "epoch": str(epoch)})
    draft = Draft(
        name=folder.absolute().name,
        preparation=tool,
        evaluation=_tool_of_evaluations(tasks),
        runs=tuple(runs),
        cells=tuple(cells),
    )
    return Sweep(draft=draft, scripts=scripts)


def _run_with_arguments(name: str, script: str, values: Mapping[str, str]) -> DraftRun:
    """The run of a script that lies as it is, with the values as its arguments."""
    words: list[str] = []
    for key, value in values.items():
        words += [f"--{key}", value]
    return DraftRun(name=name, type="job", where=name, script=script, args=tuple(words))


def _tool_of_evaluations(tasks: Mapping[str, str]) -> str:
    """The tool that all of these scripts call: `inspect-ai`, or `script` where one calls something
    else, or there is none. `tasks`: name → text of the script.
    """
    if tasks and all(_INSPECT.search(text) for text in tasks.values()):
        return "inspect-ai"
    return "script"


def _read(path: Path) -> str:
    """The text of a template.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        return read_whole(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the template {path} cannot be read: {error}") from error


def _combinations(values: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """Run's name → its values: `lr1e-4_rank8`.

    Raises:
        UsageError: two have one name, one has none, or there are too many.
    """
    count = 1
    for listed in values.values():
        count *= len(listed)
    if count > MOST_RUNS:
        raise UsageError(f"{count:,} runs are more than {MOST_RUNS:,}", hint="list fewer values")
    combinations: dict[str, dict[str, str]] = {}
    for chosen in itertools.product(*values.values()):
        own = dict(zip(values, chosen, strict=True))
        name = "_".join(_NOT_IN_NAME.sub("-", f"{key}{value}") for key, value in own.items())
        if fault := name_fault(name):
            raise UsageError(
                f"the run {name!r} cannot be named so: {fault}", hint="shorten a value"
            )
        if name in combinations:
            raise UsageError(
                f"two runs would be named {name!r}", hint="values must differ in letters or digits"
            )
        combinations[name] = own
    return combinations


def _place(name: str) -> re.Pattern[str]:
    """Where a variable's value goes: `{lr}`, and not the shell's `${lr}`."""
    return re.compile(r"(?<!\$)\{" + re.escape(name) + r"\}")


def _filled(text: str, values: Mapping[str, str]) -> str:
    """The text with each variable's value in its places."""
    for name, value in values.items():
        text = value.join(_place(name).split(text))
    return text


def _relative(folder: Path, path: Path) -> str:
    """The path as the summary in the folder names it."""
    return os.path.relpath(path.absolute(), folder.absolute())
