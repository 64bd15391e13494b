"""The digits experiment, unchanged, on a real Slurm, by an ordinary user who has only Debian's
Python.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.experiments import blocks_of, claims, state_of
from tests.slurm.lab import USER, Lab
from watchkeeper.schedulers.shell import as_user


def test_digits_runs_unchanged_on_a_cluster_by_one_command(clone: Path, slurm_lab: Lab) -> None:
    """One command does all of it; every job was claimed once, and a second run submits nothing."""
    folder = clone / "examples" / "digits"
    command = [
        *as_user(USER),
        clone / ".venv/bin/watchkeeper",
        "run",
        folder,
        "--cluster",
        "lab",
        "--poll",
        "5",
        "--stagger",
        "0",
    ]
    environment = slurm_lab.environment | {"HOME": str(clone), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        command,
        env=environment,
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(claims(folder)) == 22
    outcomes = [
        a.judged.outcome if a.judged else "open"
        for run in state_of(folder).runs.values()
        for a in run.attempts.values()
    ]
    assert outcomes == ["done"] * 22
    submits = {b.details for b in blocks_of(folder, "run-training.log") if b.action == "SUBMIT_JOB"}
    assert submits == {"sbatch finetune.slurm"}
    status = [
        b.details for b in blocks_of(folder, "run-evaluation.log") if b.action == "STATUS_CHECK"
    ]
    assert status and all(details.startswith(f"squeue -u {USER}") for details in status)
    again = subprocess.run(
        command,
        env=environment,
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert again.returncode == 0 and len(claims(folder)) == 22
    elsewhere = subprocess.run(
        [*command[:-6]],
        env=environment,
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert elsewhere.returncode == 0, "nothing is under way, so that no cluster need be named"
