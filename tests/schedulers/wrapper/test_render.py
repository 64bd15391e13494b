"""The wrapper, run by a real bash: at most one execution, and an exit record that tells the truth
(law 5).
"""

import contextlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchkeeper.core import processes
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.claims import (
    CANNOT_TELL,
    FINISHED,
    TWIN,
    read_claims,
    read_exit_records,
    void_claim,
)
from watchkeeper.schedulers.wrapper.names import token_of, wrapper_name

NASTY = [
    "a b",
    "it's",
    'say "hi"',
    "$HOME",
    "$(touch pwned)",
    "`touch pwned`",
    "a;b&c",
    "日本 é",
    "-n",
    "*?[x]",
    "a\\b",
    "#x",
]


class Attempt:
    """An attempt's folder with the wrapper of a script in it."""

    def __init__(self, folder, source, scheduler="local", lag_s=0.0, **options):
        self.folder = folder
        folder.mkdir(parents=True)
        self.script = folder / "script"
        self.script.write_bytes(source if isinstance(source, bytes) else source.encode())
        self.path = folder / wrapper_name("token")
        head = read_head(self.script)
        options |= {"scheduler": scheduler, "lag_s": lag_s}
        self.path.write_bytes(
            render.render(head, attempt_folder=folder, script=self.script, token="token", **options)
        )
        self.path.chmod(0o755)

    def start(self, job_id="1", restart=None, **options):
        """Start the wrapper as a scheduler would."""
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM_", "WATCHKEEPER_"))
        }
        environment = clean | {"WATCHKEEPER_JOB_ID": job_id} | options.pop("env", {})
        if restart is not None:
            environment["SLURM_RESTART_COUNT"] = str(restart)
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        } | options
        arguments = options.pop("arguments", [])
        return subprocess.Popen(
            [self.path, *arguments], env=environment, cwd=self.folder.parent, **options
        )

    def run(self, job_id="1", restart=None, **options):
        """Run it to its end: code, standard output, standard error."""
        process = self.start(job_id, restart, **options)
        out, err = process.communicate(timeout=300)
        return process.returncode, out.decode(errors="replace"), err.decode()


def wait_for(condition, seconds=30):
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def attempt(tmp_path):
    """Makes attempts in a folder of their own."""

    def make(source="#!/bin/bash\necho ran >> ran\n", name="attempt", **options):
        return Attempt(tmp_path / name, source, **options)

    return make


@pytest.mark.parametrize("code", [0, 1, 3, 126, 127, 211, 255])
def test_it_returns_and_records_the_childs_code(attempt, code):
    """The wrapper ends with its child's code, and the exit record says the same."""
    made = attempt(f"#!/bin/bash\nexit {code}\n")
    assert made.run(job_id="7")[0] == code
    (record,) = read_exit_records(made.folder)
    (claim,) = read_claims(made.folder)
    assert (record.job_id, record.exit_code, record.execution) == ("7", code, 1)
    assert record.nonce == claim.nonce
    assert claim.job_id == "7"
    assert claim.scheduler == "local"
    assert abs((record.ended - claim.time).total_seconds()) < 3600
    assert record.ended.utcoffset().total_seconds() == 0


def test_nothing_is_left_behind(attempt):
    """After a run the attempt's folder holds the claim and the exit record, and no temporary."""
    made = attempt("#!/bin/bash\n")
    made.run()
    left = {"script", made.path.name, "claim.1", "environment.1", "exit.1"}
    assert {path.name for path in made.folder.iterdir()} == left


def test_the_environment_is_kept_without_secrets(attempt):
    """What the script finds in its environment is kept beside its claim, for its owner only; what
    looks like a secret is named, and its value is not.
    """
    secret = {
        "WANDB_API_KEY": "s3",
        "hf_token": "s3",
        "DB": "pg://me:s3@host/x",
        "PLAIN": "a 'b'\nc",
    }
    made = attempt("#!/bin/bash\numask\n")
    bare = subprocess.run(
        ["bash", "-c", "umask"], capture_output=True, text=True, check=True
    ).stdout
    out = made.run(env=secret)[1]
    kept = made.folder / "environment.1"
    text = kept.read_text()
    assert "s3" not in text and "WANDB_API_KEY=<redacted>\n" in text and "DB=<redacted>\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("PLAIN=")]
    shown = subprocess.run(
        ["bash", "-c", f'{line}; echo "$PLAIN"'], capture_output=True, text=True, check=True
    ).stdout
    assert shown == "a 'b'\nc\n"
    assert kept.stat().st_mode & 0o77 == 0 and out == bare


