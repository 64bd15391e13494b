"""What the local scheduler forgets of a job when nobody needs its records any more."""

import os

import pytest

from tests.schedulers.local.test_scheduler import nobody_starts


def entries(spool):
    """The names of what the spool holds of jobs, folder by folder."""
    folders = (spool.jobs, spool.tokens, spool.pending, spool.running)
    return {folder.name: sorted(os.listdir(folder)) for folder in folders}


def test_of_a_released_job_nothing_is_left(harness):
    """An ended job's records go, its token too; nobody finds it any more, and its id stays used."""
    done, last = harness.job("true\n"), harness.job("true\n")
    for job in (done, last):
        harness.run(job)
    assert list(harness.local.release([done.token])) == []
    assert entries(harness.local.spool) == {
        "jobs": ["2"],
        "tokens": [last.token],
        "pending": [],
        "running": [],
    }
    assert harness.local.poll(["1"]).facts == {} and harness.local.find(done.token) == []
    assert harness.run(harness.job("true\n")).output.endswith("slurm-3.out")


def test_a_job_that_has_not_ended_keeps_its_records(harness):
    """One that waits, and one that runs, are kept whatever anybody says, and run to their ends."""
    waits = harness.job("true\n")
    runs = harness.job("until [[ -e gate ]]; do sleep 0.02; done\n")
    quiet = harness.scheduler(start=nobody_starts)
    ids = [quiet.submit(waits).job_id]
    assert quiet.release([waits.token]) == [waits.token]
    ids += [harness.local.submit(job).job_id for job in (runs, harness.job("true\n"))]
    harness.supervisor(ids[1])
    assert harness.local.release([runs.token]) == [runs.token]
    (runs.folder / "gate").touch()
    assert [harness.end(job_id).exit_code for job_id in ids] == [0, 0, 0]
    assert harness.local.release([waits.token, runs.token]) == []


def test_the_last_id_is_remembered_by_its_job(harness):
    """The newest job is kept, so that no id is given twice where the file of the next one is lost;
    of an array, all ids count.
    """
    array = harness.job("#SBATCH --array=3,5\ntrue\n")
    harness.run(array)
    assert harness.local.release([array.token]) == [array.token]
    (harness.spool / "next").unlink()
    assert harness.local.release([array.token]) == [array.token]
    last = harness.job("true\n")
    assert harness.local.submit(last).job_id == "3"
    assert harness.local.release([array.token]) == []
    (harness.spool / "next").unlink()
    harness.end("3")
    assert harness.local.submit(harness.job("true\n")).job_id == "4"


@pytest.mark.parametrize("source", ["true\n", "#SBATCH --array=0-1\ntrue\n"])
def test_a_removal_that_was_broken_off_is_finished_by_the_next(harness, monkeypatch, source):
    """Wherever whoever removes is killed: the job is never taken for one that waits or was
    orphaned, and the next release leaves nothing.
    """
    for steps in range(100):
        job = harness.job(source)
        job_id = harness.local.submit(job).job_id
        harness.end(job_id)
        harness.local.submit(harness.job("true\n"))
        with monkeypatch.context() as patched:
            if not _dies_after(patched, steps, harness.local, job.token):
                break
        spool = harness.local.spool
        assert spool.standing(job_id) in ("ended", "absent")
        assert job_id not in spool.orphans() and job_id not in spool.waiting()
        assert harness.scheduler().release([job.token]) == []
        assert not spool.job(job_id).exists() and not (spool.tokens / job.token).exists()
    assert steps >= 5


class KilledError(BaseException):
    """Whoever removes is no more."""


def _dies_after(patched, steps, local, token):
    """Release a job, and die before the removal after so many; whether it came to that."""
    left = [steps]

    def counting(remove):
        def removes(*arguments, **options):
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return remove(*arguments, **options)

        return removes

    for name in ("unlink", "rmdir"):
        patched.setattr(os, name, counting(getattr(os, name)))
    try:
        local.release([token])
    except KilledError:
        return True
    return False
