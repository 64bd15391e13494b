"""The fake shows the faults that real schedulers cannot be made to show when a test wants them."""

import pytest

from watchkeeper.core.errors import BusyError, DoubtError, RefusedError, UnavailableError
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.wrapper.claims import read_claims


@pytest.fixture
def job(harness):
    """A wrapped job."""
    return harness.job("echo ran >> ran\n")


@pytest.mark.parametrize(
    ("outcome", "error", "jobs"),
    [
        ("refuse", RefusedError, 0),
        ("busy", BusyError, 0),
        ("unavailable", UnavailableError, 0),
        ("doubt", DoubtError, 1),
        ("lose", DoubtError, 0),
    ],
)
def test_submissions_that_go_wrong(job, outcome, error, jobs):
    """Each outcome raises its error, in its turn, and leaves a job or none."""
    fake = FakeScheduler()
    fake.on_submit("accept", outcome)
    first = fake.submit(job).job_id
    with pytest.raises(error):
        fake.submit(job)
    assert len(fake.find(job.token)) == 1 + jobs
    fake.submit(job)
    assert fake.find(job.token)[0] == first
    assert fake.submissions == 3


def test_a_doubted_job_runs(job):
    """The job of a doubted submission is as real as any."""
    fake = FakeScheduler()
    fake.on_submit("doubt")
    with pytest.raises(DoubtError):
        fake.submit(job)
    (job_id,) = fake.find(job.token)
    assert fake.run(job_id).state == "COMPLETED"
    assert (job.folder / "ran").read_text() == "ran\n"


def test_an_outage(job):
    """In an outage nothing can be asked; afterwards everything is as before."""
    fake = FakeScheduler()
    job_id = fake.submit(job).job_id
    fake.outage(3)
    for ask in (
        lambda: fake.poll([job_id]),
        lambda: fake.find(job.token),
        lambda: fake.cancel(job_id),
    ):
        with pytest.raises(UnavailableError):
            ask()
    assert fake.poll([job_id]).facts[job_id].state == "PENDING"


def test_reports_and_forgetting(job):
    """It says what it is told to say, one look after the other, and forgets what it is told to
    forget.
    """
    fake = FakeScheduler()
    job_id = fake.submit(job).job_id
    fake.report(job_id, "RUNNING", "PREEMPTED", "NODE_FAIL")
    assert [fake.poll([job_id]).facts[job_id].state for _ in range(4)] == [
        "RUNNING",
        "PREEMPTED",
        "NODE_FAIL",
        "NODE_FAIL",
    ]
    fake.forget(job_id)
    assert fake.poll([job_id]).facts == {}
    assert fake.find(job.token) == []


def test_a_requeue(harness):
    """A job run again with a higher restart count comes in as the next claim, after a death without
    exit record.
    """
    job = harness.job("[[ -e once ]] || { touch once; kill -KILL $PPID; }\necho ran >> ran\n")
    fake = FakeScheduler()
    job_id = fake.submit(job).job_id
    assert fake.run(job_id).signal == 9
    assert fake.run(job_id, restart=1).state == "COMPLETED"
    assert [claim.restart for claim in read_claims(job.wrapper.parent)] == [0, 1]
