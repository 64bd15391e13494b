"""A budget as it is typed, and what it says."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.watch.budget import Budget, Used, describe, parse, spent

HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("gpu=40h", Budget(gpu_s=40 * HOUR)),
        ("gpu=2.5h", Budget(gpu_s=2.5 * HOUR)),
        ("jobs=200", Budget(jobs=200)),
        ("gpu=0h, jobs=0", Budget(gpu_s=0.0, jobs=0)),
    ],
)
def test_a_budget_is_read(text: str, budget: Budget) -> None:
    """GPU-hours and jobs, alone or together; 0 is a budget too."""
    assert parse(text) == budget


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("gpu=40", "gpu='40'"),
        ("gpu=-1h", "gpu='-1h'"),
        ("gpu=40m", "gpu='40m'"),
        ("gpu=nanh", "gpu='nanh'"),
        ("jobs=2.5", "jobs='2.5'"),
        ("jobs=-1", "jobs='-1'"),
        ("jobs=٣", "jobs='٣'"),
        ("cpu=4h", "'cpu=4h'"),
        ("40h", "'40h'"),
        ("gpu=4h,", "''"),
        ("jobs=1,jobs=2", "names jobs twice"),
    ],
)
def test_what_is_no_budget_is_named_as_typed(text: str, part: str) -> None:
    """Nothing is guessed: the message has the part as it was typed."""
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert part in str(raised.value) and raised.value.hint


@pytest.mark.parametrize(
    ("used", "words"),
    [
        (Used(gpu_s=10 * HOUR, jobs=5), ""),
        (Used(gpu_s=40 * HOUR, jobs=5), "40 of 40 GPU-hours used"),
        (Used(gpu_s=10 * HOUR, jobs=20), "20 of 20 jobs submitted"),
        (Used(gpu_s=41 * HOUR, jobs=21), "41 of 40 GPU-hours used, 21 of 20 jobs submitted"),
    ],
)
def test_a_budget_is_spent_when_one_of_its_limits_is_reached(used: Used, words: str) -> None:
    """Each limit counts alone; both are named where both are reached."""
    assert spent(Budget(gpu_s=40 * HOUR, jobs=20), used) == words


def test_what_is_used_and_left_is_said_with_its_guesses() -> None:
    """Hours that nobody measured are named with the runs they belong to."""
    used = Used(gpu_s=12.5 * HOUR, jobs=31, by_limit=("r8",), by_clock=("r16",))
    assert describe(Budget(gpu_s=40 * HOUR, jobs=200), used) == (
        "12.5 of 40 GPU-hours used, 27.5 left; "
        "by its time limit, since nobody says how long it ran: r8; "
        "until its end was noticed, since it has no time limit: r16; "
        "31 of 200 jobs submitted, 169 left"
    )
    assert describe(Budget(jobs=1), Used(jobs=3)) == "3 of 1 jobs submitted, 0 left"
