"""How often the scheduler is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments import write_experiment
from tests.watch.test_keeper import Time, run_pending
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.settings import Settings
from watchkeeper.core.state import Attempt, Seen
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch import plan as planning
from watchkeeper.launch.plan import Selection
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.site import Site
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.policy import WatchPolicy
from watchkeeper.watch.poll.pace import MOST_EACH, Pace, Rota


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans())))
def test_the_interval_never_leaves_its_bounds(looks: list[tuple[bool, bool, bool]]) -> None:
    """Whatever happens, the scheduler is asked neither more often than the floor nor more seldom
    than the ceiling.
    """
    pace = Pace(soonest_s=5, usual_s=60, longest_s=300)
    for silent, changed, changing in looks:
        pace.silent() if silent else pace.looked(changed=changed, changing=changing)
        assert 5 <= pace.seconds <= 300
        assert silent or not changing or pace.seconds == 5
        assert silent or changing or not changed or pace.seconds == 60


def test_nothing_new_is_asked_about_less_and_less_often() -> None:
    """Quiet looks lengthen the interval to its ceiling, a change brings the usual one back."""
    pace = Pace(soonest_s=5, usual_s=60, longest_s=300)
    seen = []
    for _ in range(6):
        pace.looked(changed=False, changing=False)
        seen.append(pace.seconds)
    assert seen == [90, 135, 202.5, 300, 300, 300]
    pace.looked(changed=True, changing=False)
    assert pace.seconds == 60


@pytest.mark.parametrize(("accounting", "longest"), [(True, 300.0), (False, 30.0)])
def test_a_job_is_looked_for_before_it_is_forgotten(accounting: bool, longest: float) -> None:
    """Where nothing but the controller remembers an ended job, it is asked at least twice in that
    time; and the site's limit on jobs is kept.
    """
    site = Site(accounting=accounting, forgets_s=60, max_submit=7)
    policy = WatchPolicy.of(Settings(), FakeScheduler(visibility_lag_s=120), site)
    assert (policy.longest_s, policy.poll_s, policy.most_tasks) == (
        longest,
        min(60.0, longest),
        7,
    )
    assert WatchPolicy.of(Settings(cap=0), FakeScheduler(), Site()).most_tasks == 0
    assert WatchPolicy.of(Settings(cap=3), FakeScheduler(), site).cap == 3


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 5))
def test_each_job_has_its_turn(running: list[bool], turns: int) -> None:
    """Of any number of jobs few are looked at at a time, those that run and those that wait apart,
    and each one within as many turns as there are groups.
    """
    attempts = [Attempt(str(at), 1, "preparation") for at in range(len(running))]
    for attempt, runs in zip(attempts, running, strict=True):
        if runs:
            attempt.seen = Seen("w", 1, "1", "RUNNING", SchedulerFacts(state="RUNNING"), None)
    rota, seen = Rota(), set()
    for _ in range(turns):
        rota.next(attempts)
    for _ in range(-(-len(attempts) // MOST_EACH)):
        some = rota.next(attempts)
        assert len(some) <= 2 * MOST_EACH
        seen |= {attempt.key for attempt in some}
    assert seen == {attempt.key for attempt in attempts}


def test_the_end_of_a_job_is_seen_by_its_files_before_the_next_look_is_due(tmp_path: Path) -> None:
    """A job's own exit record brings the next look at once, however long the interval is."""
    folder, fake, time = write_experiment(tmp_path / "exp"), FakeScheduler(), Time()
    policy = WatchPolicy(
        soonest_s=0.01, poll_s=3600, longest_s=18000, stagger_s=0, cap=0, unknown_deadline_s=600
    )

    def run(one: Keeper) -> None:
        for job_id, job in list(fake.jobs.items()):
            if job.facts.state == "PENDING" and job.process is None:
                fake.run(job_id)

    one = Keeper(experiments.read(folder), fake, policy, Selection(), turned=run, monotonic=time)
    assert one.keep()
    assert time.now < 3600


def test_nothing_is_decided_again_while_nothing_changes(tmp_path: Path, monkeypatch) -> None:
    """However often a watch looks at jobs of which there is no news, it plans once; the first news
    makes a new plan.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    policy = WatchPolicy(
        soonest_s=0.005, poll_s=0.005, longest_s=0.005, stagger_s=0, cap=0, unknown_deadline_s=600
    )
    plans: list[int] = []
    make = planning.Planner.make
    monkeypatch.setattr(planning.Planner, "make", lambda *facts: plans.append(1) or make(*facts))
    counts: list[int] = []

    def turned(one: Keeper) -> None:
        counts.append(len(plans))
        if len(counts) == 12:
            run_pending(fake)(one)
        if len(counts) == 14:
            one.ask_to_leave("enough")

    one = Keeper(
        experiments.read(folder), fake, policy, Selection(), turned=turned, monotonic=Time()
    )
    assert not one.keep()
    assert counts[2] == counts[11] < counts[13]


def test_a_trace_is_news_once(tmp_path: Path) -> None:
    """A job that waits, of which a file says that it has begun, brings one look, and no further one
    by the same file while the scheduler has not seen it yet.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    stirs: list[bool] = []

    def turned(one: Keeper) -> None:
        (active,) = one.logbook.state.active
        trace = attempt_folder(folder, *active.id) / "claim.1"
        if len(stirs) == 2:
            trace.write_text("")
        stirs.append(one._poller.stirs())
        if len(stirs) == 6:
            one.ask_to_leave("enough")

    policy = WatchPolicy(
        soonest_s=0.005, poll_s=0.005, longest_s=0.005, stagger_s=0, cap=0, unknown_deadline_s=600
    )
    one = Keeper(
        experiments.read(folder), fake, policy, Selection(), turned=turned, monotonic=Time()
    )
    assert not one.keep()
    assert stirs == [False, False, True, False, False, False]
