"""The W&B run of a job is found where W&B puts it, and never another job's."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.experiments import write_experiment
from tests.publish.wandb.files import begin, framed, header, machine
from watchkeeper.experiment import experiment as experiments
from watchkeeper.watch.outcome.wandb_folders import Found, Job, job_of, look

BEGAN = datetime(2026, 3, 11, 15, tzinfo=UTC)
NAME = "offline-run-20260311_150100-abc123"


def make_run(folder: Path, name: str = NAME, *, after_s: float = 60.0, slurm_job: str = "") -> Path:
    """A W&B run's folder, last written so long after the job began; its metadata names a Slurm job
    where there is one.
    """
    run = folder / "wandb" / name
    (run / "files").mkdir(parents=True)
    (run / f"run-{name.rpartition('-')[2]}.wandb").touch()
    if slurm_job:
        (run / "files" / "wandb-metadata.json").write_text(
            json.dumps({"slurm": {"job_id": slurm_job}})
        )
    at = (BEGAN + timedelta(seconds=after_s)).timestamp()
    for path in (*run.rglob("*"), run):
        os.utime(path, (at, at))
    return run


def job(
    folder: Path, script: str = "#!/bin/bash\ntrue\n", *, shared: bool = False, job_id: str = "7"
) -> Job:
    """A job that works in `folder`."""
    folder.mkdir(exist_ok=True)
    path = folder / "finetune.slurm"
    path.write_text(script)
    return Job(folder=folder, script=path, job_id=job_id, began=BEGAN, shared=shared)


def test_the_folder_that_the_job_works_in_is_looked_at(tmp_path: Path) -> None:
    """`wandb/` beside the script is W&B's default place; the link `latest-run` is no run."""
    one = job(tmp_path / "r1")
    run = make_run(one.folder)
    (one.folder / "wandb" / "latest-run").symlink_to(run.name)
    assert look(one, []) == Found(run=run)


@pytest.mark.parametrize(
    "line",
    [
        "export WANDB_DIR=logs/wb",
        "WANDB_DIR='logs/wb'",
        "export WANDB_DIR={folder}/logs/wb",
        "WANDB_DIR=logs/wb/wandb",
    ],
)
def test_a_wandb_dir_that_the_script_names_is_looked_at(tmp_path: Path, line: str) -> None:
    """`WANDB_DIR` counts, relative to where the job works, absolute, or naming `wandb` itself."""
    one = job(tmp_path / "r1", f"#!/bin/bash\n{line.format(folder=tmp_path / 'r1')}\ntrain\n")
    run = make_run(one.folder / "logs" / "wb")
    assert look(one, []) == Found(run=run)


def test_a_wandb_dir_that_only_a_shell_knows_is_not_guessed(tmp_path: Path) -> None:
    """A value with a variable in it says nothing here."""
    one = job(tmp_path / "r1", "#!/bin/bash\nexport WANDB_DIR=$SCRATCH/wb\ntrain\n")
    make_run(one.folder / "wb")
    assert look(one, []) == Found()


def test_a_run_from_before_the_attempt_is_anothers(tmp_path: Path) -> None:
    """A folder that was last written before the attempt was submitted is not this attempt's; the
    newest of the rest is.
    """
    one = job(tmp_path / "r1")
    make_run(one.folder, "run-20260310_090000-old", after_s=-3600)
    assert look(one, []) == Found()
    make_run(one.folder, "run-20260311_150100-first")
    newest = make_run(one.folder, "run-20260311_160100-second", after_s=3660)
    assert look(one, []) == Found(run=newest)


def test_in_a_folder_of_several_jobs_only_a_run_that_names_the_job_counts(tmp_path: Path) -> None:
    """Where jobs share a folder W&B's metadata decides; without it nothing is claimed, and the
    folder is named.
    """
    one = job(tmp_path / "r1", shared=True)
    make_run(one.folder, "offline-run-20260311_150100-other", slurm_job="8")
    assert look(one, []) == Found(among=one.folder / "wandb")
    mine = make_run(one.folder, "offline-run-20260311_150000-mine", slurm_job="7")
    assert look(one, []) == Found(run=mine)


