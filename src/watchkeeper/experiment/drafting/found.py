"""The summary of what is in a folder: the runs of its tree, and scripts that lie in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.core.disk.files import read_start_if_any
from watchkeeper.core.errors import ExperimentError
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment import tree
from watchkeeper.experiment.draft import Draft, DraftRun
from watchkeeper.tools.globs import natural

_PLACES = ("", "slurm", "scripts", "jobs")
"""Where scripts lie that people submit: in the folder itself, and in these below it."""
_SUFFIXES = (".sh", ".bash", ".slurm", ".sbatch", ".job")


def draft_of(folder: Path) -> Draft:
    """What the folder asks for, as far as its files say.

    Raises:
        ExperimentError: there is no run and no script in it, or it cannot be read.
    """
    scripts = scripts_in(folder)
    if tree.run_folders(folder):
        draft = tree.read(folder)
        names = {run.name for run in draft.runs}
        others = tuple(run for run in scripts if run.name not in names)
        return Draft(
            name=draft.name,
            preparation=draft.preparation,
            evaluation=draft.evaluation,
            runs=(*draft.runs, *others),
            cells=draft.cells,
            problems=draft.problems,
        )
    if not scripts:
        raise ExperimentError(
            f"there is no script in {folder}",
            hint=f"a script ends in {', '.join(_SUFFIXES)} and begins with #!; it is looked for in "
            "the folder, and in slurm/, scripts/ and jobs/ below it",
        )
    return Draft(
        name=folder.name,
        preparation="script",
        evaluation="script",
        runs=tuple(scripts),
        cells=(),
    )


def scripts_in(folder: Path) -> list[DraftRun]:
    """The scripts that lie in the folder, each a run of its name; of two with one name the
    first.
    """
    runs: dict[str, DraftRun] = {}
    for place in _PLACES:
        for name in _names_in(folder / place):
            path = folder / place / name
            if _is_script(path) and not name_fault(path.stem):
                script = str(path.relative_to(folder))
                run = DraftRun(name=path.stem, type="job", where=str(path), script=script)
                runs.setdefault(path.stem, run)
    return list(runs.values())


def _names_in(folder: Path) -> Sequence[str]:
    """The names of a folder's scripts, in natural order; () where the folder cannot be read."""
    try:
        names = os.listdir(folder)
    except OSError:
        return ()
    return sorted((name for name in names if name.endswith(_SUFFIXES)), key=natural)


def _is_script(path: Path) -> bool:
    """Whether it begins as a script does that a scheduler takes."""
    if path.name.startswith(".") or not path.is_file():
        return False
    start = read_start_if_any(path, 2)
    return start == b"#!"
