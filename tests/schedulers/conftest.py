"""Jobs for the local scheduler in a spool of their own, all ended with the test."""

import os
import secrets
import signal
import time

import pytest

from watchkeeper.core import processes
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN, Job
from watchkeeper.schedulers.local.records import Started, read
from watchkeeper.schedulers.local.scheduler import LocalScheduler
from watchkeeper.schedulers.local.supervisor import kill_session
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.names import wrapper_name


class Harness:
    """Makes jobs and schedulers below a folder, and ends every process of them."""

    def __init__(self, root):
        self.root = root
        self.spool = root / "spool"
        self.local = self.scheduler()

    def scheduler(self, slots=2, **options):
        """A scheduler on the same spool."""
        return LocalScheduler(self.spool, slots, **({"kill_wait_s": 0.5} | options))

    def job(self, source, name="job", folder=None):
        """A job with a wrapper around this script, as a submission makes it."""
        token = secrets.token_hex(8)
        folder = folder or self.root / "exp"
        attempt = folder / ".watchkeeper" / "runs" / token / "1"
        attempt.mkdir(parents=True)
        script = attempt / "script"
        script.write_text(source if source.startswith("#!") else "#!/bin/bash\n" + source)
        path = attempt / wrapper_name(token)
        head = read_head(script)
        path.write_bytes(
            render.render(
                head, attempt_folder=attempt, script=script, token=token, scheduler="local"
            )
        )
        return Job(wrapper=path, folder=folder, name=name, token=token)

    def bare(self, source, name="job"):
        """A job without a wrapper."""
        job = self.job(source, name)
        job.wrapper.write_text(source if source.startswith("#!") else "#!/bin/bash\n" + source)
        return job

    def look(self, job_id, scheduler=None):
        """The facts of one job."""
        return (scheduler or self.local).poll([job_id]).facts[job_id]

    def until(self, condition, seconds=30):
        """Poll until the condition holds; its value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)
        return value

    def end(self, job_id, scheduler=None) -> SchedulerFacts:
        """Wait for a job's end; its facts."""
        ended = TERMINAL | {UNKNOWN}
        self.until(lambda: self.look(job_id, scheduler).state in ended)
        return self.look(job_id, scheduler)

    def run(self, job) -> SchedulerFacts:
        """Submit and wait."""
        return self.end(self.local.submit(job).job_id)

    def supervisor(self, job_id):
        """The pid of the job's supervisor, once it has begun."""
        record = self.local.spool.job(job_id) / "supervisor.json"
        return self.until(lambda: read(record, processes.ProcessName)).pid

    def kill_supervisor(self, job_id):
        """SIGKILL the job's supervisor, and wait until it is gone."""
        pid = self.supervisor(job_id)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: processes.start_ticks(pid) is None)

    def close(self):
        """End every process of the spool."""
        spool = self.local.spool
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

        def gone():
            with spool.lock():
                return spool.held_slots() == 0

        self.until(gone)


@pytest.fixture
def harness(tmp_path):
    """A spool of the test's own; its processes end with the test."""
    made = Harness(tmp_path)
    try:
        yield made
    finally:
        made.close()