@pytest.mark.parametrize(
    ("value", "is_kept"), [("hf_" + "a1" * 10, False), ("/hf_a/b", True), ("x\nhf_short", True)]
)
def test_a_value_is_judged_by_itself(attempt, value, is_kept):
    """A secret at the very beginning of a value is seen among all others; what is none stays, also
    where another variable holds one.
    """
    made = attempt("#!/bin/bash\n")
    made.run(env={"ONE": value, "TWO": "kept", "URL": "pg://me:s3@host/x" if is_kept else ""})
    lines = (made.folder / "environment.1").read_text().splitlines()
    assert ("ONE=<redacted>" not in lines) == is_kept
    assert "TWO=kept" in lines and ("URL=<redacted>" in lines) == is_kept


# A recorder whose filesystem hangs, so that what it appends waits on the node, and that is killed
# then.
HANGING = f"""#!{sys.executable}
import os, signal, subprocess, sys, time
from pathlib import Path
from watchkeeper.core.disk import spill
spill._Spill._bring_over = lambda self: time.sleep(60)
def record(last):
    file = spill.SpillingFile(Path(sys.argv[1]))
    file.append(b"first\\n")
    file.was_slow()
    file.append(b"second\\n")
    last()
if sys.argv[2] == "lives":
    child = os.fork()
    if child == 0:
        os.setsid()
        record(lambda: (print(os.getpid(), flush=True), os.close(1), os.close(2), time.sleep(60)))
    while not list(Path(os.environ["TMPDIR"]).rglob("*.word")):
        time.sleep(0.01)
else:
    record(lambda: None)
    if sys.argv[2] == "gone on":
        Path(sys.argv[1]).write_bytes(b"first\\nother\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("how", "lines"),
    [("killed", b"first\nsecond\n"), ("gone on", b"first\nother\n"), ("lives", b"first\n")],
)
def test_what_a_killed_recorder_left_on_the_node_is_brought_over(attempt, tmp_path, how, lines):
    """At the job's end what waited for a hanging filesystem is put in its place, unless its process
    lives, or somebody has gone on with the file.
    """
    node, target = tmp_path / "node", tmp_path / "it's a file"
    node.mkdir()
    made = attempt(HANGING)
    process = made.start(env={"TMPDIR": str(node)}, arguments=[target, how])
    out, _ = process.communicate(timeout=300)
    try:
        assert process.returncode == (0 if how == "lives" else 137)
        assert target.read_bytes() == lines
        assert bool(list(node.rglob("*.bytes"))) == (how != "killed")
    finally:
        if how == "lives":
            os.kill(int(out), signal.SIGKILL)


def test_a_twin_is_refused(attempt, tmp_path):
    """While one job has the attempt, another one of it ends at once, with its own code and a
    reason, and runs nothing.
    """
    made = attempt("#!/bin/bash\necho ran >> ran\nread line < gate\n")
    os.mkfifo(tmp_path / "gate")
    first = made.start(job_id="1")
    try:
        wait_for((tmp_path / "ran").exists)
        code, _, err = made.run(job_id="2")
        assert code == TWIN
        assert "twin" in err
        assert len(err.splitlines()) == 1
        again, _, _ = made.run(job_id="1")
        assert again == TWIN
    finally:
        (tmp_path / "gate").write_text("go\n")
        first.communicate(timeout=300)
    assert first.returncode == 0
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_finished_attempt_is_refused(attempt, tmp_path):
    """After an exit record nothing runs again: not a twin, not the same job requeued."""
    made = attempt()
    assert made.run(job_id="1")[0] == 0
    for job_id, restart in (("2", None), ("1", None), ("1", 1)):
        code, _, err = made.run(job_id, restart)
        assert code == FINISHED
        assert "has ended" in err
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("round_", range(20))
def test_two_at_once(attempt, tmp_path, round_):
    """Of two wrappers started at the same moment exactly one runs."""
    made = attempt()
    with ThreadPoolExecutor(2) as pool:
        codes = sorted(pool.map(lambda job_id: made.run(job_id)[0], ("1", "2")))
    assert codes[0] == 0
    assert codes[1] in (TWIN, FINISHED)
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert len(read_claims(made.folder)) == len(read_exit_records(made.folder)) == 1


def test_a_requeued_job_comes_in_as_the_next_claim(attempt, tmp_path):
    """The same job with a higher restart count runs again after a node died; with the same count,
    or as another, never.
    """
    made = attempt()
    killed = attempt("#!/bin/bash\nkill -KILL $PPID\n", name="killed")
    assert killed.run(job_id="5")[0] == -signal.SIGKILL
    os.link(killed.folder / "claim.1", made.folder / "claim.1")
    assert made.run(job_id="5", restart=0)[0] == TWIN
    assert made.run(job_id="6", restart=3)[0] == TWIN
    assert made.run(job_id="5", restart=2)[0] == 0
    assert [claim.restart for claim in read_claims(made.folder)] == [0, 2]
    (record,) = read_exit_records(made.folder)
    assert record.execution == 2
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_job_ended_by_its_scheduler_and_started_again_runs_again(attempt, tmp_path):
    """A preempted job leaves an exit record, and the same job's restart is no second execution of a
    finished one; to any other job, and after an end of its own, the attempt is finished.
    """
    made = attempt("#!/bin/bash\necho ran >> ran\ntouch ready\n[[ -e go ]] || exec sleep 60\n")
    process = made.start(job_id="5")
    try:
        wait_for((tmp_path / "ready").exists)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)
    finally:
        process.kill()
    (record,) = read_exit_records(made.folder)
    assert record.interrupted and record.exit_code == 143
    (tmp_path / "go").touch()
    assert made.run(job_id="6", restart=1)[0] == FINISHED
    assert made.run(job_id="5", restart=0)[0] == FINISHED
    assert made.run(job_id="5", restart=1)[0] == 0
    assert made.run(job_id="5", restart=2)[0] == FINISHED, "its second execution ended by itself"
    assert (tmp_path / "ran").read_text() == "ran\nran\n"


def test_the_same_id_on_another_cluster_is_a_twin(attempt):
    """A job is known by scheduler, cluster and id together."""
    made = attempt("#!/bin/bash\nkill -KILL $PPID\n", scheduler="slurm")
    made.run(job_id="5", env={"SLURM_CLUSTER_NAME": "one"})
    assert made.run(job_id="5", restart=1, env={"SLURM_CLUSTER_NAME": "two"})[0] == TWIN


def test_the_schedulers_id_counts(attempt):
    """A job id leaked from the submitter's own job does not count beside the scheduler's."""
    made = attempt("#!/bin/bash\necho $WATCHKEEPER_JOB_ID\n")
    assert made.run(job_id="leaked", env={"SLURM_JOB_ID": "8"})[1] == "8\n"
    assert read_claims(made.folder)[0].job_id == "8"


def _drop_privileges():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def test_a_folder_it_cannot_write_in(attempt, tmp_path):
    """Where the claim cannot be made nothing runs, and the code is that of 'cannot tell'."""
    made = attempt(f"#!/bin/bash\necho ran >> '{tmp_path}/ran'\n")
    options: dict = {}
    if os.getuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            if (
                folder.stat().st_mode & stat.S_IXOTH == 0
                and folder.owner() == "root"
                and "pytest" in str(folder)
            ):
                folder.chmod(folder.stat().st_mode | 0o055)
        options["preexec_fn"] = _drop_privileges
    made.folder.chmod(0o555)
    try:
        code, _, err = made.run(**options)
    finally:
        made.folder.chmod(0o755)
    assert code == CANNOT_TELL
    assert "cannot write" in err
    assert not (tmp_path / "ran").exists()


def test_cannot_tell(attempt, tmp_path):
    """Without a job id, with an unreadable claim, or on a node that does not see the folder,
    nothing runs.
    """
    made = attempt()
    assert made.run(job_id="")[0] == CANNOT_TELL
    assert made.run(restart="x")[0] == CANNOT_TELL
    (made.folder / "claim.1").write_text("garbage")
    assert made.run()[0] == CANNOT_TELL
    (made.folder / "claim.1").unlink()
    moved = tmp_path / "elsewhere"
    made.folder.rename(moved)
    made.path = moved / made.path.name
    code, _, err = made.run()
    assert code == CANNOT_TELL
    assert str(made.folder) in err
    assert not (tmp_path / "ran").exists()


def test_a_full_disk(attempt, tmp_path):
    """A claim that cannot be written whole is no claim."""
    made = attempt()
    # Signals stay as they are here, where Python ignores SIGXFSZ: the write fails, as on a full
    # disk.
    full = {
        "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50)),
        "restore_signals": False,
    }
    assert made.run(**full)[0] == CANNOT_TELL
    assert not (tmp_path / "ran").exists()
    assert not (made.folder / "claim.1").exists()
    assert made.run()[0] == 0


def test_a_lost_exit_record_is_said(attempt):
    """Where the exit record cannot be written the child's code is returned all the same, and
    standard error says so.
    """
    made = attempt('#!/bin/bash\nrm -r "$WATCHKEEPER_ATTEMPT"\nexit 4\n')
    code, _, err = made.run()
    assert code == 4
    assert "exit record" in err


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"])
def test_signals_reach_the_script(attempt, tmp_path, name):
    """A signal to the batch shell reaches the script, which may go on; its real code is what is
    recorded.
    """
    made = attempt(
        f"#!/bin/bash\ntrap 'echo {name} >> got' {name}\ntouch ready\nuntil [[ -e got ]]; "
        "do sleep 0.02; done\nexit 9\n"
    )
    process = made.start()
    try:
        wait_for((tmp_path / "ready").exists)
        process.send_signal(getattr(signal, f"SIG{name}"))
        process.communicate(timeout=300)
    finally:
        process.kill()
        (tmp_path / "got").touch()  # ends the script, also where the signal did not reach it
    assert process.returncode == 9
    assert (tmp_path / "got").read_text() == f"{name}\n"
    assert read_exit_records(made.folder)[0].exit_code == 9


def test_a_signal_that_kills_the_script(attempt, tmp_path):
    """A script that dies of a signal is recorded as 128 + n, without the shell's own words about
    it.
    """
    made = attempt("#!/bin/bash\ntouch ready\nexec sleep 60\n")
    process = made.start()
    try:
        wait_for((tmp_path / "ready").exists)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 143
    assert err == b""
    assert read_exit_records(made.folder)[0].exit_code == 143


def test_a_script_that_ends_its_whole_group_is_recorded(attempt):
    """`trap 'kill 0' EXIT` ends the script with its group, in a session as Slurm gives a job: the
    wrapper outlives it long enough to record 143, the code that it passes on.
    """
    made = attempt("#!/bin/bash\ntrap 'trap - TERM; kill 0' EXIT\nsleep 60 &\nexit 0\n")
    process = made.start(start_new_session=True)
    try:
        process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 143
    assert read_exit_records(made.folder)[0].exit_code == 143


def test_it_waits_until_the_child_is_gone(attempt, tmp_path):
    """Signals that the script survives do not end the wrapper before it."""
    made = attempt(
        "#!/bin/bash\ntrap 'echo x >> got' USR1\ntouch ready\nuntil [[ -e stop ]]; do "
        "sleep 0.02; done\nexit 6\n"
    )
    process = made.start()
    try:
        wait_for((tmp_path / "ready").exists)
        for _ in range(200):
            process.send_signal(signal.SIGUSR1)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.0005)  # else most of them are merged into one

        def got():
            # A signal that comes just before a bash blocks in wait is seen with the next one only.
            process.send_signal(signal.SIGUSR1)
            return (tmp_path / "got").exists()

        wait_for(got)
        assert process.poll() is None
        assert not (made.folder / "exit.1").exists()
        (tmp_path / "stop").touch()
        process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 6
    assert read_exit_records(made.folder)[0].exit_code == 6


SHOW = """#!{python}
import os, sys
signals = [line for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))]
ours = ("_", "WATCHKEEPER_ATTEMPT", "WATCHKEEPER_JOB_ID")
environment = sorted(pair for pair in os.environ.items() if pair[0] not in ours)
print(signals, environment, os.getcwd(), sys.argv[1:], os.readlink("/proc/self/fd/0"))
print(sorted(os.listdir("/proc/self/fd")))
"""


def test_the_script_finds_what_a_bare_one_finds(attempt, tmp_path):
    """Environment, exported functions, signal dispositions, folder, arguments, open files: all as
    for the bare script.
    """
    made = attempt(SHOW.format(python=sys.executable))
    environment = {
        "PATH": os.environ["PATH"], "SHLVL": "3", "PWD": str(tmp_path),
        "BASH_FUNC_module%%": "() { echo loaded; }",
        "BASH_ENV": "/nonexistent", "SHELLOPTS": "errexit:nounset", "POSIXLY_CORRECT": "1",
        "QUOTED": "a'b\"c $d\nnext", "WATCHKEEPER_JOB_ID": "1",
    }  # fmt: skip
    made.script.chmod(0o755)
    options = {
        "env": environment,
        "cwd": tmp_path,
        "stdin": subprocess.DEVNULL,
        "capture_output": True,
        "text": True,
    }
    bare = subprocess.run([made.script, "a b", "*"], check=True, **options)
    wrapped = subprocess.run([made.path, "a b", "*"], check=True, **options)
    assert wrapped.stdout == bare.stdout
    assert wrapped.stderr == bare.stderr


def needs(shell):
    """Skips where a shell is not installed."""
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell} here")


@pytest.mark.parametrize(
    "source",
    [
        "#!/bin/sh\necho $0\n",
        "#!/usr/bin/env -S python3 -u\nimport sys\nprint(sys.argv[0])\n",
        pytest.param("#!/bin/csh -f\n#SBATCH --time=5\necho $0\n", marks=needs("csh")),
        pytest.param("#!/bin/zsh\n#SBATCH --time=5\nprint $0\n", marks=needs("zsh")),
    ],
)
def test_any_interpreter(attempt, source):
    """The frozen copy is run by its own interpreter, with its argument."""
    made = attempt(source)
    assert made.run()[:2] == (0, f"{made.script}\n")


def test_a_missing_interpreter_is_an_end(attempt):
    """A script whose interpreter is not there fails with 127, on record."""
    made = attempt("#!/no/such/interpreter\n")
    code, _, err = made.run()
    assert code == 127
    assert "/no/such/interpreter" in err
    assert read_exit_records(made.folder)[0].exit_code == 127


@pytest.mark.parametrize("name", NASTY)
def test_names_are_never_interpreted(attempt, tmp_path, name):
    """Whatever stands in a path stays a path."""
    made = attempt('#!/bin/bash\necho "$WATCHKEEPER_ATTEMPT"\n', name=name)
    assert made.run()[:2] == (0, f"{made.folder}\n")
    assert not list(tmp_path.rglob("pwned"))


@settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    st.text(
        st.characters(exclude_characters="/\0\n", exclude_categories=("Cs",)),
        min_size=1,
        max_size=40,
    )
)
def test_any_name(tmp_path, name):
    """A wrapper of any folder's name is bash that names exactly that folder."""
    text = render.render(
        b"#!/bin/sh\n",
        attempt_folder=tmp_path / name,
        script=tmp_path / name,
        token="t",
        scheduler="local",
    )
    line = next(line for line in text.split(b"\n") if b"local wk_attempt=" in line).partition(
        b" wk_scheduler="
    )[0]
    shown = subprocess.run(
        ["bash", "-c", line.strip().removeprefix(b"local ") + b'; printf %s "$wk_attempt"'],
        capture_output=True,
        check=True,
    )
    assert shown.stdout == os.fsencode(tmp_path / name)