def test_what_only_this_job_wrote_into_is_its_own(tmp_path: Path) -> None:
    """A run below the job's own output counts even where the folder that it works in is shared."""
    one = job(tmp_path / "r1", shared=True)
    own = make_run(tmp_path / "r1" / "artifacts")
    make_run(one.folder, "offline-run-20260311_150500-other")
    assert look(one, [own.parent.parent]) == Found(run=own)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"slurm": 7}', '{"slurm": {}}'])
def test_metadata_that_cannot_be_read_names_no_job(tmp_path: Path, text: str) -> None:
    """Torn or odd metadata claims nothing, and stops nothing."""
    one = job(tmp_path / "r1", shared=True)
    run = make_run(one.folder)
    (run / "files" / "wandb-metadata.json").write_text(text)
    assert look(one, []) == Found(among=one.folder / "wandb")


def test_in_a_shared_folder_wandbs_own_file_names_the_job(tmp_path: Path) -> None:
    """wandb 0.31 keeps no metadata beside an offline run: the job stands in the run's file."""
    one = job(tmp_path / "r1", shared=True)
    for name, slurm in (("other", "8"), ("mine", "7")):
        run = make_run(one.folder, f"offline-run-20260311_150100-{name}")
        records = (begin(name), machine(slurm={"job_id": slurm}))
        path = run / f"run-{name}.wandb"
        path.write_bytes(framed([header(), *records]))
    assert look(one, []) == Found(run=one.folder / "wandb" / "offline-run-20260311_150100-mine")


def test_the_segments_of_one_run_come_together(tmp_path: Path) -> None:
    """What was resumed under one id is one run, its earlier segments in order; another id is not
    of it.
    """
    one = job(tmp_path / "r1")
    names = ("150100-abc", "150200-other", "150300-abc", "150400-abc")
    runs = [make_run(one.folder, f"offline-run-20260311_{name}") for name in names]
    assert look(one, []) == Found(run=runs[3], earlier=(runs[0], runs[2]))


@pytest.mark.parametrize("place", ["script", "variable", "absolute"])
def test_the_scripts_folder_and_the_jobs_wandb_dir_are_looked_at(tmp_path: Path, place) -> None:
    """`wandb/` beside a script that works elsewhere counts, and where WANDB_DIR of the job's
    environment points, from the folder that the job works in.
    """
    folder = write_experiment(tmp_path / "exp", tasks=())
    experiment = experiments.read(folder)
    (item,) = experiment.items
    script = folder / item.script
    script.write_text(
        script.read_text().replace("#SBATCH --time", "#SBATCH --chdir=.\n#SBATCH --time")
    )
    at, named = {
        "script": (script.parent, ""),
        "variable": (folder / "logs" / "wb", "logs/wb"),
        "absolute": (tmp_path / "wb", str(tmp_path / "wb")),
    }[place]
    workdir = experiment.workdir_of(item)
    if place == "variable":
        at = workdir / "logs" / "wb"
    run = make_run(at)
    one = job_of(experiment, item, tmp_path / "gone", "7", BEGAN, wandb_dir=named)
    assert look(one, []) == Found(run=run)


def test_the_run_of_another_slurm_job_is_never_taken(tmp_path: Path) -> None:
    """Also in a folder that only this job works in: somebody may have run something there."""
    one = job(tmp_path / "r1")
    run = make_run(one.folder)
    (run / "run-abc123.wandb").write_bytes(framed([header(), begin(), machine({"job_id": "8"})]))
    assert look(one, []) == Found()
    (run / "run-abc123.wandb").write_bytes(framed([header(), begin(), machine({"job_id": "7"})]))
    assert look(one, []) == Found(run=run)
