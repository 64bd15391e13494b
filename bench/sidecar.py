"""What a sidecar costs the run it watches: python -m bench.sidecar [--json].

Starting it, beside a run's start without it; its CPU time and memory while it watches; and a busy
Python loop that logs every hundredth step, with and without it, by turns.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import psutil

import watchkeeper as wk
from bench.measure import by_turns, show

WATCH_S = 40.0
STEPS = 200_000


def run_in(folder: Path, *, sidecar: bool):
    """A run that is watched, or not."""
    return wk.start_run(folder, pipeline="bench", console=False, sidecar=sidecar)


def start(folder: Path, *, sidecar: bool):
    """Begin and end a run."""

    def once() -> None:
        with run_in(folder, sidecar=sidecar):
            pass

    return once


def loop(run: wk.Run):
    """A loop of some work, which logs now and then."""

    def steps() -> None:
        total = 0
        for step in range(1, STEPS):
            total += step * step
            if step % 100 == 0:
                run.log(step, loss=total)

    return steps


def of(run: wk.Run) -> psutil.Process:
    """The run's sidecar, when it is there."""
    while True:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "watchkeeper.record.sidecar" in words and run.run_id in words[-1]:
                return process
        time.sleep(0.05)


def main() -> None:
    """Print the figures."""
    os.environ["WATCHKEEPER_SIDECAR_DELAY_S"] = "0.1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starts = by_turns(start(folder, sidecar=True), start(folder, sidecar=False), 21)
        with run_in(folder, sidecar=True) as watched, run_in(folder, sidecar=False) as alone:
            loops = by_turns(loop(watched), loop(alone), 21)
            process = of(watched)
            began, before = time.monotonic(), sum(process.cpu_times()[:2])
            until = began + WATCH_S
            while time.monotonic() < until:
                watched.log(1, loss=time.monotonic())
                time.sleep(0.1)
            spent, passed = sum(process.cpu_times()[:2]) - before, time.monotonic() - began
            memory = process.memory_full_info()
        show(
            "a sidecar beside a run",
            {
                "start_ms": 1e3 * (starts["ours_s"] - starts["baseline_s"]),
                "ratio_start_with_to_without": starts["ratio"],
                "loop_ratio_with_to_without": loops["ratio"],
                "cpu_share_percent": 100 * spent / passed,
                "unique_memory_mib": memory.uss / 2**20,
                "resident_mib": memory.rss / 2**20,
            },
        )


if __name__ == "__main__":
    main()