def test_the_head_is_kept(attempt):
    """Every directive stays, byte for byte and before any command; dead ones stay dead; nothing of
    the head is executed.
    """
    head = b"#!/bin/cat\n#SBATCH -J 'a b' # \xff\n\n  # plain\n#PBS -q x\n"
    made = attempt(head + b"\x0c# $(touch pwned)\n" + b"echo\n#SBATCH -J dead\n")
    text = made.path.read_bytes()
    assert text.startswith(b"#!/bin/bash -p\n" + head.partition(b"\n")[2])
    assert b"dead" not in text
    assert read_head(text).name == "a b"
    assert made.run()[0] == 0
    assert not (made.folder.parent / "pwned").exists()


def test_token_of():
    """The token is found again in a wrapper's path, and in nothing else."""
    assert token_of(f"/a b/{wrapper_name('0abc')}") == "0abc"
    for other in ("wk-.sh", "wk-a.txt", "x-a.sh", "wk-a b.sh"):
        assert token_of(other) is None


def test_a_voided_attempt_never_runs(attempt, tmp_path):
    """When a submitter has closed an attempt no job of it runs; when a job was first, the submitter
    is told.
    """
    made = attempt()
    assert void_claim(made.folder, scheduler="local")
    assert void_claim(made.folder)
    code, _, err = made.run(restart=4)
    assert code == TWIN
    assert "closed by its submitter" in err
    assert not (tmp_path / "ran").exists()
    taken = attempt(name="taken")
    assert taken.run()[0] == 0
    assert not void_claim(taken.folder)


