"""One suite over every scheduler: what `schedulers.base.Scheduler` promises."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from watchkeeper.core import processes
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.base import TERMINAL, Job, Receipt, Scheduler
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.fake.slurm import FakeSlurm
from watchkeeper.schedulers.local.scheduler import LocalScheduler
from watchkeeper.schedulers.local.spool import Started, read
from watchkeeper.schedulers.local.supervisor import kill_session
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.claims import FINISHED, TWIN, read_claims
from watchkeeper.schedulers.wrapper.names import wrapper_name

DEADLINE_S = 30.0


def until(condition):
    """Poll until the condition holds; its value."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


class Fake:
    """The fake: nothing starts unless told, and its jobs are its process's own."""

    def __init__(self, root, request):
        self.root = root
        self.scheduler: Scheduler = FakeScheduler()

    def begin(self, job_id):
        """Let the job begin."""
        self.scheduler.start(job_id)

    def submit_held(self, job: Job) -> Receipt:
        """Submit a job that stays pending."""
        return self.scheduler.submit(job)

    def submit_among(self, job: Job) -> Receipt:
        """Submit a job where two may run at a time."""
        return self.scheduler.submit(job)

    def close(self):
        """End every process."""
        for job in self.scheduler.jobs.values():
            if job.process is not None and job.process.poll() is None:
                os.killpg(job.process.pid, signal.SIGKILL)
                job.process.wait()


class FakedSlurm(Fake):
    """The adapter for Slurm in front of commands that are none."""

    version = (22, 5)

    def __init__(self, root, request):
        self.root = root
        self.fake = FakeScheduler()
        self.shell = FakeSlurm(self.fake, version=self.version)
        self.scheduler: Scheduler = SlurmScheduler(self.shell, user="me", visibility_lag_s=0.0)

    def begin(self, job_id):
        """Let the job begin."""
        self.fake.start(job_id)

    def close(self):
        """End every process."""
        self.scheduler = self.fake
        super().close()


class OldFakedSlurm(FakedSlurm):
    """Before 21.08 accounting knows no submission line."""

    version = (20, 11)


class NewFakedSlurm(FakedSlurm):
    """A newer one."""

    version = (24, 5)


class Local:
    """This machine, with one slot."""

    def __init__(self, root, request):
        self.root = root
        self.spool = root / "spool"
        self.scheduler: Scheduler = LocalScheduler(self.spool, 1, kill_wait_s=1.0)

    def begin(self, job_id):
        """It begins by itself."""

    def submit_held(self, job: Job) -> Receipt:
        """Submit a job behind one that fills the only slot."""
        filler = make_job(self.root, "exec sleep 1000\n")
        self.scheduler.submit(filler)
        return self.scheduler.submit(job)

    def submit_among(self, job: Job) -> Receipt:
        """Submit a job where two may run at a time."""
        return LocalScheduler(self.spool, 2, kill_wait_s=1.0).submit(job)

    def close(self):
        """End every process of the spool."""
        spool = self.scheduler.spool
        if not spool.slots.is_dir():
            return
        with spool.lock():
            for job_id in os.listdir(spool.jobs):
                if spool.standing(job_id) == "pending":
                    spool.end(job_id, SchedulerFacts(state="CANCELLED"))
                supervisor = read(spool.job(job_id) / "supervisor.json", processes.ProcessName)
                if supervisor is not None and processes.is_alive(supervisor):
                    os.kill(supervisor.pid, signal.SIGKILL)
                started = read(spool.job(job_id) / "started.json", Started)
                if started is not None and processes.session_alive(started.leader):
                    kill_session(started.leader.pid)


class Slurm:
    """A real Slurm with accounting, submitting as an ordinary user."""

    lab = "slurm_lab"

    def __init__(self, root, request):
        self.cluster = request.getfixturevalue(self.lab)
        self.root = self.cluster.workspace()
        self.scheduler: Scheduler = self.cluster.scheduler()

    def begin(self, job_id):
        """It begins by itself."""

    def submit_held(self, job: Job) -> Receipt:
        """Submit a job that its user holds."""
        return self.cluster.scheduler(options=["--hold"]).submit(job)

    def submit_among(self, job: Job) -> Receipt:
        """Submit a job where two may run at a time."""
        return self.scheduler.submit(job)

    def close(self):
        """End the user's jobs."""
        self.cluster.cancel_all()


