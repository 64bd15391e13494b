"""A job on a real Slurm that is not well is called so; `make health` does it with five."""

from __future__ import annotations

from tests.crash.mounts import mounted
from tests.slurm.health import Ward, table
from tests.slurm.lab import Lab


def test_a_job_that_fills_a_real_disk_is_called_failing_within_two_looks(slurm_lab: Lab) -> None:
    """The error that it printed names the full disk while the job still runs; one alarm is raised,
    and notified.
    """
    slurm_lab.up()
    try:
        with mounted(
            slurm_lab.workspace() / "disk", "-t", "tmpfs", "-o", "size=4m,mode=0777", "tmpfs"
        ) as disk:
            assert table(Ward(slurm_lab, disk, ("disk",))) == []
    finally:
        slurm_lab.cancel_all()
