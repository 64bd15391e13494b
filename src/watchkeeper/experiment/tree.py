"""An experiment's folders: where a run's scripts lie, and what a folder without a summary asks for.

Both of the layouts in use are known. A run's folder holds `finetune.slurm`; its evaluations are
`eval/<task>_epoch<N>.slurm` and `eval/<task>_base.slurm`, or, newer,
`eval/<task>_epoch<N>/cell.slurm` and `eval/<task>/cell.slurm`; in such a folder the script may have
another name if it is the only one. A folder with evaluations only is an eval-only run. Hidden
folders are nobody's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun, EvalKey
from watchkeeper.reading.yaml import listed
from watchkeeper.tools.globs import natural

SUMMARY_YAML = "experiment_summary.yaml"
SUMMARY_MD = "experiment_summary.md"
FINETUNE = "finetune.slurm"
_CELL = "cell.slurm"
_SUFFIX = ".slurm"

_EPOCH = re.compile(r"(?P<task>.+)_epoch(?P<epoch>0|[1-9][0-9]{0,8})", re.DOTALL)
_BASE = re.compile(r"(?P<task>.+)_base", re.DOTALL)
# A script's first MiB is enough to see which tool it calls.
_SCRIPT_BYTES = 2**20
_CALLS = {
    "inspect-ai": re.compile(rb"^[^#\n]*\binspect[ \t]+eval(-set|-retry)?\b", re.MULTILINE),
    "torchtune": re.compile(rb"^[^#\n]*\btune[ \t]+run\b", re.MULTILINE),
}


def run_folders(folder: Path) -> list[str]:
    """The names of the folders that look like a run's: with a `finetune.slurm`, or an `eval`
    folder. In natural order.

    Raises:
        ExperimentError: `folder` is none, or cannot be read.
    """
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError as error:
        raise ExperimentError(
            f"there is no folder {folder}", hint="name an experiment's folder"
        ) from error
    except NotADirectoryError as error:
        raise ExperimentError(
            f"{folder} is no folder", hint=f"name the experiment's folder: {folder.parent}"
        ) from error
    except OSError as error:
        hint = "check the folder's owner and mode"
        raise ExperimentError(
            f"{folder} cannot be read: {error.strerror or error}", hint=hint
        ) from error
    return sorted((name for name in names if _looks_like_run(folder / name)), key=natural)


def _looks_like_run(path: Path) -> bool:
    return _is_file(path / FINETUNE) or _is_folder(path / "eval")


def _is_file(path: Path) -> bool:
    """Whether it is one; what may not be looked into is none, and no reason to lose the others."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def run_folder(name: str, folders: Collection[str], runs: Collection[str]) -> tuple[str, str]:
    """The folder of the run `name` among `folders`, and why there is none: one of the two is "".

    A folder may be named by the varying parameters only, and the run by its model too: `r8_lr1e-5`
    is the folder of `Llama-3.2-1B_r8_lr1e-5`. A folder named exactly like one of the `runs` is that
    run's.
    """
    if name in folders:
        return name, ""
    ends = [name[index:] for index in range(1, len(name))]
    free = [end for end in ends if end in folders and end not in runs]
    fits = [end for end in free if name.endswith(f"_{end}")] or free
    if len(fits) == 1:
        return fits[0], ""
    if fits:
        return "", f"its folder is ambiguous: {listed(fits)}"
    return "", f"it has no folder: neither {name}/ nor one that is the end of its name"


def fine_tune_script(folder: Path, run_folder: str) -> tuple[str, str]:
    """The script, relative to the experiment ("" if there is none), and where it is expected."""
    expected = f"{run_folder}/{FINETUNE}"
    return (expected if _is_file(folder / expected) else ""), expected


def eval_script(folder: Path, run_folder: str, key: EvalKey) -> tuple[str, str]:
    """The evaluation's script, relative to the experiment ("" if there is none), and where it is
    expected.
    """
    flat = f"{run_folder}/eval/{key.cell}{_SUFFIX}"
    if _is_file(folder / flat):
        return flat, flat
    for name in (key.cell, *([key.task] if key.epoch is None else [])):
        if script := _cell_script(folder / run_folder / "eval" / name):
            return f"{run_folder}/eval/{name}/{script}", flat
    return "", flat


def _cell_script(folder: Path) -> str:
    """The name of the script in an evaluation's own folder: `cell.slurm`, or the only other one; ""
    if there is none.
    """
    if _is_file(folder / _CELL):
        return _CELL
    try:
        names = [
            name
            for name in os.listdir(folder)
            if name.endswith(_SUFFIX) and not name.startswith(".")
        ]
    except OSError:
        return ""
    if len(names) == 1 and _is_file(folder / names[0]):
        return names[0]
    return ""


