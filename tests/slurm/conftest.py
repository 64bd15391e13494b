"""What the tests on a real Slurm share."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.slurm.lab import USER, Lab, write_settings

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="session")
def clone(slurm_lab: Lab) -> Path:
    """A copy of the repository that the ordinary user owns, with an environment of its own."""
    clone = slurm_lab.workspace()
    made = shutil.ignore_patterns(
        ".watchkeeper",
        "artifacts",
        "slurm-*.out",
        "*_epoch?",
        "*_base",
        "run-*.log*",
        "__pycache__",
    )
    for name in ("src", "examples"):
        shutil.copytree(ROOT / name, clone / name, ignore=made)
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone / name)
    write_settings(clone, '[clusters.lab]\nkind = "slurm"\n')
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", clone / ".venv"], check=True)
    install = [clone / ".venv/bin/pip", "install", "-q", "-c", "constraints.txt", ".[demo]"]
    subprocess.run(install, cwd=clone, check=True)
    subprocess.run(["chown", "-R", f"{USER}:", clone], check=True)
    return clone
