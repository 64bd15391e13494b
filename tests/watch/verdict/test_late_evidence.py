"""UNKNOWN yields to evidence, also after its verdict (law 7): nothing is trained twice because a
verdict was early.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments import times_run, write_experiment
from tests.watch.test_keeper import Hook, Time, changes, keeper, outcomes, run_pending
from watchkeeper.core.layout import attempt_folder
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.wrapper.heartbeat import is_alive
from watchkeeper.watch.keeper import Keeper, _hint_for

UNTIL_GO = "touch began; until [[ -e {go} ]]; do sleep 0.02; done"
LAG_S = 120.0


def waiting(folder: Path) -> Path:
    """An experiment whose jobs wait for `go` in its folder."""
    return write_experiment(folder, body=UNTIL_GO.format(go=folder / "go"))


def lost_while_it_runs(folder: Path, fake: FakeScheduler, time: Time, *, silent: bool) -> Hook:
    """Start the first job, and let the scheduler forget it while it runs; `silent`: its heartbeat
    is old.
    """
    attempt = attempt_folder(folder, "one", 1)

    def turned(one: Keeper) -> None:
        if not fake.jobs:
            return
        if fake.jobs["1"].process is None:
            fake.start("1")
            while not (attempt / "heartbeat.1").exists() or not (folder / "one/began").exists():
                pass
            fake.forget("1")
        if silent:
            for name in ("heartbeat.1", "claim.1"):
                os.utime(attempt / name, (1, 1))
        time.now += 100

    return turned


def end(folder: Path, fake: FakeScheduler, job_id: str = "1") -> None:
    """Let a job that waits for it come to its end."""
    (folder / "go").touch()
    process = fake.jobs[job_id].process
    assert process is not None
    process.wait(60)


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[tuple[Path, FakeScheduler, Time]]:
    """An experiment whose first attempt ended as unknown while its job runs on, silent at that
    time.
    """
    folder, fake, time = waiting(tmp_path / "exp"), FakeScheduler(visibility_lag_s=LAG_S), Time()
    assert keeper(folder, fake, lost_while_it_runs(folder, fake, time, silent=True), time).keep()
    assert outcomes(folder)["one"] == ["unknown"]
    yield folder, fake, time
    (folder / "go").touch()


def test_a_fresh_heartbeat_outweighs_an_absent_scheduler(tmp_path: Path) -> None:
    """A job that the scheduler does not show, and that gives signs of life, runs: no deadline ends
    it, and it is adopted by its exit record.
    """
    folder, fake, time = waiting(tmp_path / "exp"), FakeScheduler(visibility_lag_s=LAG_S), Time()
    lose = lost_while_it_runs(folder, fake, time, silent=False)
    turns: list[str] = []

    def turned(one: Keeper) -> None:
        lose(one)
        turns.append(one.logbook.state.run("one").attempts[1].state)
        if len(turns) == 30:
            end(folder, fake)
        if len(fake.jobs) > 1:
            run_pending(fake)(one)

    assert keeper(folder, fake, turned, time).keep()
    assert time.now > 3000 and "UNKNOWN" not in turns
    assert outcomes(folder)["one"] == ["done"] and set(times_run(folder).values()) == {1}
    assert "its heartbeat is fresh" in next(
        one.facts.reason for one in changes(folder, "one") if one.after == "RUNNING"
    )


@pytest.mark.parametrize("retry_failed", [False, True])
def test_an_exit_record_after_the_verdict_is_adopted(
    lost: tuple[Path, FakeScheduler, Time], retry_failed: bool
) -> None:
    """A later look at an unknown attempt takes its end from its exit record: it is done, and not
    submitted again.
    """
    folder, fake, time = lost
    end(folder, fake)
    assert keeper(folder, fake, run_pending(fake), time, retry_failed=retry_failed).keep()
    assert outcomes(folder) == {"one": ["done"], "one/clean/epoch0": ["done"]}
    assert set(times_run(folder).values()) == {1}


def test_a_heartbeat_after_the_verdict_revives_the_attempt(
    lost: tuple[Path, FakeScheduler, Time],
) -> None:
    """An unknown attempt that is seen to live is under way again, whatever was asked, until its
    real end.
    """
    folder, fake, time = lost
    (attempt_folder(folder, "one", 1) / "heartbeat.1").write_text(".")
    states: list[str] = []

    def turned(one: Keeper) -> None:
        states.append(one.logbook.state.run("one").attempts[1].state)
        if len(states) == 5:
            assert set(states) == {"RUNNING"} and fake.submissions == 1
            end(folder, fake)
        if len(fake.jobs) > 1:
            run_pending(fake)(one)

    assert keeper(folder, fake, turned, time, retry_failed=True).keep()
    assert outcomes(folder)["one"] == ["done"] and set(times_run(folder).values()) == {1}


def test_a_scheduler_that_knows_it_after_the_verdict_is_believed(
    lost: tuple[Path, FakeScheduler, Time],
) -> None:
    """A job that the scheduler shows again after it was given up is followed to its end."""
    folder, fake, time = lost
    fake.jobs["1"].forgotten = False
    end(folder, fake)
    for name in ("exit.1", "claim.1"):
        (attempt_folder(folder, "one", 1) / name).unlink()
    assert keeper(folder, fake, run_pending(fake), time).keep()
    assert outcomes(folder)["one"] == ["done"] and fake.submissions == 2, (
        "the second is its evaluation"
    )


def test_nothing_new_leaves_the_verdict_as_it_is(lost: tuple[Path, FakeScheduler, Time]) -> None:
    """An unknown attempt of which nothing is heard stays so: the same command writes no verdict and
    submits nothing.
    """
    folder, fake, time = lost
    for _ in range(2):
        assert keeper(folder, fake, time=time).keep()
    assert outcomes(folder)["one"] == ["unknown"] and fake.submissions == 1
    assert [one.after for one in changes(folder, "one")].count("UNKNOWN") == 1


@pytest.mark.parametrize("shows", ["claim", "scheduler"])
def test_a_doubted_submission_is_adopted_after_its_verdict(tmp_path: Path, shows: str) -> None:
    """A submission that nobody confirmed, and that was given up, is adopted when its claim or its
    scheduler shows it.
    """
    folder, fake, time = (
        write_experiment(tmp_path / "exp"),
        FakeScheduler(visibility_lag_s=LAG_S),
        Time(),
    )
    fake.claim_proved = False
    fake.on_submit("doubt")

    def turned(one: Keeper) -> None:
        fake.forget("1")
        time.now += 100

    assert keeper(folder, fake, turned, time).keep()
    assert outcomes(folder)["one"] == ["unknown"]
    fake.jobs["1"].forgotten = shows == "claim"
    if shows == "claim":
        fake.run("1")
    assert keeper(folder, fake, run_pending(fake), time, retry_failed=True).keep()
    assert outcomes(folder)["one"] == ["done"] and set(times_run(folder).values()) == {1}


def test_a_claim_resolves_a_doubt_while_the_scheduler_is_blind(tmp_path: Path) -> None:
    """A doubted job that the scheduler never shows is adopted by its claim, and no second one is
    handed over.
    """
    folder, fake, time = (
        write_experiment(tmp_path / "exp"),
        FakeScheduler(visibility_lag_s=LAG_S),
        Time(),
    )
    fake.on_submit("doubt")

    def turned(one: Keeper) -> None:
        if fake.jobs["1"].process is None:
            fake.run("1")
            fake.forget("1")
        time.now += 1000
        if len(fake.jobs) > 1:
            run_pending(fake)(one)

    assert keeper(folder, fake, turned, time).keep()
    assert outcomes(folder)["one"] == ["done"] and set(times_run(folder).values()) == {1}


def test_a_lost_node_that_was_alive_has_its_own_end(tmp_path: Path) -> None:
    """NODE_FAIL of a node that only the controller lost: while its heartbeat is fresh the job runs,
    and its exit record is its end; no second attempt is made of what was done.
    """
    folder, fake, time = waiting(tmp_path / "exp"), FakeScheduler(visibility_lag_s=LAG_S), Time()
    turns: list[str] = []
    lose = lost_while_it_runs(folder, fake, time, silent=False)

    def turned(one: Keeper) -> None:
        lose(one)
        fake.jobs["1"].forgotten = False
        if not turns:
            fake.report("1", "NODE_FAIL")
        turns.append(one.logbook.state.run("one").attempts[1].state)
        if len(turns) == 10:
            assert set(turns) <= {"PENDING", "RUNNING"}
            end(folder, fake)
        if len(fake.jobs) > 1:
            run_pending(fake)(one)

    assert keeper(folder, fake, turned, time).keep()
    assert outcomes(folder)["one"] == ["done"] and set(times_run(folder).values()) == {1}


def test_an_old_sign_is_no_life(tmp_path: Path) -> None:
    """Only a fresh heartbeat of an execution without a record is a sign of life, and nothing is
    where there are none.
    """
    folder = tmp_path / "attempt"
    folder.mkdir()
    assert not is_alive(folder, LAG_S), "no claim"
    claim = '{"scheduler":"slurm","job_id":"%s","nonce":"n"}'
    (folder / "claim.1").write_text(claim % "7")
    assert is_alive(folder, LAG_S)
    assert not is_alive(folder, 0.0)
    os.utime(folder / "claim.1", (1, 1))
    assert not is_alive(folder, LAG_S)
    (folder / "heartbeat.1").write_text(".")
    assert is_alive(folder, LAG_S)
    (folder / "exit.1").write_text('{"job_id":"7","exit_code":0}')
    assert not is_alive(folder, LAG_S), "it has ended"
    (folder / "exit.1").unlink()
    os.utime(folder / "heartbeat.1", (1, 1))
    (folder / "claim.2").write_text(claim % "")
    assert not is_alive(folder, LAG_S), "who closed it is no execution"
    (folder / "task-3").mkdir()
    (folder / "task-3/claim.1").write_text(claim % "7_3")
    assert is_alive(folder, LAG_S), "a task of an array lives"


@pytest.mark.parametrize(
    ("submitted", "asked", "words"),
    [
        ("local", "slurm", "leave out --cluster"),
        ("slurm@two", "slurm", 'slurm_cluster = "two"'),
        ("slurm@two", "slurm@one", "SLURM_CLUSTERS=two"),
        ("slurm", "slurm@one", "unset SLURM_CLUSTERS"),
        ("slurm", "local", "--cluster NAME"),
    ],
)
def test_how_a_job_is_asked_for_elsewhere(submitted: str, asked: str, words: str) -> None:
    """A job that another scheduler has is never taken for lost: the refusal says what to type
    instead.
    """
    assert words in _hint_for(submitted, asked)
