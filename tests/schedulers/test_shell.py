"""Running commands here, with real processes."""

import os
import signal
import time

import pytest

from watchkeeper.core import processes
from watchkeeper.schedulers.shell import NOT_THERE, Done, Here, clean_environment

ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def test_a_command_and_its_words(tmp_path):
    """Arguments reach the command as they are; code, output, folder, environment and input are its own."""
    here = Here(environment=ENV)
    words = ["a b", "$(touch x)", "'\"|", "ünï"]
    script = 'printf "%s\\n" "$@"; pwd; echo "$MORE"; cat; echo oops >&2; exit 3'
    done = here.run(
        ["sh", "-c", script, "sh", *words], timeout_s=30, folder=str(tmp_path), env={"MORE": "more"}, input="fed"
    )
    assert done == Done(code=3, out="\n".join([*words, str(tmp_path), "more", "fed"]), err="oops\n")
    assert list(tmp_path.iterdir()) == []


def test_a_prefix():
    """A prefix goes before every command."""
    assert Here(prefix=["env", "WHO=me"], environment=ENV).run(["sh", "-c", "echo $WHO"], timeout_s=30).out == "me\n"


def test_what_is_not_there(tmp_path):
    """A missing command, or folder, is a code and a message that names it, never an exception."""
    here = Here(environment=ENV)
    assert here.run(["no-such-command"], timeout_s=30) == Done(code=NOT_THERE, err="no-such-command: not found")
    missing = str(tmp_path / "nowhere")
    assert here.run(["true"], timeout_s=30, folder=missing) == Done(code=NOT_THERE, err=f"{missing}: not found")
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
    """What says of this process only is left out: its job, its settings, and its virtual environment if activating it put
    that there. Where the cluster is stays, and so does another virtual environment.
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
        "WATCHKEEPER_ATTEMPT": "/x",
        "MINE": "kept",
    }
    clean = clean_environment(dirty, own_venv=str(ours))
    kept = {"PATH": dirty["PATH"], "SLURM_CONF": "/etc/slurm.conf", "MINE": "kept", "VIRTUAL_ENV": str(other)}
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