class SlurmLight(Slurm):
    """A real Slurm without accounting."""

    lab = "light_slurm_lab"


@pytest.fixture(params=[Fake, FakedSlurm, OldFakedSlurm, NewFakedSlurm, Local, Slurm, SlurmLight])
def site(request, tmp_path):
    """A scheduler and what a test needs beside it."""
    made = request.param(tmp_path, request)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def root(site):
    """A folder that the site's jobs can use."""
    return site.root


def make_job(root: Path, source: str, token: str = "") -> Job:
    """A wrapped job that runs in `root/exp`."""
    token = token or secrets.token_hex(8)
    attempt = root / "exp" / ".watchkeeper" / secrets.token_hex(4) / "1"
    attempt.mkdir(parents=True)
    script = attempt / "script"
    script.write_text("#!/bin/bash\n" + source)
    path = attempt / wrapper_name(token)
    scheduler = "conformance"
    path.write_bytes(
        render.render(
            read_head(script),
            attempt_folder=attempt,
            script=script,
            token=token,
            scheduler=scheduler,
        )
    )
    return Job(wrapper=path, folder=root / "exp", name="job", token=token)


def look(site, job_id):
    """The facts of one job."""
    return site.scheduler.poll([job_id]).facts[job_id]


def ended(site, job_id):
    """Wait for the end; the facts."""
    until(lambda: look(site, job_id).state in TERMINAL)
    return look(site, job_id)


def test_from_submission_to_end(site, root):
    """A job is found by its token from submission on, is polled to its end, and is still known
    then.
    """
    job = make_job(root, "echo hello\n")
    exact = site.scheduler.exact_words(job, read_head(job.wrapper, name=job.name))
    receipt = site.scheduler.submit(job)
    assert list(site.scheduler.find(job.token)) == [receipt.job_id]
    assert str(job.wrapper.name) in receipt.exact
    assert exact == receipt.exact
    site.begin(receipt.job_id)
    facts = ended(site, receipt.job_id)
    assert (facts.state, facts.exit_code) == ("COMPLETED", 0)
    assert facts.submitted <= facts.started <= facts.ended
    assert facts.started.utcoffset().total_seconds() == 0
    assert Path(facts.output).read_text() == "hello\n"
    assert list(site.scheduler.find(job.token)) == [receipt.job_id]
    snapshot = site.scheduler.poll([receipt.job_id])
    assert receipt.job_id in snapshot.query


def test_what_a_site_allows_is_told(site, root):
    """A scheduler says what it takes, and a plain script draws no warning from it."""
    head = read_head(b"#!/bin/bash\n#SBATCH --time=1\ntrue\n", name="job")
    told = site.scheduler.site()
    assert not told.unasked
    assert told.problems(head, "job") == []


@pytest.mark.parametrize("code", [1, 3, 127, 143, 211])
def test_exit_codes(site, root, code):
    """A script's code is the job's, and any but 0 is FAILED."""
    receipt = site.scheduler.submit(make_job(root, f"exit {code}\n"))
    site.begin(receipt.job_id)
    facts = ended(site, receipt.job_id)
    assert (facts.state, facts.exit_code) == ("FAILED", code)


def test_a_twin_does_not_run(site, root):
    """Two jobs of one attempt: both are found by the token, one runs, the other ends with the
    twin's code.
    """
    job = make_job(root, "echo ran >> ran\n")
    ids = [site.scheduler.submit(job).job_id for _ in range(2)]
    assert list(site.scheduler.find(job.token)) == ids
    codes = []
    for job_id in ids:
        site.begin(job_id)
        codes.append(ended(site, job_id).exit_code)
    codes.sort()  # where both begin by themselves, either may be the first
    assert codes[0] == 0
    assert codes[1] in (TWIN, FINISHED)
    assert (root / "exp" / "ran").read_text() == "ran\n"


def test_a_pending_job_can_be_cancelled(site, root):
    """A job cancelled while pending is CANCELLED and never runs."""
    job = make_job(root, "touch ran\n")
    receipt = site.submit_held(job)
    assert look(site, receipt.job_id).state == "PENDING"
    site.scheduler.cancel(receipt.job_id)
    facts = ended(site, receipt.job_id)
    assert facts.state == "CANCELLED"
    assert facts.started is None
    assert read_claims(job.wrapper.parent) == []