def test_torn_records_are_problems(tmp_path):
    """Garbage in place of a record is a problem with its path; the records beside it are read."""
    (tmp_path / "claim.1").write_bytes(b'{"scheduler":"lo')
    (tmp_path / "claim.2").write_bytes(
        b'{"scheduler":"local","job_id":"3","nonce":"n","restart":1}\n'
    )
    (tmp_path / "exit.1").write_bytes(b"\0\0\0")
    (tmp_path / "exit.2").write_bytes(b'{"job_id":"3","exit_code":0,"execution":2}\n')
    problems = []
    assert [claim.job_id for claim in read_claims(tmp_path, problems)] == ["3"]
    assert [record.execution for record in read_exit_records(tmp_path, problems)] == [2]
    assert [problem.where for problem in problems] == [
        str(tmp_path / "claim.1"),
        str(tmp_path / "exit.1"),
    ]
    assert read_claims(tmp_path / "nowhere") == []


LIVES = (
    "#!/bin/bash\necho $$ >> pids\necho start >> log\nuntil [[ -e go ]]; do sleep 0.05; "
    "done\necho end >> log\n"
)


def kill_session_of(process):
    """End a wrapper that leads a session, with all that it started."""
    for pid in processes.session_members(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def test_a_restart_waits_while_the_last_execution_is_alive(attempt, tmp_path):
    """A job started again elsewhere, while its script lives on without a controller, runs nothing
    before that has ended; then the attempt has ended, and it never runs.
    """
    made = attempt(LIVES, lag_s=1.0)
    first = made.start(job_id="7", start_new_session=True)
    second = None
    try:
        wait_for((tmp_path / "log").exists)
        second = made.start(job_id="7", restart=1)
        # The heartbeat would be stale after 3 s: longer than that the second one waits.
        beats = made.folder / "heartbeat.1"
        wait_for(beats.exists)
        seen = {beats.stat().st_mtime_ns}
        wait_for(lambda: seen.add(beats.stat().st_mtime_ns) or len(seen) >= 6)
        assert second.poll() is None and len(read_claims(made.folder)) == 1
        (tmp_path / "go").touch()
        assert first.wait(30) == 0
        _, said = second.communicate(timeout=300)
        assert second.returncode == FINISHED and b"execution 1 may still be alive" in said
        assert (tmp_path / "log").read_text().split() == ["start", "end"]
    finally:
        kill_session_of(first)
        if second is not None:
            second.kill()


def test_a_restart_goes_on_when_the_last_execution_is_dead(attempt, tmp_path):
    """A node that died leaves a heartbeat that grows stale: then the attempt's next execution runs,
    without a record of the first.
    """
    made = attempt(LIVES, lag_s=1.0)
    first = made.start(job_id="7", start_new_session=True)
    wait_for(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text())
    kill_session_of(first)
    (tmp_path / "go").touch()
    assert made.run(job_id="7", restart=1)[0] == 0
    assert len(read_claims(made.folder)) == 2
    assert (tmp_path / "log").read_text().split() == ["start", "start", "end"]
    assert not list(made.folder.glob(".tmp-*"))


def test_a_script_without_its_wrapper_keeps_the_attempt(attempt, tmp_path):
    """A wrapper that was killed alone leaves its script alive, and so the heartbeat: nothing runs
    beside it.
    """
    made = attempt(LIVES, lag_s=1.0)
    first = made.start(job_id="7", start_new_session=True)
    second = None
    try:
        wait_for((tmp_path / "log").exists)
        beats = made.folder / "heartbeat.1"
        wait_for(beats.exists)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        second = made.start(job_id="7", restart=1)
        seen = {beats.stat().st_mtime_ns}
        wait_for(lambda: seen.add(beats.stat().st_mtime_ns) or len(seen) >= 6)
        assert second.poll() is None and len(read_claims(made.folder)) == 1
        (tmp_path / "go").touch()
        second.communicate(timeout=300)
        assert second.returncode == 0, (
            "no record says how the first ended, so that the second runs after it"
        )
        assert (tmp_path / "log").read_text().split() == ["start", "end", "start", "end"]
    finally:
        if second is not None:
            second.kill()
        for pid in (tmp_path / "pids").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)  # what the killed wrapper left behind


