"""An experiment's folders: where a run's scripts lie, and what a folder without a summary asks for.

Both of the layouts in use are known. A run's folder holds `finetune.slurm`; its evaluations are
`eval/<task>_epoch<N>.slurm` and `eval/<task>_base.slurm`, or, newer,
`eval/<task>_epoch<N>/cell.slurm` and `eval/<task>/cell.slurm`; in such a folder the script may have
another name if it is the only one. A folder with evaluations only is an eval-only run. Hidden
folders are ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.disk.files import read_start_if_any
from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.core.ids import name_fault
from watchkeeper.core.text import lazy
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun, EvalKey
from watchkeeper.experiment.summary_names import SUMMARY_MD, SUMMARY_YAML, SUMMARY_YML
from watchkeeper.reading.yaml import listed
from watchkeeper.tools.globs import natural

SUMMARIES = (SUMMARY_YAML, SUMMARY_YML, SUMMARY_MD)
FINETUNE = "finetune.slurm"
_CELL = "cell.slurm"
_SUFFIX = ".slurm"

_EPOCH = lazy.pattern(r"(?P<task>.+)_epoch(?P<epoch>0|[1-9][0-9]{0,8})", re.DOTALL)
_BASE = lazy.pattern(r"(?P<task>.+)_base", re.DOTALL)
# A script's first MiB is enough to see which tool it calls.
_SCRIPT_BYTES = 2**20
_SEPARATORS = lazy.pattern(r"[-_. ]+(?=summary)")
_SHORT_NAMES = ("experimentsummary.yaml", "experimentsummary.yml", "experimentsummary.md")
_CALLS = {
    "inspect-ai": lazy.pattern(rb"^[^#\n]*\binspect[ \t]+eval(-set|-retry)?\b", re.MULTILINE),
    "torchtune": lazy.pattern(rb"^[^#\n]*\btune[ \t]+run\b", re.MULTILINE),
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
            f"{folder} is a file, and an experiment is a folder",
            hint=f"its folder is the experiment: name {folder.parent}; `watchkeeper run "
            f"{folder.name}` runs the script as it lies (docs/scripts.md)",
        ) from error
    except OSError as error:
        hint = "check the folder's owner and mode"
        raise ExperimentError(
            f"{folder} cannot be read: {error.strerror or error}", hint=hint
        ) from error
    return sorted((name for name in names if _looks_like_run(f"{folder}/{name}")), key=natural)


def is_experiment(folder: Path) -> bool:
    """Whether a YAML summary is in the folder, or jobs were submitted from it."""
    has_summary = (folder / SUMMARY_YAML).exists() or (folder / SUMMARY_YML).exists()
    return has_summary or (folder / layout.RUNS).is_dir()


def near_misses(folder: Path) -> Iterator[Problem]:
    """Files whose name is nearly a summary's (`Experiment-Summary.yaml`): they are not read."""
    for name in sorted(os.listdir(folder)):
        if name in SUMMARIES:
            continue
        plain = _SEPARATORS.sub("_", name.casefold())
        if plain in SUMMARIES or plain in _SHORT_NAMES:
            suffix = plain.rpartition(".")[2]
            right = SUMMARY_YAML
            if suffix == "md":
                right = SUMMARY_MD
            yield Problem(
                where=_shown(folder / name),
                message="looks like a summary, and is not read under this name",
                hint=f"rename it to {right}, if it is one",
                severity="warning",
                code="bad-experiment",
            )


def _looks_like_run(path: str) -> bool:
    """Whether a folder holds a training's script, or evaluations."""
    return _is_file(f"{path}/{FINETUNE}") or _is_folder(f"{path}/eval")


def _is_file(path: str | Path) -> bool:
    """Whether it is a file; False, rather than an error, where that may not be looked up."""
    return os.path.isfile(path)  # noqa: PTH113 - pathlib takes thrice as long, and raises


