"""Before anything is submitted: scripts that hide their failures, and what a site will not give
them.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from watchkeeper.core.code.environment import Environment, Python
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.preflight import checked, examine, hidden_failure, package_notes
from watchkeeper.schedulers.site import Partition, Site

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("version", "is_named"), [("0.24.0", True), ("0.31.0", False)])
@pytest.mark.parametrize("is_on_path", [True, False])
def test_a_wandb_that_loses_rows_is_named_before_a_job_uses_it(version, is_named, is_on_path):
    """A job inherits the first Python on the submitter's PATH, else the submitter's own."""
    jobs = Python(executable="/env/bin/python", version="3.11", packages={"wandb": version})
    other = Python(executable="/usr/bin/python3", version="3.11", packages={})
    installed = Environment(
        submitter=other if is_on_path else jobs,
        on_path=jobs if is_on_path else None,
        system="",
        variables={},
    )
    said = [one.message for one in package_notes(installed)]
    assert said == ["/env/bin/python has wandb 0.24.0, which may lose rows as it logs"] * is_named


HIDING = {
    "a saved code that nothing uses": (
        "inspect eval task.py\nEXIT_CODE=$?\necho code $EXIT_CODE\n",
        "$EXIT_CODE (line 3)",
    ),
    "a last word": ("python train.py\necho done\n", "`echo done` (line 3)"),
    "a date": ("srun python train.py\ndate\n", "`date` (line 3)"),
    "exit 0": ("python train.py\nexit 0\n", "`exit 0` (line 3)"),
    "wait": ("python a.py &\npython b.py &\nwait\n", "`wait` (line 4)"),
    "|| true": ("cd x\npython train.py || true\n", "`|| true` (line 3)"),
    "a pipe": ("python train.py 2>&1 | tee log.txt\n", "`| tee` (line 2)"),
    "a continued line": ("python train.py \\\n  --lr 1\necho done\n", "`echo done` (line 4)"),
    "a here-document": (
        "cat > x <<EOF\nset -e\nEOF\npython train.py\necho done\n",
        "`echo done` (line 6)",
    ),
}
TELLING = {
    "the command itself": "python train.py\n",
    "set -e": "set -e\npython train.py\necho done\n",
    "set -euo pipefail": "set -euo pipefail\npython train.py | tee log\n",
    "set -o errexit": "set -o errexit\npython train.py\necho done\n",
    "an ERR trap": "trap 'exit 3' ERR\npython train.py\necho done\n",
    "a code that is used": "python train.py\ncode=$?\necho $code\nexit $code\n",
    (
        "a code that is tested"
    ): "python train.py\ncode=$?\nif [ $code -ne 0 ]; then\n  exit 1\nfi\necho done\n",
    "a test at the end": "python train.py\ncode=$?\necho $code\n[[ $code == 0 ]]\n",
    "an exit after a failure": "python train.py || exit 1\necho done\n",
    "&&": "python train.py && echo done\n",
    "exec": "exec python train.py\n",
    "pipefail": "set -o pipefail\npython train.py | tee log\n",
    "only words": "echo nothing to do\n",
    "nothing": "",
}


@pytest.mark.parametrize("name", HIDING)
def test_a_hidden_failure_is_named_and_is_one(name, tmp_path):
    """What is told of a script is so: where its program fails, bash ends it with code 0."""
    source, words = HIDING[name]
    told = hidden_failure(b"#!/bin/bash\n" + source.encode())
    assert told is not None and words in told
    assert _code(source, tmp_path) == 0


@pytest.mark.parametrize("name", TELLING)
def test_a_script_that_tells_is_let_be(name, tmp_path):
    """A script that ends badly where its program fails, or does nothing, is not warned of."""
    source = TELLING[name]
    assert hidden_failure(b"#!/bin/bash\n" + source.encode()) is None
    assert ("python" in source) == (_code(source, tmp_path) != 0)


def _code(source, tmp_path):
    """How bash ends the script when python, srun and inspect fail."""
    for program in ("python", "srun", "inspect"):
        path = tmp_path / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\nexit 7\n")
        path.chmod(0o755)
    (tmp_path / "x").mkdir(exist_ok=True) if "cd x" in source else None
    command = ["bash", "-c", source]
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    return subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, check=False
    ).returncode


@pytest.mark.parametrize(
    "first", ["#!/bin/bash -e", "#!/usr/bin/env -S bash -e", "#!/usr/bin/env python3"]
)
def test_only_shells_that_go_on_after_a_failure_are_read(first):
    """What stops at a failure by its first line, or is no shell, is not read as a lenient one."""
    assert not examine(f"{first}\ntrain\necho done\n".encode(), "a.slurm", Site())


@pytest.mark.parametrize(
    "first", ["#!/bin/bash", "#!/bin/sh", "#!/usr/bin/env bash", "#!/bin/bash -l"]
)
def test_shells_are_read(first):
    """Shells are known by whatever path, also through env."""
    (problem,) = examine(f"{first}\ntrain\necho done\n".encode(), "a.slurm", Site())
    assert problem.severity == "warning" and problem.where == "a.slurm" and "set -e" in problem.hint


DEBUG = Partition(name="debug", is_default=True, up=True, max_time_s=86_400, default_time_s=3_600)
SHORT = Partition(name="short", is_default=False, up=True, max_time_s=600, default_time_s=None)
HIGH = Partition(name="high", is_default=False, up=False, max_time_s=None, default_time_s=None)
SITE = Site(
    partitions=(DEBUG, SHORT, HIGH),
    max_array=1001,
    accounts=("lab", "other"),
    default_account="lab",
    checks_accounts=True,
)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("--time=1:00:00 --account=lab", None),
        ("--time=1:00:00 -A lab -p short,debug", None),
        ("--time=1:00:00 -A lab -p shrot", "there is no partition 'shrot' (did you mean 'short'?"),
        (
            "--time=1:00:00 -A lab -p short",
            "1:00:00, and partition short allows 10:00 (partitions that allow it: debug",
        ),
        ("--time=2-0 -A lab", "asks for 48:00:00, and partition debug allows 24:00:00"),
        ("--time=1 -A lab -p high", "partition high is down"),
        ("-A lab", "it has no --time: partition debug ends it after 1:00:00"),
        ("-A lab -p short", "it has no --time: partition short ends it after 10:00"),
        (
            "--time=1 ",
            "it has no --account: 'lab' is charged (write --account=NAME; there are: lab, other)",
        ),
        ("--time=1 -A nope", "account 'nope' is none of this user's"),
        (
            "--time=1 -A lab --output=logs/%j/out.txt",
            "output logs/%j/out.txt is named by the job's id or node",
        ),
        ("--time=1 -A lab --output=logs/%x/out-%j.txt", None),
        (
            "--time=1 -A lab --array=0-1001",
            "--array names task 1001, and this cluster takes 0 to 1000",
        ),
    ],
)
def test_what_a_site_does_not_give_is_named(lines, words):
    """Each wish that the site will not grant, or will decide by itself, is told with what to write
    instead.
    """
    found = examine(f"#!/bin/bash\n#SBATCH {lines}\ntrue\n".encode(), "a.slurm", SITE)
    assert len(found) == (words is not None)
    assert words is None or words in str(found[0])


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--array={}", "names no tasks"),
        ("--array=0-{}", "names no tasks"),
        ("--time={}", "is no time limit"),
        ("--gpus={}", "is no number of GPUs"),
        ("--gres=gpu:{}", "is no number of GPUs"),
    ],
)
def test_a_number_of_thousands_of_digits_is_a_fault_of_the_script(option, words):
    """A directive that sbatch would refuse is one finding, with what to write, and no traceback."""
    line = option.format("9" * 5000)
    source = f"#!/bin/bash\n#SBATCH {line}\npython train.py --epochs {'9' * 5000}\n"
    (problem,) = examine(source.encode(), "a.slurm", Site())
    assert problem.severity == "error" and words in problem.message and problem.hint


def test_options_of_the_profile_outweigh_the_script():
    """A site is asked for what sbatch will be asked for: the profile's options win over the
    script's own lines.
    """
    site = Site(partitions=(DEBUG, SHORT), options=("--partition=debug", "--time=0:30:00"))
    assert not examine(b"#!/bin/bash\n#SBATCH -p nope --time=9-0\ntrue\n", "a.slurm", site)


def test_nothing_known_warns_of_nothing():
    """Where a site did not answer, and on this machine, no script is warned of for what nobody
    knows.
    """
    assert not examine(b"#!/bin/bash\n#SBATCH -p a -A b --array=0-99999\ntrue\n", "a.slurm", Site())


def test_the_same_finding_is_told_once(tmp_path):
    """Of many scripts with one fault, one line is told, which names the first and counts the
    others.
    """
    shutil.copytree(ROOT / "examples" / "digits", tmp_path / "digits")
    for script in (tmp_path / "digits").glob("*/finetune.slurm"):
        script.write_text("#!/bin/bash\npython train.py\necho done\n")
    found = checked(experiments.read(tmp_path / "digits"), Site())
    told = [str(problem) for problem in found.problems if "echo done" in problem.message]
    assert len(told) == 1 and "finetune.slurm and 3 more" in told[0]


def test_a_script_that_the_disk_refuses_is_a_finding(tmp_path, refused_files):
    """It was not examined, and that is said once, with what to do."""
    shutil.copytree(ROOT / "examples" / "digits", tmp_path / "digits")
    experiment = experiments.read(tmp_path / "digits")
    script = next(item.script for item in experiment.items if item.script)
    refused_files.add(tmp_path / "digits" / script)
    (problem,) = checked(experiment, Site()).problems
    assert problem.where == script and problem.severity == "warning"
    assert "Input/output error" in problem.message and "check the disk" in problem.hint


def test_our_own_examples_hide_nothing():
    """The examples' scripts draw no warning."""
    assert not checked(experiments.read(ROOT / "examples" / "digits"), Site()).problems
