"""Simulated days: whatever happens to cluster and watcher, each job runs once, and its end is
known as it was.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.simulation.cluster import Execution
from tests.simulation.day import grown, journal_bytes, simulate, twice

SEEDS = range(20)
JOBS = 60
HOURS = 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_with_faults_loses_nothing_and_runs_nothing_twice(tmp_path: Path, seed: int) -> None:
    """Under outages, preemptions, lost nodes, late answers and a watcher killed every hour: no
    attempt runs twice, none is lost, every end is the true one, journals are sound, a poll is at
    most two commands, and memory grows with the journal only.
    """
    day = simulate(tmp_path / "exp", seed, JOBS, HOURS)
    assert day.faults == []
    assert day.watchers > 1 and day.executions > JOBS * 3 // 4


def test_a_day_is_had_again_from_its_seed(tmp_path: Path) -> None:
    """The same seed gives the same journals to the byte, and another one others."""
    days = []
    for seed in (7, 7, 8):
        shutil.rmtree(tmp_path / "exp", ignore_errors=True)
        simulate(tmp_path / "exp", seed, 12, HOURS)
        days.append(journal_bytes(tmp_path / "exp"))
    assert days[0] == days[1] != days[2]


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        (Execution("t", "2", 5.0, 9.0), "at once"),
        (Execution("t", "2", 12.0), "after the good end"),
        (Execution("u", "2", 5.0), ""),
    ],
)
def test_what_ran_twice_is_noticed(second: Execution, fault: str) -> None:
    """The simulation's own judge sees an attempt that runs twice at once, or again after it had
    ended well, and takes two attempts for two.
    """
    said = list(twice([second, Execution("t", "1", 0.0, 10.0, is_good=True)]))
    assert bool(said) == bool(fault)
    assert not fault or any(fault in words for words in said)


def test_memory_that_grows_beyond_the_journal_is_noticed() -> None:
    """Growth after the first hour is a fault where the events of the time do not explain it."""
    assert list(grown([], [])) == [] == list(grown([50.0, 90.0], [1.0, 6.0]))
    (fault,) = grown([50.0, 90.0, 80.0], [1.0, 2.0, 3.0])
    assert fault == "memory grew by 40 MB after the first hour, the journal by 2.0 MB"
