"""The folder of a training's W&B run, found where W&B puts it: `wandb/run-…` or
`wandb/offline-run-…` below the folder that the job works in, its script's, below `WANDB_DIR`, or
beside what the job wrote.

A folder that was last written before the attempt began is another run's. In a folder that several
jobs work in, a run is this job's only where W&B itself names the job.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.code.shell_text import variables
from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.events import RunItem
from watchkeeper.core.text import lazy
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.publish.wandb.offline import SUFFIX, machine_of
from watchkeeper.schedulers.sbatch_head import read_head

_NAME = lazy.pattern(r"(?:offline-)?run-(\d{8}_\d{6}-(\S+))")
_SCRIPT_BYTES = 2**20
_METADATA = Path("files/wandb-metadata.json")
_METADATA_BYTES = 2**20
_PLACE = "wandb"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the job whose run is looked for: the folder that it works in, the script
    that it ran, its scheduler's id, when it was about to be submitted (None: not known), and
    whether other jobs work in that folder too. `named` are other folders that its environment or
    its script name.
    """

    folder: Path
    script: Path
    job_id: str
    began: datetime | None
    shared: bool
    named: tuple[Path, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The W&B run's folder, with those of its earlier segments, the oldest first; or the folder of
    several of which nothing says whose they are.
    """

    run: Path | None = None
    earlier: tuple[Path, ...] = ()
    among: Path | None = None


def job_of(
    experiment: Experiment,
    item: RunItem,
    frozen: Path,
    job_id: str,
    began: datetime | None,
    *,
    wandb_dir: str = "",
) -> Job:
    """The job of one piece of work. `frozen` is the script as it ran; where it is gone, the one
    that lies there now. `wandb_dir` is WANDB_DIR in its environment, "" for none.

    A folder that its `#SBATCH --chdir` names counts from the one that it was submitted in, unless
    the name has a `%`, which only Slurm can fill in.
    """
    script = experiment.folder / item.script
    ran = script
    if frozen.is_file():
        ran = frozen
    chosen = read_head(_read(ran), name=script.name).folder
    folder = experiment.workdir_of(item)
    if chosen and "%" not in chosen:
        folder /= chosen
    named = [script.parent]
    if wandb_dir:
        named.append(folder / wandb_dir)
    return Job(
        folder=folder,
        script=ran,
        job_id=job_id,
        began=began,
        shared=experiment.jobs_beside(item) > 1,
        named=tuple(named),
    )


def look(job: Job, written: Iterable[Path], above: Iterable[Path] = ()) -> Found:
    """The newest run of this job's; `written` are folders that only this job wrote into, `above`
    others worth a look.

    `Found()`: there is none. Where several jobs work in one folder, a run there counts only if
    W&B's own metadata names this job; if none does, the folder is `among`, and nothing is guessed.
    """
    own = _runs(written, job)
    folders = [job.folder, *job.named]
    from_script = variables(_read(job.script).decode("utf-8", "replace")).get("WANDB_DIR", "")
    if from_script:
        folders.append(job.folder / from_script)
    near = _runs([*folders, *above], job)
    if job.shared:
        mine = [path for path in near if _names_job(path, job.job_id)]
        if not mine and not own and near:
            return Found(among=near[0].parent)
        near = mine
    runs = sorted({*own, *near}, key=_order)
    if not runs:
        return Found()
    # Segments of one run have one id: the job resumed it, or was requeued.
    newest = runs[-1]
    earlier = [path for path in runs[:-1] if _id_of(path) == _id_of(newest)]
    return Found(run=newest, earlier=tuple(earlier))


def _runs(folders: Iterable[Path], job: Job) -> list[Path]:
    """The W&B runs in or below these folders that were written since the job began, each once:
    `FOLDER/wandb/offline-run-20260311_150000-def456`.
    """
    since = -math.inf
    if job.began is not None:
        since = job.began.timestamp() - 1  # some filesystems keep whole seconds
    runs: dict[Path, None] = {}
    for folder in folders:
        for place in (folder / _PLACE, folder):
            if place.name == _PLACE:
                runs |= dict.fromkeys(filter(_is_run, _listed(place)))
    ours = []
    for path in runs:
        if _written(path) >= since and not _is_anothers(path, job.job_id):
            ours.append(path)
    return ours


def _is_anothers(path: Path, job_id: str) -> bool:
    """Whether W&B's own file says that the run was another Slurm job's. False: it does not say, or
    the job has no id (`job_id` "").
    """
    if not job_id:
        return False
    named = {machine_of(file).slurm_job for file in path.glob(f"*{SUFFIX}")} - {""}
    return bool(named) and job_id not in named


def _is_run(path: Path) -> bool:
    """Whether a path is the folder of a run: not `latest-run`, which is a link to one."""
    if not _NAME.fullmatch(path.name):
        return False
    return path.is_dir() and not path.is_symlink()


def _listed(place: Path) -> list[Path]:
    """What a folder holds; nothing where it is not there, or cannot be listed."""
    try:
        return list(place.iterdir())
    except OSError:
        return []


def _written(path: Path) -> float:
    """When the newest of the folder's own entries was written, in seconds since 1970; 0 where that
    cannot be told.
    """
    try:
        return max([path.stat().st_mtime, *(one.stat().st_mtime for one in path.iterdir())])
    except OSError:
        return 0.0


def _names_job(path: Path, job_id: str) -> bool:
    """Whether W&B says that the run was this Slurm job's: in the run's own file, or beside it, in
    `files/wandb-metadata.json`: `{"slurm": {"job_id": "70412", …}, …}`.
    """
    if not job_id:
        return False
    for file in path.glob(f"*{SUFFIX}"):
        if machine_of(file).slurm_job == job_id:
            return True
    data = _read(path / _METADATA, _METADATA_BYTES)
    try:
        metadata = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return False
    slurm = metadata.get("slurm")
    if not isinstance(slurm, dict):
        return False
    return str(slurm.get("job_id", "")) == job_id


def _order(path: Path) -> str:
    """Sorts runs by their begin, as their folders' names say: `20260311_150000-def456`."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return ""
    return match[1]


def _id_of(path: Path) -> str:
    """W&B's id of the run, from its folder's name: `def456`."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return ""
    return match[2]


def _read(path: Path, most: int = _SCRIPT_BYTES) -> bytes:
    """The beginning of a file, at most `most` bytes; nothing where it cannot be read."""
    try:
        with open_regular(path) as file:
            return read_most(file, most)
    except OSError:
        return b""
