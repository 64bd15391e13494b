"""Jobs that a real Slurm starts together begin apart."""

from __future__ import annotations

import itertools

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
    times = sorted(map(float, (root / "exp" / "began").read_text().split()))
    assert void_claim(folder)
    assert len(times) == 3
    assert all(after - before > 2.5 for before, after in itertools.pairwise(times))
