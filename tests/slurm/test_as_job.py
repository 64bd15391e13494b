"""The watch as a job of the cluster."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.experiments import claims, state_of, times_run, write_experiment
from tests.slurm.lab import USER, Lab, until
from watchkeeper.schedulers.shell import as_user

GO = (
    'until [ -e "$SLURM_SUBMIT_DIR/../go" ] || [ -e "$SLURM_SUBMIT_DIR/../../go" ]; do sleep '
    "0.2; done"
)


def test_the_watch_lives_on_the_cluster_and_outlives_its_time_limit(
    clone: Path, slurm_lab: Lab
) -> None:
    """`run --as-job` leaves at once; near its time limit the job detaches and queues itself again,
    goes on watching from there, and each job ran once.
    """
    folder = write_experiment(clone / "as-job", body=GO)
    subprocess.run(["chown", "-R", f"{USER}:", folder], check=True)
    environment = slurm_lab.environment | {"HOME": str(clone), "PATH": os.environ["PATH"]}
    words = [
        *as_user(USER),
        clone / ".venv/bin/watchkeeper",
        "run",
        folder,
        "--cluster",
        "lab",
        "--poll",
        "5",
        "--as-job",
    ]
    done = subprocess.run(
        [*words, "--stagger", "0", "--json"],
        env=environment,
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["data"]
    job_id, output = told["job_id"], Path(told["output"])

    def ask(*argv: str) -> str:
        return slurm_lab.shell.run(argv, timeout_s=60).out.strip()

    def state() -> str:
        return ask("squeue", "--noheader", "--format=%T", f"--jobs={job_id}")

    try:
        until(lambda: claims(folder))
        # What Slurm itself sends three minutes before the job's limit.
        ask("scancel", "--batch", "--signal=USR1", job_id)
        until(lambda: state() == "PENDING")
        assert "Detached (SIGTERM)" in output.read_text()
        (folder / "go").touch()
        until(lambda: state() in ("", "COMPLETED"), seconds=120)
    finally:
        ask("scancel", job_id)
    assert "The watch goes on when this job has its turn again." in output.read_text()
    outcomes = [
        a.judged.outcome if a.judged else "open"
        for r in state_of(folder).runs.values()
        for a in r.attempts.values()
    ]
    assert outcomes == ["done", "done"]
    assert set(times_run(folder).values()) == {1} and len(claims(folder)) == 2


def test_a_watch_as_a_job_needs_a_cluster(tmp_path: Path, clone: Path) -> None:
    """Without a cluster `--as-job` says so, and what to type instead."""
    folder = write_experiment(tmp_path / "exp")
    done = subprocess.run(
        [clone / ".venv/bin/watchkeeper", "run", folder, "--as-job"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        done.returncode == 2
        and "--as-job needs a cluster" in done.stderr
        and "--cluster NAME" in done.stderr
    )
