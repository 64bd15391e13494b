"""The program that runs many jobs on a real Slurm, with few."""

from __future__ import annotations

from pathlib import Path

from tests.slurm.lab import Lab
from tests.slurm.thousand import Outcome, by_watchkeeper, table


def test_the_table_says_what_was_lost_and_what_ran_twice() -> None:
    """A job that never ran, one whose end the tool does not know, and one that ran twice are
    counted; how late an end was known is counted from the job's last end.
    """
    outcome = Outcome(
        tool="x",
        jobs=4,
        commands={"sbatch": 4, "squeue": 2, "sinfo": 1},
        ends={"a": [10.0], "b": [10.0, 12.0], "c": [11.0]},
        known={"a": 11.0, "b": 15.0},
        cpu_s=0.2,
        wall_s=90.0,
    )
    assert (outcome.lost, outcome.twice, outcome.delays_s) == (2, 1, [1.0, 3.0])
    row = table([outcome]).splitlines()[-1]
    assert row == "| x | 4 | 4 | 2 | 0 | 1 | 50 | 2.0 / 1.0 / 3.0 | 2 | 1 | 1.5 |"


def test_a_few_jobs_are_all_known_and_run_once(slurm_lab: Lab, clone: Path) -> None:
    """Of a few real jobs none is lost, none runs twice, and each was handed over by one command."""
    slurm_lab.up()
    outcome = by_watchkeeper(slurm_lab, 3, clone / ".venv/bin/python")
    assert (outcome.lost, outcome.twice, len(outcome.ends)) == (0, 0, 3)
    assert outcome.commands["sbatch"] - 3 in (0, 1)  # it asks for the version too
    assert outcome.delays_s[0] >= 0