def test_an_execution_that_was_given_up_gives_way(attempt, tmp_path):
    """If a later execution was admitted after all, the older ends its script at its next beat."""
    made = attempt(LIVES, lag_s=1.0)
    first = made.start(job_id="7", start_new_session=True)
    try:
        wait_for((tmp_path / "log").exists)
        (made.folder / "claim.2").write_text((made.folder / "claim.1").read_text())
        assert first.wait(30) == 128 + signal.SIGTERM
    finally:
        kill_session_of(first)


def test_a_heartbeat_ends_with_its_job(attempt, tmp_path):
    """When the script has ended nothing of the wrapper stays behind, and the end is not held up by
    the next beat.
    """
    made = attempt("#!/bin/bash\nexit 4\n", lag_s=120.0)
    process = made.start(job_id="7", start_new_session=True)
    assert process.wait(20) == 4
    assert processes.session_members(process.pid) == []


def test_a_preempted_execution_that_told_its_end_is_not_waited_for(attempt):
    """Where the scheduler ended an execution by TERM and it wrote its record, the next one begins
    at once, and once.
    """
    made = attempt(
        "#!/bin/bash\n[[ ${SLURM_RESTART_COUNT-} ]] && exit 0\ntouch ready\nexec sleep 1000\n",
        lag_s=120.0,
    )
    first = made.start(job_id="5")
    wait_for((made.folder.parent / "ready").exists)
    first.terminate()
    assert first.wait(timeout=300) == 143
    code, _, err = made.run(job_id="5", restart=1)
    assert (code, err) == (0, "")
    assert [
        (record.execution, record.interrupted) for record in read_exit_records(made.folder)
    ] == [
        (1, True),
        (2, False),
    ]


