"""The shipped stand-in for Slurm's commands: the adapter and the watch in front of what a real
Slurm seldom does.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments import blocks_of, claims, state_of, times_run, write_experiment
from watchkeeper.core.errors import BusyError, DoubtError, RefusedError, UnavailableError
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.schedulers.base import UNKNOWN, Job
from watchkeeper.schedulers.fake.scheduler import FakeScheduler, Outcome
from watchkeeper.schedulers.fake.slurm import FakeSlurm
from watchkeeper.schedulers.shell import Done
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.policy import WatchPolicy

VERSIONS = [(20, 11), (22, 5), (24, 5)]


class Time:
    """A monotonic clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        self.now += 0.001
        return self.now


class Watched:
    """An experiment of one fine-tune and one evaluation, watched through the adapter; jobs run when
    they are shown.
    """

    def __init__(self, folder: Path, version: tuple[int, int], *, lag_s: float = 1.0) -> None:
        self.folder = write_experiment(folder)
        self.fake = FakeScheduler()
        self.shell = FakeSlurm(self.fake, version=version)
        self.time = Time()
        self.slurm = SlurmScheduler(
            self.shell, user="me", visibility_lag_s=lag_s, monotonic=self.time
        )
        self.hides = 0

    def keep(self, proved: bool = True, deadline_s: float = 600, **selection: bool) -> bool:
        """Keep the watch to its end."""
        policy = WatchPolicy(
            soonest_s=0.005,
            poll_s=0.005,
            longest_s=0.005,
            stagger_s=0,
            cap=0,
            unknown_deadline_s=deadline_s,
        )
        self.slurm.proves_claim = lambda folder: proved  # type: ignore[method-assign]
        experiment = experiments.read(self.folder)
        return Keeper(
            experiment,
            self.slurm,
            policy,
            Selection(**selection),
            turned=self._turned,
            monotonic=self.time,
        ).keep()

    def _turned(self, keeper: Keeper) -> None:
        del keeper
        self.time.now += 1
        for job_id, job in list(self.fake.jobs.items()):
            if job.facts.state == "PENDING" and not job.forgotten and job.process is None:
                if self.hides:
                    self.shell.hide(job_id, squeue=self.hides, sacct=self.hides)
                self.fake.run(job_id)

    @property
    def outcomes(self) -> list[str]:
        """The verdicts, attempt by attempt."""
        return [
            a.judged.outcome if a.judged else "open"
            for r in state_of(self.folder).runs.values()
            for a in r.attempts.values()
        ]


@pytest.fixture(params=VERSIONS, ids=lambda version: "{}.{:02}".format(*version))
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Watched:
    """One for each version of Slurm."""
    return Watched(tmp_path / "exp", request.param)


@pytest.mark.parametrize(
    ("outcome", "error", "exists"),
    [
        ("refuse", RefusedError, 0),
        ("busy", BusyError, 0),
        ("unavailable", UnavailableError, 0),
        ("doubt", DoubtError, 1),
        ("lose", DoubtError, 0),
    ],
)
def test_sbatchs_words_mean_what_happened(
    tmp_path: Path, outcome: Outcome, error: type[Exception], exists: int
) -> None:
    """Each answer of sbatch is read as what became of the job: refused, later, not asked, or in
    doubt.
    """
    watched = Watched(tmp_path / "exp", (22, 5))
    script = watched.folder / "wk-tok.sh"
    script.write_text("#!/bin/bash\ntrue\n")
    watched.fake.on_submit(outcome)
    with pytest.raises(error):
        watched.slurm.submit(Job(wrapper=script, folder=watched.folder, name="x", token="tok"))
    assert len(watched.fake.jobs) == exists


def test_the_whole_way(watched: Watched) -> None:
    """An experiment is run to its end through the commands of each version, at one squeue and at
    most one sacct a look.
    """
    assert watched.keep()
    assert watched.outcomes == ["done", "done"] and set(times_run(watched.folder).values()) == {1}
    asked = [argv[0] for argv in watched.shell.asked if "--helpformat" not in argv]
    assert asked.count("sacct") <= asked.count("squeue")


def test_a_job_taken_in_doubt_and_shown_late_is_adopted(watched: Watched) -> None:
    """sbatch times out, its job runs, and is shown only several looks later: one job, one claim,
    adopted.
    """
    watched.hides = 3
    watched.slurm.visibility_lag_s = 60.0
    watched.fake.on_submit("doubt")
    assert watched.keep()
    assert watched.outcomes == ["done", "done"]
    assert watched.fake.submissions == 2 and len(claims(watched.folder)) == 2


@pytest.mark.parametrize(
    ("proved", "outcomes", "submissions"), [(True, ["done", "done"], 3), (False, ["unknown"], 1)]
)
def test_a_job_lost_in_doubt(
    watched: Watched, proved: bool, outcomes: list[str], submissions: int
) -> None:
    """sbatch times out and no job is there: it is submitted again where the claim is proved, and
    given up elsewhere.
    """
    watched.fake.on_submit("lose")
    assert watched.keep(proved=proved, deadline_s=30)
    assert watched.outcomes == outcomes and watched.fake.submissions == submissions


def test_accounting_that_lags_and_falls_silent(watched: Watched) -> None:
    """While accounting does not answer, or has no end yet, nothing is called failed or lost, and
    all ends well.
    """
    watched.hides = 2
    watched.fake.silence("Connection refused")
    done = watched.keep()
    assert done and watched.outcomes == ["done", "done"]
    changes = [
        b.details
        for b in blocks_of(watched.folder, "run-training.log")
        if b.action == "STATE_CHANGE"
    ]
    assert not [change for change in changes if "FAILED" in change]


def test_a_squeue_that_lies(tmp_path: Path) -> None:
    """An empty answer with code 0, as some outages give, makes a job unknown, not ended; the next
    answer puts it right.
    """
    watched = Watched(tmp_path / "exp", (24, 5))
    script = watched.folder / "wk-tok.sh"
    script.write_text("#!/bin/bash\ntrue\n")
    job_id = watched.slurm.submit(
        Job(wrapper=script, folder=watched.folder, name="x", token="tok")
    ).job_id
    assert watched.slurm.poll([job_id]).facts[job_id].state == "PENDING"
    watched.shell.answer("squeue", Done(code=0))
    assert watched.slurm.poll([job_id]).facts[job_id].state == UNKNOWN
    assert watched.slurm.poll([job_id]).facts[job_id].state == "PENDING"


def test_one_look_at_ten_thousand_jobs_is_two_commands(tmp_path: Path) -> None:
    """Fifty groups of two hundred jobs cost one squeue, and one sacct where some have ended; each
    group is told of all its jobs.
    """
    fake = FakeScheduler(name="slurm")
    shell = FakeSlurm(fake)
    slurm = SlurmScheduler(shell, user="me")
    script = tmp_path / "wk-tok.sh"
    script.write_text("#!/bin/bash\ntrue\n")
    for _ in range(10_000):
        fake.submit(Job(wrapper=script, folder=tmp_path, name="x", token="tok"))
    ids = list(fake.jobs)
    groups = [ids[first : first + 200] for first in range(0, 10_000, 200)]
    for ended, commands in (([], ["squeue"]), (ids[::2], ["squeue", "sacct"])):
        for job_id in ended:
            fake.report(job_id, "COMPLETED")
        shell.asked.clear()
        seen = slurm.poll_groups(groups)
        assert [list(one.facts) for one in seen] == groups
        assert [words[0] for words in shell.asked if "--helpformat" not in words] == commands
