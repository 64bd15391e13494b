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
from watchkeeper.schedulers.local.records import Started, read
from watchkeeper.schedulers.local.scheduler import LocalScheduler
from watchkeeper.schedulers.local.supervisor import kill_session
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.claims import FINISHED, TWIN, read_claims, read_task_ends
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
        parts = [part for job in self.scheduler.jobs.values() for part in job.parts]
        for part in parts:
            if part.process is not None and part.process.poll() is None:
                os.killpg(part.process.pid, signal.SIGKILL)
                part.process.wait()


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
            for job_id in os.listdir(spool.pending):
                spool.end(job_id, SchedulerFacts(state="CANCELLED"))
            for job_id in os.listdir(spool.running):
                record = read(spool.job(job_id) / "supervisor.json", processes.ProcessName)
                if record is not None and processes.is_alive(record):
                    os.kill(record.pid, signal.SIGKILL)
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


ARRAY_ENVIRONMENT = """#SBATCH --array=1-5:2,8
echo "$SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT:" \\
    "$SLURM_ARRAY_TASK_MIN to $SLURM_ARRAY_TASK_MAX"
echo "$SLURM_ARRAY_TASK_STEP $SLURM_ARRAY_JOB_ID"
echo "$SLURM_JOB_ID" >> ids
"""


def submit_array(site, source, array=""):
    """Submit an array where two tasks may run at a time; the job and its id."""
    job = msgspec.structs.replace(make_job(site.root, source), array=array)
    return job, site.submit_among(job).job_id


def test_an_array_runs_each_task_once_as_its_own_job(site, root):
    """Each task of an array runs once, with its own number, id and output, and the array's facts
    are those of all of them together.
    """
    job, job_id = submit_array(site, ARRAY_ENVIRONMENT)
    assert list(site.scheduler.find(job.token)) == [job_id]
    assert look(site, job_id).state == "PENDING" or look(site, job_id).tasks
    site.begin(job_id)
    facts = ended(site, job_id)
    assert (facts.state, facts.exit_code, facts.tasks) == ("COMPLETED", 0, {"COMPLETED": "1,3,5,8"})
    assert facts.submitted <= facts.started <= facts.ended
    for number in (1, 3, 5, 8):
        said = (root / "exp" / f"slurm-{job_id}_{number}.out").read_text()
        assert said == f"{number} of 4: 1 to 8\n2 {job_id}\n"
    ids = (root / "exp" / "ids").read_text().split()
    assert len(ids) == len(set(ids)) == 4
    ends = read_task_ends(job.wrapper.parent)
    assert {number: end.exit_code for number, end in ends.items()} == dict.fromkeys((1, 3, 5, 8), 0)
    assert list(site.scheduler.find(job.token)) == [job_id]


def test_a_failed_task_fails_its_array_and_can_run_alone(site, root):
    """One failed task makes the array FAILED with that task's code, and `Job.array` submits it
    alone.
    """
    body = "[[ $SLURM_ARRAY_TASK_ID != 2 ]] || exit 7\n"
    _, job_id = submit_array(site, f"#SBATCH --array=0-3%2\n{body}")
    site.begin(job_id)
    facts = ended(site, job_id)
    assert (facts.state, facts.exit_code) == ("FAILED", 7)
    assert facts.tasks == {"COMPLETED": "0-1,3", "FAILED": "2"}
    assert facts.output.endswith(f"slurm-{job_id}_2.out")
    job, job_id = submit_array(site, f"#SBATCH --array=0-3%2\n{body}", array="2%2")
    site.begin(job_id)
    assert ended(site, job_id).tasks == {"FAILED": "2"}
    assert set(read_task_ends(job.wrapper.parent)) == {2}


def test_an_array_runs_no_more_tasks_at_a_time_than_its_limit(site, root):
    """With %1 no task begins before the one before it has ended."""
    source = (
        "#SBATCH --array=0-2%1\n"
        "mkdir busy || touch together\nsleep 0.2\nrmdir busy\necho $SLURM_ARRAY_TASK_ID >> ran\n"
    )
    _, job_id = submit_array(site, source)
    site.begin(job_id)
    assert ended(site, job_id).tasks == {"COMPLETED": "0-2"}
    assert not (root / "exp" / "together").exists()
    assert sorted((root / "exp" / "ran").read_text().split()) == ["0", "1", "2"]


def test_a_cancelled_array_ends_its_tasks_and_begins_no_other(site, root):
    """Cancelling an array ends the tasks that run, and those that wait never begin."""
    source = (
        "#SBATCH --array=0-3%1\necho $$ > pid.$SLURM_ARRAY_TASK_ID\nwhile :; do sleep 0.05; done\n"
    )
    job, job_id = submit_array(site, source)
    site.begin(job_id)
    pid = root / "exp" / "pid.0"
    until(lambda: pid.exists() and pid.read_text())
    until(lambda: look(site, job_id).tasks == {"RUNNING": "0", "PENDING": "1-3"})
    site.scheduler.cancel(job_id)
    facts = ended(site, job_id)
    assert (facts.state, facts.tasks) == ("CANCELLED", {"CANCELLED": "0-3"})
    until(lambda: processes.start_ticks(int(pid.read_text())) is None)
    assert set(read_task_ends(job.wrapper.parent)) == {0}


def test_a_pending_array_can_be_cancelled(site, root):
    """An array cancelled while it waits is CANCELLED as a whole, and no task of it ever runs."""
    job = make_job(root, "#SBATCH --array=0-2\ntouch ran\n")
    job_id = site.submit_held(job).job_id
    assert look(site, job_id).state == "PENDING"
    site.scheduler.cancel(job_id)
    facts = ended(site, job_id)
    assert facts.state == "CANCELLED" and facts.started is None
    assert read_claims(job.wrapper.parent) == []


def test_a_second_array_of_one_attempt_runs_no_task(site, root):
    """Of two arrays of one attempt one runs, each task once; the other's tasks are twins."""
    job = make_job(root, "#SBATCH --array=0-2\necho $SLURM_ARRAY_TASK_ID >> ran\nsleep 0.5\n")
    ids = [site.submit_among(job).job_id for _ in range(2)]
    for job_id in ids:
        site.begin(job_id)
        ended(site, job_id)
    owner = read_claims(job.wrapper.parent)[0].job_id
    (twin,) = set(ids) - {owner}
    assert look(site, owner).tasks == {"COMPLETED": "0-2"}
    assert look(site, twin).tasks == {"FAILED": "0-2"}
    assert look(site, twin).exit_code == TWIN
    assert sorted((root / "exp" / "ran").read_text().split()) == ["0", "1", "2"]


def test_a_job_waits_for_all_tasks_of_an_array(site, root):
    """A job behind an array starts when the last of its tasks has ended."""
    source = "#SBATCH --array=0-1%1\nuntil [[ -e go.$SLURM_ARRAY_TASK_ID ]]; do sleep 0.02; done\n"
    _, first = submit_array(site, source)
    job = make_job(root, "touch second\n")
    second = site.submit_among(msgspec.structs.replace(job, after=(first,))).job_id
    site.begin(first)
    (root / "exp" / "go.0").touch()
    until(lambda: look(site, first).tasks == {"COMPLETED": "0", "RUNNING": "1"})
    assert look(site, second).state == "PENDING"
    (root / "exp" / "go.1").touch()
    assert ended(site, first).state == "COMPLETED"
    site.begin(second)
    assert ended(site, second).started >= look(site, first).ended


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