def _is_folder(path: str | Path) -> bool:
    """Whether it is a folder; False, rather than an error, where that may not be looked up."""
    return os.path.isdir(path)  # noqa: PTH112 - as above


def run_folder(name: str, folders: Collection[str], runs: Collection[str]) -> tuple[str, str]:
    """The folder of the run `name` among `folders`, and why there is none: one of the two is "".

    A folder may be named by the varying parameters only, and the run by its model too: `r8_lr1e-5`
    is the folder of `Llama-3.2-1B_r8_lr1e-5`. A folder named exactly like one of the `runs` is that
    run's.
    """
    if name in folders:
        return name, ""
    candidates: list[str] = []
    for index in range(1, len(name)):
        end = name[index:]
        if end in folders and end not in runs:
            candidates.append(end)
    whole_words = [end for end in candidates if name.endswith(f"_{end}")]
    candidates = whole_words or candidates
    if len(candidates) == 1:
        return candidates[0], ""
    if candidates:
        return "", f"its folder is ambiguous: {listed(candidates)}"
    return "", f"it has no folder: neither {name}/ nor one that is the end of its name"


def fine_tune_script(folder: Path, run_folder: str) -> tuple[str, str]:
    """The script of a run's training, relative to the experiment ("" if there is none), and where
    it is expected: ("r8/finetune.slurm", "r8/finetune.slurm").
    """
    expected = f"{run_folder}/{FINETUNE}"
    if _is_file(f"{folder}/{expected}"):
        return expected, expected
    return "", expected


def eval_script(folder: Path, run_folder: str, key: EvalKey) -> tuple[str, str]:
    """The evaluation's script, relative to the experiment ("" if there is none), and where it is
    expected.
    """
    flat = f"{run_folder}/eval/{key.cell}{_SUFFIX}"
    if _is_file(f"{folder}/{flat}"):
        return flat, flat
    names = [key.cell]
    if key.epoch is None:
        names.append(key.task)
    for name in names:
        script = _cell_script(folder / run_folder / "eval" / name)
        if script:
            return f"{run_folder}/eval/{name}/{script}", flat
    return "", flat


def _cell_script(folder: Path) -> str:
    """The name of the script in an evaluation's own folder: `cell.slurm`, or the only other one; ""
    if there is none.
    """
    if _is_file(folder / _CELL):
        return _CELL
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    scripts = [name for name in names if name.endswith(_SUFFIX) and not name.startswith(".")]
    if len(scripts) == 1 and _is_file(folder / scripts[0]):
        return scripts[0]
    return ""


def is_flat(script: str) -> bool:
    """Whether an evaluation's script shares its folder with the others of its run."""
    return script.count("/") == 2  # RUN/eval/NAME.slurm


def read(folder: Path) -> Draft:
    """What the tree of a folder without a summary asks for.

    Raises:
        ExperimentError: there is no run in it, or it cannot be read.
        StorageError: the disk refused a script twice.
    """
    problems: list[Problem] = []
    runs: list[DraftRun] = []
    cells: list[DraftCell] = []
    for name in run_folders(folder):
        path = folder / name
        if fault := name_fault(name):
            message = f"the folder {name!r} cannot name a run: {fault}"
            problems.append(
                Problem(
                    where=_shown(path),
                    message=message,
                    hint="rename the folder",
                    code="bad-experiment",
                )
            )
            continue
        own: list[DraftCell] = []
        if _is_folder(path / "eval"):
            own = _cells(folder, name, problems)
        cells += own
        if _is_file(path / FINETUNE):
            runs.append(DraftRun(name=name, type="fine-tuned", where=str(path)))
        elif own:  # an `eval` folder without a single script in it is not a run
            runs.append(DraftRun(name=name, type="eval-only", where=str(path)))
    if not runs:
        message = (
            f"no experiment there: {folder} has no {SUMMARY_YAML}, no {SUMMARY_MD} and no "
            f"<run>/{FINETUNE}"
        )
        raise ExperimentError(
            message,
            problems=(*problems, *near_misses(folder)),
            hint="name the folder that holds one of them; any other script runs as it lies by "
            "`watchkeeper run SCRIPT` (docs/scripts.md)",
        )
    trained = [run.name for run in runs if run.type == "fine-tuned"]
    return Draft(
        name=folder.name,
        preparation=_common(_tool(folder / name / FINETUNE, "torchtune") for name in trained),
        evaluation=_common(cell.tool for cell in cells),
        runs=tuple(runs),
        cells=tuple(cells),
        problems=tuple(problems),
    )