@pytest.mark.parametrize("whole", [False, True], ids=["the wrapper alone", "everything in the job"])
def test_signals_in_quick_succession_come_once_each(attempt, whole):
    """Slurm sends SIGCONT right behind a warning. Both reach the script, once, whoever else got
    them; and the wrapper goes on to write the end.
    """
    made = attempt(
        f"#!{sys.executable}\n"
        "import os, signal, sys, time\n"
        "for one in (signal.SIGUSR1, signal.SIGCONT):\n"
        "    signal.signal(one, lambda number, frame: open('got', "
        "'a').write(signal.Signals(number).name[3:] + '\\n'))\n"
        "open('ready', 'w').close()\n"
        "while not os.path.exists('stop'):\n"
        "    time.sleep(0.02)\n"
        "sys.exit(6)\n",
        lag_s=1.0,
    )
    process = made.start(job_id="5", start_new_session=True)
    folder = made.folder.parent
    try:
        wait_for((folder / "ready").exists)
        wait_for((made.folder / "heartbeat.1").exists)
        send = os.killpg if whole else os.kill
        for number in (signal.SIGUSR1, signal.SIGCONT):
            send(process.pid, number)
        got = folder / "got"
        wait_for(lambda: got.exists() and sorted(got.read_text().split()) == ["CONT", "USR1"])
    finally:
        (folder / "stop").touch()
        assert process.wait(timeout=300) == 6
    assert sorted(got.read_text().split()) == ["CONT", "USR1"]
    (record,) = read_exit_records(made.folder)
    assert record.exit_code == 6


def test_arguments_reach_the_script_and_stand_in_no_file_of_the_wrapper(attempt, tmp_path):
    """Each word arrives as it was written; where the file cannot be read nothing runs."""
    words = ["two words", "", "a\nb", "'", "*", "-n"]
    path = tmp_path / "arguments"
    path.write_bytes(b"".join(word.encode() + b"\0" for word in words))
    given = attempt('#!/bin/bash\nprintf "<%s>" "$@" >given\n', arguments=path)
    assert given.run()[0] == 0
    assert (tmp_path / "given").read_text() == "".join(f"<{word}>" for word in words)
    path.unlink()
    lost = attempt("#!/bin/bash\ntouch ran\n", name="other", arguments=path)
    code, _, errors = lost.run()
    assert code == CANNOT_TELL and "cannot read the arguments" in errors
    assert not (tmp_path / "ran").exists()
