"""The capitalization experiment, unchanged, on a real Slurm: torchtune and inspect-ai as an
ordinary user's jobs.
"""

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
from tests.slurm.lab import USER, Lab, write_settings
from watchkeeper.schedulers.shell import as_user

TOOLS = {
    "tune": "torchtune._cli.tune",
    "inspect": "inspect_ai._cli.main",
    "watchkeeper": "watchkeeper.show.cli",
}
MISSING = [
    name
    for name in ("torch", "torchtune", "torchao", "inspect_ai", "transformers")
    if not importlib.util.find_spec(name)
]
IN_CI = os.environ.get("CI") == "true"
WHOLE = os.environ.get("WATCHKEEPER_TEST_SIZE") == "full"  # `make test-all`: all 22 jobs
CUT = [] if WHOLE else ["--runs", "r8_lr1e-2", "--evals", "*/capitalization/epoch1"]


def cannot(why: str) -> None:
    """Skip, or fail where it must be possible."""
    (pytest.fail if IN_CI else pytest.skip)(why)


@pytest.fixture
def capitalization(slurm_lab: Lab) -> Path:
    """A copy of the experiment that the ordinary user owns, beside an environment of the system's
    Python, which that user may run, with this environment's libraries; a model of few training
    steps.
    """
    if MISSING:
        cannot(f"the real tools are not there: {', '.join(MISSING)}")
    version = subprocess.run(
        [SYSTEM_PYTHON, "-V"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) != sys.version_info[:2]:
        cannot(
            f"{SYSTEM_PYTHON} is {version}: it cannot load the libraries of Python "
            f"{sys.version_info[:2]}"
        )
    root = slurm_lab.workspace()
    made = shutil.ignore_patterns(
        ".watchkeeper",
        "artifacts",
        "slurm-*.out",
        "logs",
        "run-*.log*",
        "__pycache__",
        "work",
        ".tmp-*",
    )
    folder = Path(
        shutil.copytree(
            ROOT / "examples/capitalization", root / "examples/capitalization", ignore=made
        )
    )
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    write_settings(root, '[clusters.lab]\nkind = "slurm"\n')
    venv = root / ".venv"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    (packages / "tools.pth").write_text(f"{root / 'src'}\n{sysconfig.get_paths()['purelib']}\n")
    for name, module in TOOLS.items():
        (venv / "bin" / name).write_text(
            f"#!{venv}/bin/python\nfrom {module} import main\nmain()\n"
        )
        (venv / "bin" / name).chmod(0o755)
    subprocess.run(["chown", "-R", f"{USER}:", root], check=True)
    commit(slurm_lab, root)
    prepare = [
        *as_user(USER),
        venv / "bin" / "python",
        folder / "prepare.py",
        *([] if WHOLE else ["--steps", "20"]),
    ]
    done = subprocess.run(
        prepare,
        env=environment(slurm_lab, root),
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


def environment(lab: Lab, root: Path) -> dict[str, str]:
    return lab.environment | {"HOME": str(root), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}


def commit(lab: Lab, root: Path) -> None:
    """Make a repository of the folder with the sources committed, to trace figures back to."""
    (root / ".gitignore").write_text(
        ".venv/\n.watchkeeper/\nwork/\nartifacts/\n*.out\n*.log\nlogs/\nrun_logs/\n"
    )
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(
            [*as_user(USER), "git", *words], env=environment(lab, root), cwd=root, check=True
        )


def test_torchtune_and_inspect_run_unchanged_on_a_cluster(
    capitalization: Path, slurm_lab: Lab
) -> None:
    """The scripts that run on this machine run there, each once, judged by what it left; and each
    accuracy can be traced to the log of inspect-ai, the checkpoint, the jobs, the scripts and the
    commit that made it.
    """
    folder, root = capitalization, capitalization.parents[1]
    watchkeeper = [*as_user(USER), root / ".venv/bin/watchkeeper"]
    command = [
        *watchkeeper,
        "run",
        folder,
        "--cluster",
        "lab",
        *CUT,
        "--poll",
        "5",
        "--stagger",
        "0",
    ]
    options = {
        "env": environment(slurm_lab, root),
        "cwd": root,
        "capture_output": True,
        "text": True,
        "check": False,
    }
    done = subprocess.run(command, timeout=1800 if WHOLE else 300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    ends = {key: run.latest.judged for key, run in state_of(folder).runs.items() if run.latest}
    evaluations = {key: end for key, end in ends.items() if end.phase == "evaluation"}
    assert (len(ends) - len(evaluations), len(evaluations)) == ((4, 18) if WHOLE else (1, 1))
    assert {end.outcome for end in ends.values()} == {"done"}
    assert {
        b.details for b in blocks_of(folder, "run-torchtune.log") if b.action == "SUBMIT_JOB"
    } == {"sbatch finetune.slurm"}
    assert {
        b.details for b in blocks_of(folder, "run-inspect.log") if b.action == "SUBMIT_EVAL"
    } == {"sbatch cell.slurm"}
    for key, end in evaluations.items():
        assert "accuracy" in end.metrics
        traced = subprocess.run([*watchkeeper, "trace", folder, key], timeout=300, **options)
        assert traced.returncode == 0, traced.stdout + traced.stderr
        lines = [line for line in traced.stdout.splitlines() if line.startswith(("←", " "))]
        links = {line.removeprefix("← ").split()[0] for line in lines}
        wanted = {"result", "evaluation", "script", "code"}
        wanted |= set() if key.startswith("base/") else {"checkpoint", "training"}
        assert wanted <= links, traced.stdout
        assert ".eval" in traced.stdout
    again = subprocess.run(command, timeout=300, **options)
    assert again.returncode == 0 and len(claims(folder)) == len(ends)
