"""Whether a sweep can work, by the ends of its first jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.core.events import Cause, Judged, Outcome, Submitted
from watchkeeper.core.state import Attempt
from watchkeeper.core.text.masks import masked
from watchkeeper.watch.trial import error_of, first_failures

NOON = datetime(2026, 3, 11, 12, tzinfo=UTC)
MODULE = "exit code 1; something is not installed (No module named 'x'); nothing at r8/result.json"


def attempt(
    number: int,
    outcome: Outcome | None = "failed",
    cause: Cause = "install",
    why: str = MODULE,
    elapsed_s: float | None = 2.0,
) -> Attempt:
    """An attempt that ended `number` seconds after noon; `outcome` None: it runs."""
    common = {"time": NOON + timedelta(seconds=number), "writer": "w", "seq": number}
    key = f"r{number}"
    judged = None
    if outcome is not None:
        judged = Judged(
            **common, key=key, phase="evaluation", attempt=1, outcome=outcome, state="FAILED",
            why=why, cause=cause, elapsed_s=elapsed_s,
        )  # fmt: skip
    submitted = Submitted(
        **common, key=key, phase="evaluation", attempt=1, job_id="1", scheduler="fake", command="x"
    )
    return Attempt(key, 1, "evaluation", submissions={"1": submitted}, judged=judged)


def keys(attempts: list[Attempt], left: int) -> list[str]:
    return [one.key for one in first_failures(attempts, left)]


def test_three_first_jobs_with_one_lasting_cause_stop_the_phase() -> None:
    """The first three to end decide, in the order of their ends."""
    attempts = [attempt(3), attempt(1), attempt(2), attempt(4, None)]
    assert keys(attempts, 10) == ["r1", "r2", "r3"]


def test_two_of_many_decide_nothing() -> None:
    """Of three or more pieces of work, two failures are too few."""
    assert keys([attempt(1), attempt(2), attempt(3, None)], 10) == []


def test_of_two_pieces_of_work_the_one_that_started_decides() -> None:
    """Of fewer than three, all that have started must have failed."""
    assert keys([attempt(1)], 1) == ["r1"]
    assert keys([attempt(1, None)], 1) == []


def test_nothing_left_to_submit_is_nothing_to_stop() -> None:
    """A phase that is submitted whole is not halted."""
    assert keys([attempt(1), attempt(2), attempt(3)], 0) == []


@pytest.mark.parametrize(
    "other",
    [
        attempt(3, "done", ""),
        attempt(3, "failed but good", "install"),
        attempt(3, "failed", "memory gpu"),
        attempt(3, "failed", "unknown"),
        attempt(3, "cancelled", "cancelled"),
        attempt(3, "lost", "node"),
        attempt(3, why="exit code 1; something is not installed (No module named 'y')"),
        attempt(3, elapsed_s=61.0),
        attempt(3, elapsed_s=None),
    ],
    ids=["done", "good", "memory", "unknown", "cancelled", "lost", "another", "late", "untimed"],
)
def test_another_end_keeps_the_phase_going(other: Attempt) -> None:
    """If one of the first three ended otherwise, or after a minute, the sweep may work."""
    assert keys([attempt(1), attempt(2), other, attempt(4)], 10) == []


def test_a_job_that_ended_well_since_keeps_the_phase_going() -> None:
    """The fourth job's success outweighs the first three failures."""
    assert keys([attempt(1), attempt(2), attempt(3), attempt(4, "done", "")], 10) == []


def test_paths_and_numbers_make_no_other_cause() -> None:
    """Errors that differ in the run's own path, a number or a hash are one cause."""
    whys = [f"exit code 1; a file is missing (/data/r{n}/x_{n}.bin: gone)" for n in range(3)]
    attempts = [attempt(n, cause="user error", why=why) for n, why in enumerate(whys)]
    assert len(keys(attempts, 5)) == 3


def test_the_error_is_what_is_said_behind_the_exit_code() -> None:
    """Of a verdict's reasons, the cause is named and not what was not found."""
    assert error_of(MODULE) == "something is not installed (No module named 'x')"
    assert error_of("exit code 1") == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no /a/b-c/d.py here", "no <path> here"),
        ("~/x/y and ./z", "<path> and <path>"),
        ("at 0xDEADbeef or 3fa9c04b2d", "at <hex> or <hex>"),
        ("lr 1.5 of 20 jobs", "lr <number> of <number> jobs"),
        ("facade and decade", "facade and decade"),
        ("No module named 'x'", "No module named 'x'"),
    ],
)
def test_names_are_masked(text: str, shown: str) -> None:
    """Paths, hexadecimal words and numbers are masked; other words stay."""
    assert masked(text) == shown
