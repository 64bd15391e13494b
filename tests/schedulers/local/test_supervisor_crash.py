"""SIGKILL the local supervisor before every write, fork and wait that it makes: nothing runs twice,
nothing is lost, and what is said of it is true.
"""

import os
import signal
import subprocess
import sys

import pytest

from tests.schedulers.conftest import Harness
from watchkeeper.core import processes
from watchkeeper.schedulers.wrapper.claims import read_exit_records, read_task_ends

# At full size the supervisor dies at every step of an array; else, for time, at every other one.
STRIDE = 1 if os.environ.get("WATCHKEEPER_TEST_SIZE") == "full" else 2
DYING = """
import functools, os, signal, sys
from watchkeeper.core.disk import files
from watchkeeper.schedulers.local import supervisor

at, owner, count = int(sys.argv[1]), os.getpid(), 0

def step():
    global count
    if os.getpid() == owner:
        count += 1
        if count == at:
            os.kill(owner, signal.SIGKILL)

def dying(module, name):
    plain = getattr(module, name)
    @functools.wraps(plain)
    def wrapped(*args, **kwargs):
        step()
        return plain(*args, **kwargs)
    setattr(module, name, wrapped)

for name in ("replace", "create"):
    dying(files, name)
for name in ("fork", "write", "wait4", "unlink", "mkdir"):
    dying(os, name)
supervisor.main(sys.argv[2:])
"""


def test_killed_at_every_step(tmp_path):
    """Whenever the supervisor dies, each of two queued jobs runs exactly once; its end is
    COMPLETED, or NODE_FAIL where nobody saw it, and then the wrapper's exit record tells.
    """
    at, seen = 0, set()
    while True:
        at += 1
        started = []
        harness = Harness(
            tmp_path / str(at)
        )  # a supervisor that lives on from the last round takes no job of this one

        def dying(spool, slot_fd, at=at, started=started):
            command = [sys.executable, "-c", DYING, str(at), str(spool), str(slot_fd)]
            started.append(
                subprocess.Popen(
                    command, pass_fds=[slot_fd], stdin=subprocess.DEVNULL, start_new_session=True
                )
            )

        try:
            one = harness.scheduler(slots=1, start=dying)
            folder = harness.root / f"at{at}"
            # The first job waits for the second's submission: a supervisor that lives that long has
            # both to care for.
            body = "while [ ! -e both ]; do sleep 0.01; done\necho $SLURM_JOB_ID >> ran\n"
            jobs = [harness.job(body, folder=folder) for _ in range(2)]
            ids = [one.submit(job).job_id for job in jobs]
            (folder / "both").touch()
            codes = []
            try:
                codes = [process.wait(60) for process in started]
            finally:
                for process in started:
                    process.kill()
                    process.wait()
            ends = [harness.end(job_id, harness.scheduler(slots=1)) for job_id in ids]
            assert sorted((folder / "ran").read_text().split()) == sorted(ids), f"step {at}"
            for job, facts in zip(jobs, ends, strict=True):
                assert facts.state in ("COMPLETED", "NODE_FAIL"), f"step {at}"
                harness.until(lambda job=job: read_exit_records(job.wrapper.parent))
                (record,) = read_exit_records(job.wrapper.parent)
                assert record.exit_code == 0
                assert facts.state == "NODE_FAIL" or facts.exit_code == 0
                seen.add(facts.state)
        finally:
            harness.close()
        if -signal.SIGKILL not in codes:
            break
    assert at > 12
    assert seen == {"COMPLETED", "NODE_FAIL"}


def test_killed_at_every_step_of_an_array(tmp_path):
    """Whenever the supervisor dies, each task of an array runs exactly once; its end is COMPLETED,
    or NODE_FAIL where nobody saw it, and then its exit record tells.
    """
    at, seen, codes = 1 - STRIDE, set(), [-signal.SIGKILL]
    while -signal.SIGKILL in codes:
        at += STRIDE
        codes, facts, folder, attempt = _array_with_a_death(tmp_path / str(at), at)
        ran = sorted((folder / "ran").read_text().split())
        assert ran == ["0", "1"], f"step {at}"
        assert set(facts.tasks) <= {"COMPLETED", "NODE_FAIL"}, f"step {at}"
        ends = read_task_ends(attempt)
        assert {number: end.exit_code for number, end in ends.items()} == {0: 0, 1: 0}
        seen |= set(facts.tasks)
    assert at > 12
    assert seen == {"COMPLETED", "NODE_FAIL"}


def _array_with_a_death(root, at):
    """Run an array whose first supervisor dies before its step number `at`: its supervisors' codes,
    its facts, its folder and its attempt.
    """
    started = []
    harness = Harness(root)

    def dying(spool, slot_fd):
        command = [sys.executable, "-c", DYING, str(at), str(spool), str(slot_fd)]
        started.append(
            subprocess.Popen(
                command, pass_fds=[slot_fd], stdin=subprocess.DEVNULL, start_new_session=True
            )
        )

    try:
        body = "#SBATCH --array=0-1%1\necho $SLURM_ARRAY_TASK_ID >> ran\n"
        job = harness.job(body)
        job_id = harness.scheduler(slots=1, start=dying).submit(job).job_id
        try:
            codes = [process.wait(60) for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait()
        facts = harness.end(job_id, harness.scheduler(slots=1))
        attempt = job.wrapper.parent
        harness.until(lambda: None not in read_task_ends(attempt).values())
        return codes, facts, job.folder, attempt
    finally:
        harness.close()


@pytest.mark.parametrize("doomed", ["leader", "session"])
def test_a_killed_wrapper(harness, doomed):
    """A wrapper killed with nothing else is FAILED by its signal, without an exit record; its
    script goes with it.
    """
    job = harness.job("echo $$ > pid\nexec sleep 1000\n")
    job_id = harness.local.submit(job).job_id
    harness.until(lambda: (job.folder / "pid").exists() and (job.folder / "pid").read_text())
    script = int((job.folder / "pid").read_text())
    leader = os.getsid(script)
    os.kill(leader, signal.SIGKILL)
    if doomed == "session":
        os.kill(script, signal.SIGKILL)
    facts = harness.end(job_id)
    assert (facts.state, facts.signal) == ("FAILED", 9)
    assert read_exit_records(job.wrapper.parent) == []
    assert processes.start_ticks(script) is None
