"""Jobs that a real Slurm starts together begin apart."""

from __future__ import annotations

from tests.schedulers.wrapper.test_gap import gaps_of
from tests.slurm.lab import Lab, make_job, until
from watchkeeper.schedulers.wrapper.claims import void_claim


def test_jobs_that_slurm_starts_together_begin_apart(light_slurm_lab: Lab) -> None:
    """Jobs that were held and are released together begin the gap apart; one that is cancelled
    while it waits has claimed nothing, so that its attempt can be closed.
    """
    scheduler = light_slurm_lab.scheduler()
    root = light_slurm_lab.workspace()
    jobs = [make_job(root, "#SBATCH --hold\ndate +%s.%N >> began\n", gap_s=3.0) for _ in range(4)]
    ids = [scheduler.submit(job).job_id for job in jobs]
    light_slurm_lab.root("scontrol", "release", ",".join(ids))

    def running() -> list[str]:
        return light_slurm_lab.root(
            "squeue", "--noheader", "--states=RUNNING", "--format=%i"
        ).split()

    waits = until(
        lambda: [
            one
            for one in running()
            if not list(jobs[ids.index(one)].wrapper.parent.glob("claim.*"))
        ]
    )
    cancelled = waits[-1]
    light_slurm_lab.root("scancel", cancelled)
    until(
        lambda: (
            not set(ids) & set(light_slurm_lab.root("squeue", "--noheader", "--format=%i").split())
        )
    )
    folder = jobs[ids.index(cancelled)].wrapper.parent
    assert void_claim(folder)
    assert len((root / "exp" / "began").read_text().split()) == 3
    gaps = gaps_of(root / "exp" / ".watchkeeper" / "starts")
    assert len(gaps) == 2
    assert min(gaps) > 2.9