@pytest.mark.parametrize("trap", ["", "trap '' TERM\n"])
def test_a_running_job_can_be_cancelled(site, root, trap):
    """A job cancelled while running is ended, with SIGKILL if it must be, and is CANCELLED."""
    job = make_job(root, f"{trap}echo $$ > pid\nwhile :; do sleep 0.05; done\n")
    receipt = site.scheduler.submit(job)
    site.begin(receipt.job_id)
    pid = root / "exp" / "pid"
    until(lambda: pid.exists() and pid.read_text())
    assert look(site, receipt.job_id).state == "RUNNING"
    site.scheduler.cancel(receipt.job_id)
    assert ended(site, receipt.job_id).state == "CANCELLED"
    until(lambda: processes.start_ticks(int(pid.read_text())) is None)


def test_an_ended_job_is_let_be(site, root):
    """Cancelling a job that has ended, or that never was, changes nothing."""
    receipt = site.scheduler.submit(make_job(root, "exit 5\n"))
    site.begin(receipt.job_id)
    facts = ended(site, receipt.job_id)
    for job_id in (receipt.job_id, "999999"):
        site.scheduler.cancel(job_id)
    assert look(site, receipt.job_id) == facts


def test_a_job_waits_for_the_end_of_another_however_it_ended(site, root):
    """A job submitted behind another starts when that one has ended, even badly, and not before."""
    first = site.submit_among(
        make_job(root, "until [[ -e go ]]; do sleep 0.02; done\nexit 3\n")
    ).job_id
    job = make_job(root, "touch second\n")
    second = site.submit_among(msgspec.structs.replace(job, after=(first,))).job_id
    site.begin(first)
    until(lambda: look(site, first).state == "RUNNING")
    assert look(site, second).state == "PENDING"
    (root / "exp" / "go").touch()
    assert ended(site, first).exit_code == 3
    site.begin(second)
    facts = ended(site, second)
    assert facts.state == "COMPLETED" and facts.started >= look(site, first).ended


def test_ids(site, root):
    """Job ids are positive integers, and none is used twice."""
    ids = [site.scheduler.submit(make_job(root, "true\n")).job_id for _ in range(5)]
    assert len(set(ids)) == 5
    assert all(int(job_id) > 0 and str(int(job_id)) == job_id for job_id in ids)


def test_unknown_jobs(site, root):
    """A job that the scheduler does not know is absent from the facts and hides no other job."""
    known = site.scheduler.submit(make_job(root, "true\n")).job_id
    facts = site.scheduler.poll(["999999", known]).facts
    assert set(facts) == {known}
    assert list(site.scheduler.find("nosuchtoken")) == []
    assert site.scheduler.poll([]).facts == {}


SUBMIT = """
import os, signal, sys
from pathlib import Path
from watchkeeper.schedulers.base import Job
from watchkeeper.schedulers.local.scheduler import LocalScheduler
spool, wrapper, folder, token, end = sys.argv[1:]
job = Job(wrapper=Path(wrapper), folder=Path(folder), name="j", token=token)
print(LocalScheduler(Path(spool), 1).submit(job).job_id)
sys.stdout.flush()
if end == "kill":
    os.killpg(0, signal.SIGKILL)
"""


@pytest.mark.parametrize("site", [Local], indirect=True)
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_jobs_outlive_their_submitter(site, root, end):
    """A job goes on when the process that submitted it ends, or is killed with all of its group."""
    job = make_job(root, "touch began\nuntil [[ -e gate ]]; do sleep 0.02; done\n")
    command = [sys.executable, "-c", SUBMIT, site.spool, job.wrapper, job.folder, job.token, end]
    done = subprocess.run(
        command, capture_output=True, text=True, start_new_session=True, check=False
    )
    assert done.returncode == (0 if end == "exit" else -signal.SIGKILL), done.stderr
    job_id = done.stdout.strip()
    assert list(site.scheduler.find(job.token)) == [job_id]
    until((root / "exp" / "began").exists)
    assert look(site, job_id).state == "RUNNING"
    (root / "exp" / "gate").touch()
    assert ended(site, job_id).state == "COMPLETED"
