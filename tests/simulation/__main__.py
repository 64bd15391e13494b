"""Simulates many days of an experiment, and one of a large one: `python -m tests.simulation
[--seeds 0:1000] [--jobs 200] [--large 10000] [--hours 24]`. A day with a fault is printed with its
seed, and the exit code is 1; `--seeds 17:18` has it again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.simulation.day import Day, simulate


def main() -> int:
    """Simulate, and print a line for each hundred days and for each fault."""
    parser = argparse.ArgumentParser(description="simulate days of an experiment")
    parser.add_argument("--seeds", default="0:1000", help="from:to")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--large", type=int, default=10_000, help="jobs of the last day; 0: none")
    parser.add_argument("--hours", type=float, default=24.0, help="that a day lasts, about")
    asked = parser.parse_args()
    first, _, last = asked.seeds.partition(":")
    plans = [(seed, asked.jobs) for seed in range(int(first), int(last))]
    if asked.large:
        plans.append((0, asked.large))
    faulty = 0
    for seed, jobs in plans:
        day, cpu_s = _simulate(seed, jobs, asked.hours)
        faulty += bool(day.faults)
        if day.faults or seed % 100 == 0:
            print(_words(day, cpu_s), *day.faults, sep="\n  ", flush=True)
    print(f"{len(plans)} days, {faulty} with a fault")
    return int(faulty > 0)


def _simulate(seed: int, jobs: int, hours: float) -> tuple[Day, float]:
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        day = simulate(Path(folder) / "exp", seed, jobs, hours)
    return day, time.process_time() - began


def _words(day: Day, cpu_s: float) -> str:
    memory = day.memory_mb or [0.0]
    journal = day.journal_mb or [0.0]
    return (
        f"seed {day.seed}, {day.jobs} jobs: {day.executions} executions, {day.watchers} watchers, "
        f"{day.polls} polls of at most {day.most_commands} commands, "
        f"{day.ended_after_s / 3600:.1f} h, memory {memory[0]:.0f} to {memory[-1]:.0f} MB with a "
        f"journal of {journal[0]:.1f} to {journal[-1]:.1f} MB, "
        f"{1000 * cpu_s / day.jobs:.1f} ms CPU a job"
    )


if __name__ == "__main__":
    sys.exit(main())
