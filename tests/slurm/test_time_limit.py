"""A job close to its time limit gets its signal through the wrapper, and the recorder inside it
ends in good order.
"""

from __future__ import annotations

from pathlib import Path

from tests.slurm.lab import Lab, make_job, until
from watchkeeper.core.events import Interrupted, RunEnded
from watchkeeper.core.journal import read
from watchkeeper.schedulers.base import TERMINAL

TRAIN = """
import time
import watchkeeper as wk
with (
    wk.start_run(folder="run", pipeline="training", console=False) as run,
    run.table("rows") as table,
):
    for number in range(100_000):
        table.append({"n": number})
        if run.stop_requested:
            run.checkpoint("last")
            break
        time.sleep(0.05)
"""


def test_the_warning_reaches_the_recorder_before_the_limit(slurm_lab: Lab, clone: Path) -> None:
    """`--signal=B:USR1@60` of the script's own head, near the limit: the loop is asked to stop, its
    table is sealed, a checkpoint is recorded, the end is written, and Slurm need not kill anything.
    """
    slurm_lab.up()
    slurm, root = slurm_lab.scheduler(), slurm_lab.workspace()
    head = "#SBATCH --time=5\n#SBATCH --signal=B:USR1@60\n"
    (root / "exp").mkdir()
    (root / "exp" / "train.py").write_text(TRAIN)
    (root / "exp" / "last").write_text("weights")
    job = make_job(root, f"{head}exec {clone}/.venv/bin/python train.py\n")
    job_id = slurm.submit(job).job_id
    rows = root / "exp" / "run" / "rows_partial.csv"
    until(lambda: rows.exists() and rows.read_text().count("\n") > 5)
    slurm_lab.root("scontrol", "update", f"JobId={job_id}", "EndTime=now+50")
    until(lambda: slurm.poll([job_id]).facts[job_id].state in TERMINAL, 120)
    facts = slurm.poll([job_id]).facts[job_id]
    assert (facts.state, facts.exit_code) == ("FAILED", 143)
    kinds = [
        event
        for events in read(root / "exp" / "run" / ".watchkeeper" / "journal").events.values()
        for event in events
    ]
    assert [event for event in kinds if isinstance(event, Interrupted)]
    (ended,) = [event for event in kinds if isinstance(event, RunEnded)]
    assert ended.status == "interrupted"
    assert (root / "exp" / "run" / "rows.csv").read_text().count("\n") > 5
