"""Running commands here, with real processes."""

import os
import signal
import time

import pytest

from watchkeeper.core import processes
from watchkeeper.schedulers.shell import NOT_THERE, Done, Here, Ssh, clean_environment

ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def test_a_command_and_its_words(tmp_path):
    """Arguments reach the command as they are; code, output, folder, environment and input are its
    own.
    """
    here = Here(environment=ENV)
    words = ["a b", "$(touch x)", "'\"|", "ünï"]
    script = 'printf "%s\\n" "$@"; pwd; echo "$MORE"; cat; echo oops >&2; exit 3'
    done = here.run(
        ["sh", "-c", script, "sh", *words],
        timeout_s=30,
        folder=str(tmp_path),
        env={"MORE": "more"},
        input="fed",
    )
    assert done == Done(code=3, out="\n".join([*words, str(tmp_path), "more", "fed"]), err="oops\n")
    assert list(tmp_path.iterdir()) == []


def test_a_prefix():
    """A prefix goes before every command."""
    assert (
        Here(prefix=["env", "WHO=me"], environment=ENV)
        .run(["sh", "-c", "echo $WHO"], timeout_s=30)
        .out
        == "me\n"
    )


def test_what_is_not_there(tmp_path):
    """A missing command, or folder, is a code and a message that names it, never an exception."""
    here = Here(environment=ENV)
    assert here.run(["no-such-command"], timeout_s=30) == Done(
        code=NOT_THERE, err="no-such-command: not found"
    )
    missing = str(tmp_path / "nowhere")
    assert here.run(["true"], timeout_s=30, folder=missing) == Done(
        code=NOT_THERE, err=f"{missing}: not found"
    )
    plain = tmp_path / "plain"
    plain.touch()
    assert here.run([str(plain)], timeout_s=30).code == 126


def test_a_timeout_ends_all_of_it(tmp_path):
    """A command that takes too long is killed with what it started, and what it said is kept."""
    pids = tmp_path / "pids"
    script = f"echo begun; sleep 1000 & echo $! > {pids}; sleep 1000"
    done = Here(environment=ENV).run(["sh", "-c", script], timeout_s=1)
    assert (done.code, done.timed_out, done.out) == (-signal.SIGKILL, True, "begun\n")
    deadline = time.monotonic() + 30
    while processes.start_ticks(int(pids.read_text())) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_bytes_are_lost():
    """Output that is no UTF-8 is kept."""
    done = Here(environment=ENV).run(["printf", "\\377"], timeout_s=30)
    assert done.out.encode("utf-8", "surrogateescape") == b"\xff"


@pytest.mark.parametrize("active", [True, False])
def test_a_clean_environment(tmp_path, active):
    """What says of this process only is left out: its job, its settings, and its virtual
    environment if activating it put that there. Where the cluster is stays, and so do another
    virtual environment and what is meant for sbatch.
    """
    ours, other = tmp_path / "ours", tmp_path / "other"
    for venv in (ours, other):
        (venv / "bin").mkdir(parents=True)
    dirty = {
        "PATH": os.pathsep.join([str(ours / "bin"), "/usr/bin", str(other / "bin")]),
        "VIRTUAL_ENV": str(ours if active else other),
        "SLURM_JOB_ID": "17",
        "SLURM_CONF": "/etc/slurm.conf",
        "SBATCH_EXPORT": "NONE",
        "SLURM_CLUSTERS": "two",
        "SLURM_CPU_BIND": "none",
        "SBATCH_WAIT": "1",
        "WATCHKEEPER_ATTEMPT": "/x",
        "MINE": "kept",
    }
    clean = clean_environment(dirty, own_venv=str(ours))
    kept = {
        "PATH": dirty["PATH"],
        "SLURM_CONF": "/etc/slurm.conf",
        "MINE": "kept",
        "VIRTUAL_ENV": str(other),
    }
    kept |= {"SBATCH_EXPORT": "NONE", "SLURM_CLUSTERS": "two"}
    if active:
        del kept["VIRTUAL_ENV"]
        kept["PATH"] = os.pathsep.join(["/usr/bin", str(other / "bin")])
    assert clean == kept
    assert clean_environment(clean, own_venv="") == clean


def test_the_default_environment_is_clean(monkeypatch):
    """Without another one, commands get this process's environment, cleaned."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("MINE", "kept")
    out = Here().run(["env"], timeout_s=30).out.splitlines()
    assert "MINE=kept" in out
    assert "SLURM_JOB_ID=17" not in out


@pytest.mark.parametrize(
    "name", ["SLURM_JOB_ID", "SLURM_JOBID", "SLURM_RESTART_COUNT", "SLURM_PROCID"]
)
def test_what_slurm_reads_outside_a_job_is_handed_on(name):
    """A person's own SLURM_MPI_TYPE and the like reach the job, as with sbatch; within a job they
    are that job's.
    """
    mine = {
        "SLURM_MPI_TYPE": "pmi2",
        "SLURM_CPU_BIND": "none",
        "SBATCH_EXPORT": "NONE",
        "HOME": "/",
    }
    assert clean_environment(mine, own_venv="") == mine
    inside = clean_environment(mine | {name: "1"}, own_venv="")
    assert inside == {"SBATCH_EXPORT": "NONE", "HOME": "/"}


FILTERS = {
    "SQUEUE_PARTITION": "high",
    "SQUEUE_FORMAT": "%i",
    "SACCT_FORMAT": "jobid",
    "SINFO_FORMAT": "%P",
    "SCANCEL_STATE": "RUNNING",
    "SLURM_CLUSTERS": "two",
    "SLURM_MPI_TYPE": "pmi2",
    "SBATCH_PARTITION": "x",
}


@pytest.mark.parametrize(
    "command", ["squeue", "sacct", "sinfo", "scancel", "scontrol", "sacctmgr", "sbatch"]
)
@pytest.mark.parametrize("there", [True, False])
def test_a_persons_filters_reach_no_question(tmp_path, command, there):
    """What a person set for Slurm's commands changes no answer, on this machine or behind ssh: only
    sbatch finds it.
    """
    (tmp_path / command).write_text("#!/bin/sh\nenv\n")
    (tmp_path / "ssh").write_text('#!/bin/sh\nfor line; do :; done\nexec sh -c "$line"\n')
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{ENV['PATH']}",
        "SLURM_CONF": "/x",
        "MINE": "a\nSQUEUE_USERS=b",
        **FILTERS,
    }
    shell = Here(environment=environment)
    if there:
        shell = Ssh("far")
        shell._here = Here(prefix=("ssh",), environment=environment)
    done = shell.run([command, "a b"], timeout_s=30, env={"SLURM_TIME_FORMAT": "%s"})
    assert done.code == 0, done.err
    told = dict(line.split("=", 1) for line in done.out.splitlines())
    assert told.keys() >= {"SLURM_CONF", "SLURM_TIME_FORMAT", "MINE"}
    assert (told.keys() & FILTERS.keys()) == (set() if command != "sbatch" else FILTERS.keys())
