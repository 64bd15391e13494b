"""A wrapped job behaves as the bare one: each script here is submitted both ways to a real Slurm,
and what it printed, how it ended and what Slurm says of that are compared.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.slurm.lab import Lab, make_job, until
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.base import TERMINAL, Job
from watchkeeper.schedulers.shell import Here, as_user
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler

LOOP = "echo ready\nfor ((i = 0; i < 600; i++)); do sleep 0.1; done\necho never\n"
# A site's `module`: a function that a login shell exports.
EXPORTED = {"BASH_FUNC_greet%%": "() {  echo hello $1\n}", "MINE": "a b"}


@dataclass(frozen=True)
class Case:
    """A script; what is done to its job once it says `ready` (an administrator's words; {id} is the
    job's); the end.
    """

    script: str
    act: tuple[str, ...] = ()
    end: tuple[str, int] = ("COMPLETED", 0)
    shell: str = "#!/bin/bash"


CASES = {
    "USR1 to the batch shell": Case(
        ("trap 'echo got USR1; "
            f"exit 7' USR1\n{LOOP}"), ("scancel", "--batch", "--signal=USR1", "{id}"), ("FAILED", 7)
    ),
    "USR1 that a script does not trap": Case(
        LOOP, ("scancel", "--batch", "--signal=USR1", "{id}"), ("FAILED", 0)
    ),
    "scancel, and a script that tidies up": Case(
        f"trap 'echo got TERM; exit 0' TERM\n{LOOP}", ("scancel", "{id}"), ("CANCELLED", 0)
    ),
    "scancel, and a script that does not listen": Case(
        f"trap 'echo got TERM' TERM\n{LOOP}", ("scancel", "{id}"), ("CANCELLED", 0)
    ),
    "the time limit": Case(
        f"trap 'echo got TERM; exit 0' TERM\n{LOOP}",
        ("scontrol", "update", "JobId={id}", "EndTime=now+1"),
        ("TIMEOUT", 0),
    ),
    ("which signals are "
        "ignored and blocked"): Case("grep -E '^Sig(Ign|Blk)' "
            "/proc/self/status\ntrap -p INT "
            "QUIT\n"),
    "an exported function": Case("greet you\nbash -c 'greet us'\n"),
    "the environment": Case(
        'echo "$MINE"\n'
        "env | grep -c ^WATCHKEEPER_T\n"
        'compgen -e | grep -E "^(wk_|SBATCH_)" ; true\n'
    ),
    "set -e": Case("set -e\necho one\nfalse\necho two\n", end=("FAILED", 1)),
    "exec": Case("exec python3 -c 'import sys; print(1); sys.exit(5)'\n", end=("FAILED", 5)),
    "an EXIT trap": Case("trap 'echo bye $?' EXIT\nexit 3\n", end=("FAILED", 3)),
    "a signal of its own": Case("kill -SEGV $$\n", end=("FAILED", 0)),
    ("folders and "
        "relative paths"): Case('pwd\necho "$SLURM_SUBMIT_DIR"\ncat '
            'data.txt\necho made > made.txt\n'),
    "the Command= idiom": Case(
        "command=$(scontrol show job $SLURM_JOB_ID | sed -n 's/.*Command=//p')\n"
        'dirname "$command"\ncat "$(dirname "$command")/data.txt"\n'
    ),
    ("standard input, error "
        "and open files"): Case("readlink /proc/self/fd/0\necho err "
            ">&2\nls /proc/self/fd | wc -l\n"),
    "limits, umask and priority": Case("umask\nulimit -a\nnice\n"),
    "shell level and options": Case('echo $SHLVL $- "$BASHOPTS"\nshopt -o | grep -v off$\n'),
    "a python script": Case(
        ("import os, sys\nprint(sys.argv[1:], "
            "os.getcwd())\nsys.exit(4)\n"), (), ("FAILED", 4), "#!/usr/bin/env python3"
    ),
    "an sh script": Case("readlink /proc/$$/exe\nfalse || echo sh\n", shell="#!/bin/sh"),
    "steps": Case(
        ("srun --ntasks=1 bash -c 'echo step $SLURM_STEP_ID $SLURM_PROCID'\nsrun --ntasks=1 "
            "false\n"), (), ("FAILED", 1)
    ),
    "a job that submits another": Case(
        "sbatch --wait --output=inner.out --wrap='echo inner $SLURM_JOB_NAME' | sed 's/[0-9]*$//'\n"
        "cat inner.out\n"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One of the two ways of submitting a case: where, and how it ended."""

    folder: Path
    job_id: str
    facts: SchedulerFacts
    output: str


@pytest.fixture(scope="module")
def ways(slurm_lab: Lab) -> dict[tuple[str, bool], Way]:
    """(case, wrapped) → what came of it. All jobs are in the queue together."""
    slurm_lab.up()
    shell = Here(prefix=as_user("wkuser"), environment=slurm_lab.environment | EXPORTED)
    scheduler = SlurmScheduler(shell, user="wkuser", settle_s=60.0)
    jobs: dict[tuple[str, bool], tuple[str, Path]] = {}
    for name, case in CASES.items():
        for wrapped in (False, True):
            root = slurm_lab.workspace()
            jobs[name, wrapped] = _submit(case, root, scheduler, wrapped=wrapped), root / "exp"
    for (name, _), (job_id, folder) in jobs.items():
        if CASES[name].act:
            until(lambda folder=folder: "ready" in _output(folder), 180)
            slurm_lab.root(*(word.format(id=job_id) for word in CASES[name].act))
    ids = [job_id for job_id, _ in jobs.values()]
    until(lambda: all(facts.state in TERMINAL for facts in scheduler.poll(ids).facts.values()), 240)
    facts = scheduler.poll(ids).facts
    return {
        key: Way(folder, job_id, facts[job_id], _output(folder))
        for key, (job_id, folder) in jobs.items()
    }


def _submit(case: Case, root: Path, scheduler: SlurmScheduler, *, wrapped: bool) -> str:
    source = f"#SBATCH --output=out.txt\n#SBATCH --job-name=train\n#SBATCH --time=5\n{case.script}"
    job = make_job(root, source, shell=case.shell)
    (root / "exp" / "data.txt").write_text("data\n")
    if not wrapped:
        bare = root / "exp" / "train.sh"
        shutil.copy(job.wrapper.parent / "script", bare)
        job = Job(wrapper=bare, folder=job.folder, name=job.name, token="")
    return scheduler.submit(job).job_id


def _output(folder: Path) -> str:
    path = folder / "out.txt"
    return path.read_text() if path.exists() else ""


def _common(way: Way) -> str:
    """Its output, without what differs between any two jobs: ids, nodes, their own folder, Slurm's
    spool and times; and without a shell's word on the `sleep` that a signal to all hit, or just
    missed, and srun's on a step that waits for the one before it.
    """
    text = re.sub(rf"\b{way.job_id}\b", "ID", way.output.replace(str(way.folder), "FOLDER"))
    text = re.sub(r"\bn[1-4]\b", "NODE", text)
    text = re.sub(r"\S*/spool/\S*/slurm_script|\S*/\.watchkeeper/\S*/script", "SCRIPT", text)
    text = re.sub(r"^(.*line [0-9]+: +[0-9]+ )?Terminated.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(
        r"^srun: (Job .* step creation|Step created for) .*\n", "", text, flags=re.MULTILINE
    )
    return re.sub(
        r"line [0-9]+: +[0-9]+ ",
        "line N: PID ",
        re.sub(r"ID ON \S+ CANCELLED AT \S+", "CANCELLED", text),
    )


@pytest.mark.parametrize("name", CASES)
def test_a_wrapped_job_behaves_as_the_bare_one(
    ways: dict[tuple[str, bool], Way], name: str
) -> None:
    """The same output, the same state, the same exit code; a script that a signal ended has the
    shell's code, 128 + n, where Slurm alone says the signal.
    """
    bare, wrapped = ways[name, False], ways[name, True]
    assert _common(wrapped) == _common(bare)
    assert (bare.facts.state, bare.facts.exit_code) == CASES[name].end
    died_of = bare.facts.signal if bare.facts.state == "FAILED" else None
    assert wrapped.facts.state == bare.facts.state
    assert wrapped.facts.exit_code == (128 + died_of if died_of else bare.facts.exit_code)


def test_what_is_really_looked_at(ways: dict[tuple[str, bool], Way]) -> None:
    """The comparisons above compare something: each script printed what it is about."""
    for name, words in {
        "USR1 to the batch shell": "got USR1",
        "scancel, and a script that tidies up": "got TERM",
        "the time limit": "got TERM",
        "an exported function": "hello you\nhello us",
        "folders and relative paths": "\ndata\n",
        "the Command= idiom": "\ndata\n",
        "a job that submits another": "inner ",
        "steps": "step 0 0",
    }.items():
        assert words in ways[name, True].output, name