def _shown(path: Path) -> str:
    """A path as text; bytes that are not UTF-8 as escapes."""
    return str(path).encode(errors="backslashreplace").decode()


def _cells(folder: Path, run: str, problems: list[Problem]) -> list[DraftCell]:
    """A run's evaluations: by task in natural order, then by epoch, the untrained first."""
    place = folder / run / "eval"
    try:
        names = sorted(name for name in os.listdir(place) if not name.startswith("."))
    except OSError as error:
        message = f"run {run!r}: its evaluations cannot be read: {error.strerror or error}"
        hint = "check the folder's owner and mode"
        problems.append(
            Problem(where=str(place), message=message, hint=hint, code="bad-experiment")
        )
        return []
    cells: dict[EvalKey, DraftCell] = {}
    for name in names:
        script = place / name
        if not name.endswith(_SUFFIX):
            script = script / (_cell_script(script) or _CELL)
        if not _is_file(script):
            continue
        where = _shown(script)
        key, fault = _key(run, name)
        if key is None:
            message = f"not an evaluation of run {run!r}: {fault}"
            hint = f"name it <task>_epoch<N>{_SUFFIX} or <task>_base{_SUFFIX}"
            problems.append(Problem(where=where, message=message, hint=hint, code="bad-experiment"))
        elif key in cells:
            used, _ = eval_script(folder, run, key)
            message = f"a second script of {key.key}; {used} is used"
            hint = "keep one of them"
            problems.append(
                Problem(
                    where=where,
                    message=message,
                    hint=hint,
                    severity="warning",
                    code="bad-experiment",
                )
            )
        else:
            cells[key] = DraftCell(key=key, where=where, tool=_tool(script, "inspect-ai"))
    return [cells[key] for key in sorted(cells, key=_order)]


def _order(key: EvalKey) -> tuple[object, int]:
    """By task in natural order, then by epoch, the untrained model (-1) first."""
    if key.epoch is None:
        return natural(key.task), -1
    return natural(key.task), key.epoch


def _key(run: str, name: str) -> tuple[EvalKey | None, str]:
    """The evaluation that a script (`<task>_epoch0.slurm`) or its folder is named for; None and
    why: its name is not that of an evaluation.
    """
    stem = name.removesuffix(_SUFFIX)
    task, epoch = stem, None
    if match := _EPOCH.fullmatch(stem):
        task, epoch = match["task"], int(match["epoch"])
    elif match := _BASE.fullmatch(stem):
        task = match["task"]
    elif name.endswith(_SUFFIX):
        return None, f"{name!r} names neither an epoch nor base"
    if fault := name_fault(task):
        return None, f"the task cannot be named {task!r}: {fault}"
    return EvalKey(run=run, task=task, epoch=epoch), ""


def _tool(script: Path, tool: str) -> str:
    """The tool, if the script calls it outside its comments, else `script`.

    Raises:
        StorageError: the disk refused the script twice.
    """
    text = read_start_if_any(script, _SCRIPT_BYTES)
    # The submission says why a script that is there cannot be read.
    if text is not None and _CALLS[tool].search(text):
        return tool
    return "script"


def _common(tools: Iterator[str]) -> str:
    """The tool that all of them use, else `script`."""
    used = set(tools)
    if len(used) == 1:
        return used.pop()
    return "script"
