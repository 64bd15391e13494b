"""The capitalization experiment, unchanged, on a real Slurm: torchtune and inspect-ai as an ordinary user's jobs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.experiments import blocks_of, claims, state_of
from tests.slurm.conftest import ROOT, SYSTEM_PYTHON
from tests.slurm.lab import USER, Lab
from watchkeeper.schedulers.shell import as_user

TOOLS = {"tune": "torchtune._cli.tune", "inspect": "inspect_ai._cli.main", "watchkeeper": "watchkeeper.show.cli"}
MISSING = [
    name for name in ("torch", "torchtune", "torchao", "inspect_ai", "transformers") if not importlib.util.find_spec(name)
]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"the real tools are not there: {', '.join(MISSING)}")
CUT = ["--runs", "r8_lr1e-2", "--evals", "*/capitalization/epoch1"]


@pytest.fixture
def capitalization(slurm_lab: Lab) -> Path:
    """A copy of the experiment that the ordinary user owns, beside an environment of the system's Python, which that user
    may run, with this environment's libraries; a model of few training steps.
    """
    version = subprocess.run([SYSTEM_PYTHON, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) != sys.version_info[:2]:
        pytest.skip(f"{SYSTEM_PYTHON} is {version}: it cannot load the libraries of Python {sys.version_info[:2]}")
    root = slurm_lab.workspace()
    made = shutil.ignore_patterns(
        ".watchkeeper", "artifacts", "slurm-*.out", "logs", "run-*.log*", "__pycache__", "work", ".tmp-*"
    )
    folder = Path(shutil.copytree(ROOT / "examples/capitalization", root / "examples/capitalization", ignore=made))
    shutil.copytree(ROOT / "src", root / "src", ignore=made)
    (root / "watchkeeper.toml").write_text('[clusters.lab]\nkind = "slurm"\n')
    venv = root / ".venv"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    (packages / "tools.pth").write_text(f"{root / 'src'}\n{sysconfig.get_paths()['purelib']}\n")
    for name, module in TOOLS.items():
        (venv / "bin" / name).write_text(f"#!{venv}/bin/python\nfrom {module} import main\nmain()\n")
        (venv / "bin" / name).chmod(0o755)
    subprocess.run(["chown", "-R", f"{USER}:", root], check=True)
    prepare = [*as_user(USER), venv / "bin" / "python", folder / "prepare.py", "--steps", "20"]
    done = subprocess.run(
        prepare, env=environment(slurm_lab, root), cwd=root, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return folder


def environment(lab: Lab, root: Path) -> dict[str, str]:
    return lab.environment | {"HOME": str(root), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}


def test_torchtune_and_inspect_run_unchanged_on_a_cluster(capitalization: Path, slurm_lab: Lab) -> None:
    """The scripts that run on this machine run there: a fine-tune and an evaluation, each once, judged by what it left."""
    folder, root = capitalization, capitalization.parents[1]
    command = [*as_user(USER), root / ".venv/bin/watchkeeper", "run", folder, "--cluster", "lab", *CUT]
    command += ["--poll", "5", "--stagger", "0"]
    options = {"env": environment(slurm_lab, root), "cwd": root, "capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    ends = {key: run.latest.judged for key, run in state_of(folder).runs.items() if run.latest}
    assert {key: end.outcome for key, end in ends.items()} == {
        "r8_lr1e-2": "done", "r8_lr1e-2/capitalization/epoch1": "done",
    }  # fmt: skip
    assert "accuracy" in ends["r8_lr1e-2/capitalization/epoch1"].metrics
    assert [b.details for b in blocks_of(folder, "run-torchtune.log") if b.action == "SUBMIT_JOB"] == [
        "sbatch finetune.slurm"
    ]
    assert [b.details for b in blocks_of(folder, "run-inspect.log") if b.action == "SUBMIT_EVAL"] == ["sbatch cell.slurm"]
    again = subprocess.run(command, timeout=60, **options)
    assert again.returncode == 0 and len(claims(folder)) == 2