def is_flat(script: str) -> bool:
    """Whether an evaluation's script shares its folder with the others of its run."""
    return script.count("/") == 2  # RUN/eval/NAME.slurm


def read(folder: Path) -> Draft:
    """What the tree of a folder without a summary asks for.

    Raises:
        ExperimentError: there is no run in it, or it cannot be read.
    """
    problems: list[Problem] = []
    runs: list[DraftRun] = []
    cells: list[DraftCell] = []
    for name in run_folders(folder):
        where = str(folder / name)
        if fault := name_fault(name):
            shown = where.encode(errors="backslashreplace").decode()
            message = f"the folder {name!r} cannot name a run: {fault}"
            problems.append(Problem(where=shown, message=message, hint="rename the folder"))
            continue
        trained = _is_file(folder / name / FINETUNE)
        runs.append(DraftRun(name=name, type="fine-tuned" if trained else "eval-only", where=where))
        if _is_folder(folder / name / "eval"):
            cells += _cells(folder, name, problems)
    if not any(run.type == "fine-tuned" for run in runs) and not cells:
        message = (
            f"no experiment there: {folder} has no {SUMMARY_YAML}, no {SUMMARY_MD} and no "
            f"<run>/{FINETUNE}"
        )
        raise ExperimentError(
            message, problems=tuple(problems), hint="name the folder that holds one of them"
        )
    # an `eval` folder without a single script in it is no run
    named = {cell.key.run for cell in cells}
    runs = [run for run in runs if run.type == "fine-tuned" or run.name in named]
    return Draft(
        name=folder.name,
        preparation=_common(
            _tool(folder / run.name / FINETUNE, "torchtune")
            for run in runs
            if run.type == "fine-tuned"
        ),
        evaluation=_common(cell.tool for cell in cells),
        runs=tuple(runs),
        cells=tuple(cells),
        problems=tuple(problems),
    )


def _cells(folder: Path, run: str, problems: list[Problem]) -> list[DraftCell]:
    """A run's evaluations: by task in natural order, then by epoch, the untrained first."""
    place = folder / run / "eval"
    try:
        names = sorted(name for name in os.listdir(place) if not name.startswith("."))
    except OSError as error:
        message = f"run {run!r}: its evaluations cannot be read: {error.strerror or error}"
        problems.append(
            Problem(where=str(place), message=message, hint="check the folder's owner and mode")
        )
        return []
    found: dict[EvalKey, DraftCell] = {}
    for name in names:
        if name.endswith(_SUFFIX):
            script = place / name
        else:
            script = place / name / (_cell_script(place / name) or _CELL)
        if not _is_file(script):
            continue
        shown = str(script).encode(errors="backslashreplace").decode()
        key, fault = _key(run, name)
        if key is None:
            hint = f"name it <task>_epoch<N>{_SUFFIX} or <task>_base{_SUFFIX}"
            problems.append(
                Problem(where=shown, message=f"no evaluation of run {run!r}: {fault}", hint=hint)
            )
        elif key in found:
            used = eval_script(folder, run, key)[0]
            message = f"a second script of {key.key}; {used} is used"
            problems.append(
                Problem(where=shown, message=message, hint="keep one of them", severity="warning")
            )
        else:
            found[key] = DraftCell(key=key, where=shown, tool=_tool(script, "inspect-ai"))
    return [
        found[key]
        for key in sorted(
            found, key=lambda key: (natural(key.task), -1 if key.epoch is None else key.epoch)
        )
    ]


def _key(run: str, name: str) -> tuple[EvalKey | None, str]:
    """The evaluation that a script (`<task>_epoch0.slurm`) or its folder is named for; None and
    why, if for none.
    """
    flat = name.endswith(_SUFFIX)
    stem = name.removesuffix(_SUFFIX)
    epoch = _EPOCH.fullmatch(stem)
    task = epoch or _BASE.fullmatch(stem)
    if task is None and flat:
        return None, f"{name!r} says neither epoch nor base"
    if task:
        found = task["task"]
    else:
        found = stem
    if fault := name_fault(found):
        return None, f"the task cannot be named {found!r}: {fault}"
    return EvalKey(run=run, task=found, epoch=int(epoch["epoch"]) if epoch else None), ""


def _tool(script: Path, tool: str) -> str:
    """The tool, if the script calls it outside its comments, else `script`."""
    try:
        with open_regular(script) as file:
            text = file.read(_SCRIPT_BYTES)
    except OSError:
        return "script"  # whoever submits it will say why it cannot be read
    if _CALLS[tool].search(text):
        return tool
    return "script"


def _common(tools: Iterator[str]) -> str:
    """The tool that all of them use, else `script`."""
    used = set(tools)
    if len(used) == 1:
        return used.pop()
    return "script"
