"""GPU-hours by user and by what became of the jobs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.query.usage.attempts import NOW, attempt, state_of
from watchkeeper.core.events import Chained, Opened
from watchkeeper.core.state import Attempt, RunState
from watchkeeper.query.usage.hours import Found, GpuHours, cause_of, gpu_hours, users_of

ASKED = {"gpus": "2", "time": "10:00:00"}


def hours_of(*attempts: Attempt, user: str = "ann") -> dict[str, GpuHours]:
    """The hours of one experiment's attempts, by user."""
    one = Found(Path("/nowhere"), state_of(attempts), {"w": user})
    return {hours.user: hours for hours in gpu_hours([one], lambda: NOW)}


def test_a_writer_is_the_user_of_its_process() -> None:
    """The first event of each file says whose it is; a file without one says nothing."""
    opened = Opened(
        time=NOW, writer="w", seq=0, schema=1, software="0", purpose="run", zone="UTC", user="ann"
    )
    chained = Chained(time=NOW, writer="v", seq=0, chain="")
    assert users_of({"w": [opened], "v": [chained], "u": []}) == {"w": "ann"}


def test_hours_are_gpus_times_time_by_what_became_of_the_jobs() -> None:
    """Two GPUs for an hour are two hours, under the name of what lost them."""
    found = hours_of(
        attempt("a", asked=ASKED, elapsed_s=3600),
        attempt("b", asked=ASKED, elapsed_s=1800, outcome="failed", state="FAILED"),
        attempt("c", asked=ASKED, elapsed_s=3600, outcome="failed", state="TIMEOUT"),
        attempt("d", asked=ASKED, elapsed_s=3600, outcome="cancelled", state="CANCELLED"),
        attempt("e", asked={}, elapsed_s=3600),
    )
    hours = found["ann"]
    assert (hours.done, hours.failed, hours.timed_out, hours.cancelled) == (2, 1, 2, 2)
    assert hours.total == 7
    assert hours.guessed == 0


def test_what_nobody_timed_is_counted_by_its_limit_and_marked() -> None:
    """A job whose time is unknown may have used all of its limit: it counts as a guess."""
    hours = hours_of(attempt("a", asked=ASKED))["ann"]
    assert hours.done == hours.guessed == 20


def test_users_without_gpus_are_left_out() -> None:
    """Nobody stands in the table with nothing; a user that the journal does not name is unknown."""
    assert hours_of(attempt("a", elapsed_s=3600)) == {}
    assert set(hours_of(attempt("a", asked=ASKED, elapsed_s=1), user="")) == {"unknown"}


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ({}, "done"),
        ({"outcome": "failed but good", "state": "FAILED"}, "done"),
        ({"outcome": "failed", "state": "FAILED"}, "failed"),
        ({"outcome": "invalid"}, "failed"),
        ({"outcome": "failed", "state": "DEADLINE"}, "timed_out"),
        ({"outcome": "cancelled", "state": "CANCELLED"}, "cancelled"),
        ({"outcome": "lost", "state": "NODE_FAIL"}, "lost"),
        ({"outcome": "unknown", "state": "UNKNOWN"}, "lost"),
    ],
)
def test_each_end_has_a_cause(words: dict[str, Any], cause: str) -> None:
    """By the verdict, and of a time limit by the scheduler's state."""
    one = attempt("a", **words)
    assert cause_of(one, RunState("a", {1: one})) == cause


def test_a_success_that_was_made_again_is_superseded() -> None:
    """A later attempt, or a result that was declared stale, makes its hours lost."""
    first, second = attempt("a", 1), attempt("a", 2)
    assert cause_of(first, RunState("a", {1: first, 2: second})) == "superseded"
    assert cause_of(second, RunState("a", {1: first, 2: second})) == "done"
    assert cause_of(first, RunState("a", {1: first}, redo_from=2)) == "superseded"


def test_a_job_under_way_counts_until_now() -> None:
    """It has used its GPUs since it started."""
    one = attempt("a", asked=ASKED)
    assert one.seen is not None
    facts = msgspec.structs.replace(
        one.seen.facts, state="RUNNING", started=NOW - timedelta(hours=3)
    )
    one.judged = None
    one.seen = msgspec.structs.replace(one.seen, facts=facts, state="RUNNING")
    hours = hours_of(one)["ann"]
    assert hours.under_way == pytest.approx(6)
    assert hours.guessed == 0
