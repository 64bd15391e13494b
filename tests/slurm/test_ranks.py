"""The tasks of one job step are one run."""

from __future__ import annotations

from pathlib import Path

import watchkeeper as wk
from tests.slurm.lab import Lab, make_job, until
from watchkeeper.core.events import RunEnded, RunStarted
from watchkeeper.core.journal import read
from watchkeeper.schedulers.base import TERMINAL

TRAIN = """
import os
import watchkeeper as wk
with wk.start_run("runs", pipeline="training", console=False) as run:
    for step in range(1, 4):
        run.log(step, task=int(os.environ["SLURM_PROCID"]))
    print(run.folder.name, flush=True)
"""


def test_the_tasks_of_a_step_are_one_run_and_the_next_step_another(
    slurm_lab: Lab, clone: Path
) -> None:
    """Two steps of a real job, of four tasks on two nodes each: four tasks know one folder, task 0
    records, three beat.
    """
    slurm_lab.up()
    slurm, root = slurm_lab.scheduler(), slurm_lab.workspace()
    (root / "exp").mkdir()
    (root / "exp" / "train.py").write_text(TRAIN)
    step = f"srun {clone}/.venv/bin/python train.py\n"
    job = make_job(
        root, f"#SBATCH --time=5\n#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=2\n{step}{step}"
    )
    job_id = slurm.submit(job).job_id
    until(lambda: slurm.poll([job_id]).facts[job_id].state in TERMINAL, 120)
    facts = slurm.poll([job_id]).facts[job_id]
    # srun says so where the nodes of the step before are not free yet.
    lines = Path(facts.output).read_text().splitlines()
    said = [line for line in lines if not line.startswith("srun: ")]
    assert facts.state == "COMPLETED", said
    folders = sorted(
        path for path in (root / "exp" / "runs").iterdir() if path.name != ".watchkeeper"
    )
    names = [folder.name for folder in folders]
    assert sorted(line for line in said if line in names) == sorted(names * 4) and len(folders) == 2
    # One task of each step says that the rows of the tasks that do not record are not kept.
    assert all("kept" in line for line in said if line not in names) and len(said) <= 10, said
    for folder in folders:
        rows, problems = wk.read_rows(folder)
        assert problems == []
        assert [(row.step, row.metrics["task"]) for row in rows] == [(1, 0), (2, 0), (3, 0)]
        beats = sorted(path.name for path in (folder / ".watchkeeper/heartbeats").iterdir())
        assert beats == ["rank-1", "rank-2", "rank-3"]
        (events,) = read(folder / ".watchkeeper/journal").events.values()
        assert [event.world_size for event in events if isinstance(event, RunStarted)] == [4]
        assert [event.status for event in events if isinstance(event, RunEnded)] == ["finished"]
