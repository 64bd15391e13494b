"""The sidecar within a job of a real Slurm: a hang is found on the node, told in the run's folder,
and ended when asked.
"""

from __future__ import annotations

from pathlib import Path

from tests.slurm.lab import Lab, make_job, until
from watchkeeper.core.events import RunEnded, Stalled
from watchkeeper.core.journal import read
from watchkeeper.schedulers.base import TERMINAL

TRAIN = """
import threading
import watchkeeper as wk
settings = {"console": False, "stall_s": 2, "end_stalled": True}
with wk.start_run(folder="run", pipeline="training", **settings) as run:
    run.log(1, loss=1.0)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""


def events(folder, kind):
    return [
        e
        for own in read(folder / ".watchkeeper/journal").events.values()
        for e in own
        if isinstance(e, kind)
    ]


def ended(lab, job):
    """The facts of the job's end."""
    slurm = lab.scheduler()
    job_id = slurm.submit(job).job_id
    until(lambda: slurm.poll([job_id]).facts[job_id].state in TERMINAL, 120)
    return slurm.poll([job_id]).facts[job_id]


def test_a_hang_in_a_job_is_found_and_ended_and_the_job_leaves_the_node(
    slurm_lab: Lab, clone: Path
) -> None:
    """A training that waits for a lock is ended by SIGTERM through its recorder, long before the
    walltime, and says why.
    """
    slurm_lab.up()
    root = slurm_lab.workspace()
    (root / "exp").mkdir()
    (root / "exp" / "train.py").write_text(TRAIN)
    line = (
        f"WATCHKEEPER_SIDECAR=1 WATCHKEEPER_SIDECAR_DELAY_S=0.1 {clone}/.venv/bin/python train.py\n"
    )
    facts = ended(slurm_lab, make_job(root, f"#SBATCH --time=5\n{line}"))
    assert facts.state == "FAILED"
    run = root / "exp" / "run"
    (stall,) = events(run, Stalled)
    assert stall.training_step == 1 and "a lock" in stall.cause and stall.ends
    assert "train.py" in (run / stall.report).read_text()
    assert [event.status for event in events(run, RunEnded)] == ["interrupted"]


def test_a_command_in_a_job_is_recorded_and_its_code_is_the_jobs(
    slurm_lab: Lab, clone: Path
) -> None:
    """`watchkeeper exec` in a batch script: output kept, the exit code passed through to Slurm."""
    slurm_lab.up()
    root = slurm_lab.workspace()
    (root / "exp").mkdir()
    line = (
        f"{clone}/.venv/bin/watchkeeper exec --folder run -- bash -c 'echo step 1 loss 0.5; "
        "exit 7'\n"
    )
    facts = ended(slurm_lab, make_job(root, f"#SBATCH --time=5\n{line}"))
    assert (facts.state, facts.exit_code) == ("FAILED", 7)
    run = root / "exp" / "run"
    assert (run / "logs/stdout.log").read_text() == "step 1 loss 0.5\n"
    assert [event.totals["exit_code"] for event in events(run, RunEnded)] == [7]
