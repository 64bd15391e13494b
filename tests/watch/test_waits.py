"""Nothing waits for ever in silence: why a job waits is in log, status and alarms, and a refusal
for now has a bound.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.experiments import blocks_of, state_of, write_experiment
from tests.watch.test_keeper import Hook, changes, keeper, outcomes, run_pending
from watchkeeper.core import processes
from watchkeeper.core.events import Polled, Rejected
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.query import status
from watchkeeper.schedulers.fake.scheduler import FakeScheduler, Outcome
from watchkeeper.watch import notify
from watchkeeper.watch.keeper import Keeper

HELD = "JobHeldUser"


def waiting(fake: FakeScheduler, told: list[dict[str, Any]], then: Hook) -> Hook:
    """The first job says these facts, one look after the other; then `then` is called."""

    def turned(one: Keeper) -> None:
        if told and fake.jobs:
            fake.report("1", msgspec.structs.replace(fake.jobs["1"].facts, **told.pop(0)))
        elif fake.jobs:
            then(one)

    return turned


def test_a_held_job_is_told_once_with_what_to_do(tmp_path: Path) -> None:
    """However often it is looked at, a held job is one line in the log and one alarm; when it is
    released that is news.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    held = {"reason": HELD, "expected": None}
    guess = held | {"expected": datetime.now(UTC) + timedelta(hours=3)}
    free = {"reason": "Priority", "expected": None}
    shown: list[str] = []

    def then(one: Keeper) -> None:
        run_pending(fake)(one)

    def turned(one: Keeper) -> None:
        if len(told) == 3:
            shown.extend(
                row.why
                for row in status.look(experiments.read(folder), Selection()).rows
                if row.run == "one"
            )
        hook(one)

    told = [held, guess, held, guess, held, free, free]
    hook = waiting(fake, told, then)
    assert keeper(folder, fake, turned).keep()
    lines = [b.result for b in blocks_of(folder, "run-training.log") if HELD in b.result]
    assert (
        len(lines) == 1
        and "does not start by itself" in lines[0]
        and "scontrol release 1" in lines[0]
    )
    assert any(HELD in why and "scontrol release 1" in why for why in shown)
    news = [one for one in changes(folder, "one") if one.before == one.after == "PENDING"]
    assert [bool(one.stuck) for one in news] == [True, False]
    polled = Polled(
        time=datetime.now(UTC),
        writer="w",
        seq=1,
        phase="preparation",
        query="q",
        interval_s=1.0,
        changes=tuple(news),
    )
    (alarm,) = notify.of_event(polled, "exp")
    assert (
        alarm.what == "alarm" and "JobHeldUser" in alarm.line and "scontrol release 1" in alarm.line
    )


def test_the_guess_of_its_start_is_kept_and_costs_few_lines(tmp_path: Path) -> None:
    """A job that waits long has Slurm's guess in the status, again only when it moves by much, and
    not in the log.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    now = datetime.now(UTC)
    at = [now + timedelta(hours=2, minutes=minutes) for minutes in (0, 1, 2, 3, 300)]
    told = [
        {"reason": "Priority", "submitted": now - timedelta(hours=1), "expected": time}
        for time in at
    ]
    assert keeper(folder, fake, waiting(fake, told, run_pending(fake))).keep()
    news = [
        one.facts.expected for one in changes(folder, "one") if one.before == one.after == "PENDING"
    ]
    assert news == [at[0], at[-1]]
    assert not [b for b in blocks_of(folder, "run-training.log") if "Priority" in b.result]


def test_a_job_that_starts_soon_says_nothing_of_its_queue(tmp_path: Path) -> None:
    """A minute in the queue is no news."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    told = [{"reason": "Priority"}] * 3
    assert keeper(folder, fake, waiting(fake, told, run_pending(fake))).keep()
    assert not [one for one in changes(folder, "one") if one.before == one.after]


class Calendar:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time in UTC."""
        return self.now


@pytest.mark.parametrize("outcome", ["busy", "unavailable", "unreached"])
def test_a_refusal_for_now_is_tried_again_for_a_day(tmp_path: Path, outcome: Outcome) -> None:
    """What the scheduler does not take for now is asked again, and shown as not taken yet; after a
    day it is a refusal.
    """
    folder, fake, calendar = write_experiment(tmp_path / "exp"), FakeScheduler(), Calendar()
    fake.on_submit(*[outcome] * 30)
    shown: list[str] = []

    def turned(one: Keeper) -> None:
        rows = status.look(experiments.read(folder), Selection()).rows
        shown.extend(row.why for row in rows if row.key == "one")
        calendar.now += timedelta(hours=1)

    assert keeper(folder, fake, turned, clock=calendar).keep()
    assert 24 <= fake.submissions <= 26
    assert any(why.startswith("not taken yet: fake: ") for why in shown)
    attempt = state_of(folder).run("one").attempts[1]
    assert isinstance(attempt.rejected, Rejected)
    assert "so it has said for 24 hours" in attempt.rejected.message
    assert outcomes(folder)["one"] == ["not run" if outcome == "unreached" else "open"], (
        "it never was a job"
    )


def leave_at(calendar: Calendar, hours: int, fake: FakeScheduler) -> Hook:
    """Each turn takes an hour; the watch is left after so many, counted from the first."""

    def turned(one: Keeper) -> None:
        calendar.now += timedelta(hours=1)
        if fake.submissions >= hours:
            one.ask_to_leave("a test")

    return turned


@pytest.fixture
def earlier_watches_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of an earlier watch has ended, though it was this one."""
    monkeypatch.setattr(processes, "is_alive", lambda process: False)


@pytest.mark.usefixtures("earlier_watches_gone")
def test_the_day_of_a_refusal_outlives_its_watch(tmp_path: Path) -> None:
    """A watch that is left and begun again goes on counting: the day is the refusals', not the
    process's.
    """
    folder, fake, calendar = write_experiment(tmp_path / "exp"), FakeScheduler(), Calendar()
    fake.on_submit(*["busy"] * 60)
    assert not keeper(folder, fake, leave_at(calendar, 10, fake), clock=calendar).keep()
    assert not keeper(folder, fake, leave_at(calendar, 20, fake), clock=calendar).keep()
    assert keeper(folder, fake, leave_at(calendar, 60, fake), clock=calendar).keep()
    assert 24 <= fake.submissions <= 26
    assert isinstance(state_of(folder).run("one").attempts[1].rejected, Rejected)


@pytest.mark.usefixtures("earlier_watches_gone")
def test_days_without_a_question_are_no_refusal(tmp_path: Path) -> None:
    """What was refused once, and again when the watch came back days later, has not been refused
    for days.
    """
    folder, fake, calendar = write_experiment(tmp_path / "exp"), FakeScheduler(), Calendar()
    fake.on_submit("busy", "busy")
    assert not keeper(folder, fake, leave_at(calendar, 1, fake), clock=calendar).keep()
    calendar.now += timedelta(days=3)
    run = run_pending(fake)
    assert keeper(folder, fake, run, clock=calendar).keep()
    assert (
        outcomes(folder)["one"] == ["done"]
        and state_of(folder).run("one").attempts[1].rejected is None
    )
