"""What attempts have used, by the journal and by their own copies of the scripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.experiments import state_of, write_experiment
from tests.watch.test_keeper import actions, keeper, outcomes, run_pending
from watchkeeper.core.events import Judged, SchedulerFacts, Submitted
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, RunState, Seen, State
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.budget import Budget, parse
from watchkeeper.watch.spending import Spending

NOON = datetime(2026, 3, 11, 12, tzinfo=UTC)
LIMIT = "#SBATCH --time=02:00:00\n"


def attempt(
    folder: Path, head: str, *, judged_at: float | None, elapsed_s: float | None, **facts: datetime
) -> State:
    """The state of one attempt that was submitted at noon, by a script with this head. `judged_at`
    in seconds after noon; None: it is under way.
    """
    place = attempt_folder(folder, "r8", 1)
    place.mkdir(parents=True)
    (place / "script").write_text(f"#!/bin/bash\n{head}true\n")
    common = {"writer": "w", "seq": 1, "key": "r8", "phase": "preparation", "attempt": 1}
    submitted = Submitted(**common, time=NOON, job_id="1", scheduler="fake", command="x")
    judged = None
    if judged_at is not None:
        time = NOON + timedelta(seconds=judged_at)
        judged = Judged(**common, time=time, outcome="failed", state="FAILED", elapsed_s=elapsed_s)
    seen = None
    if facts:
        said = SchedulerFacts(state="RUNNING", **facts)
        seen = Seen("w", 2, "1", "RUNNING", said, None)
    one = Attempt("r8", 1, "preparation", submissions={"1": submitted}, judged=judged, seen=seen)
    return State(runs={"r8": RunState("r8", {1: one})})


def used(folder: Path, state: State, now_s: float = 7200.0):
    clock = lambda: NOON + timedelta(seconds=now_s)  # noqa: E731
    return Spending(folder, Budget(), (), clock).used(state)


def test_an_ended_job_counts_its_gpus_for_its_elapsed_time(tmp_path: Path) -> None:
    """GPUs asked for times the elapsed time that the verdict has."""
    state = attempt(tmp_path, "#SBATCH --gpus=4\n", judged_at=900, elapsed_s=600.0)
    assert used(tmp_path, state).gpu_s == 2400.0


def test_each_node_has_its_gpus(tmp_path: Path) -> None:
    """What is asked for a node counts for each node."""
    head = "#SBATCH --nodes=2 --gpus-per-node=4\n"
    assert used(tmp_path, attempt(tmp_path, head, judged_at=9, elapsed_s=1.0)).gpu_s == 8.0


def test_a_running_job_counts_until_now(tmp_path: Path) -> None:
    """From its start by the scheduler's word to this moment."""
    start = NOON + timedelta(seconds=3600)
    state = attempt(tmp_path, "#SBATCH --gpus=1\n", judged_at=None, elapsed_s=None, started=start)
    assert used(tmp_path, state).gpu_s == 3600.0


def test_a_waiting_job_has_used_nothing(tmp_path: Path) -> None:
    """A job in the queue counts as a job, and has no GPU yet."""
    found = used(tmp_path, attempt(tmp_path, "#SBATCH --gpus=1\n", judged_at=None, elapsed_s=None))
    assert (found.gpu_s, found.jobs) == (0.0, 1)


@pytest.mark.parametrize(("head", "gpu_s"), [(LIMIT, 7200.0), ("", 900.0)])
def test_an_unknown_time_counts_by_the_limit_and_is_named(
    tmp_path: Path, head: str, gpu_s: float
) -> None:
    """Where nobody says how long it ran its time limit counts; without one, until its verdict."""
    state = attempt(tmp_path, f"#SBATCH --gpus=1\n{head}", judged_at=900, elapsed_s=None)
    found = used(tmp_path, state)
    assert found.gpu_s == gpu_s
    assert (found.by_limit, found.by_clock) == ((("r8",), ()) if head else ((), ("r8",)))


def test_a_job_without_gpus_uses_none(tmp_path: Path) -> None:
    """Only the job itself is counted."""
    found = used(tmp_path, attempt(tmp_path, "", judged_at=900, elapsed_s=None))
    assert (found.gpu_s, found.jobs, found.by_clock) == (0.0, 1, ())


def test_a_spent_budget_stops_submissions_and_no_job(tmp_path: Path) -> None:
    """No job beyond the budget is submitted, and those that were submitted end as they would."""
    folder = write_experiment(tmp_path / "exp", runs=tuple("abcde"), tasks=())
    fake = FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), budget=parse("jobs=2")).keep()
    assert sorted(outcomes(folder)) == ["a", "b"]
    assert all(ends == ["done"] for ends in outcomes(folder).values())
    assert actions(folder, "training").count("HALT") == 1
    halted = state_of(folder).halted["preparation"]
    assert halted.why == "the budget is spent: 2 of 2 jobs submitted" and halted.left == 3


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    """The next run counts the jobs of all executions."""
    folder = write_experiment(tmp_path / "exp", runs=tuple("abcde"), tasks=())
    for number in (2, 2, 4):
        fake = FakeScheduler()
        assert keeper(folder, fake, run_pending(fake), budget=parse(f"jobs={number}")).keep()
        assert len(outcomes(folder)) == number
    fake = FakeScheduler()
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert len(outcomes(folder)) == 5


def test_keep_going_does_not_outweigh_the_budget(tmp_path: Path) -> None:
    """--keep-going is about failures alone."""
    folder = write_experiment(tmp_path / "exp", runs=tuple("abc"), tasks=())
    fake = FakeScheduler()
    budget = parse("jobs=1")
    assert keeper(folder, fake, run_pending(fake), budget=budget, keeps_going=True).keep()
    assert len(outcomes(folder)) == 1
