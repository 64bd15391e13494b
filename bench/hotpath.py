"""What one `run.log` with 10 metrics costs, beside one `os.write` of the same bytes: python -m
bench.hotpath [--json].

Every figure is the median of rounds in which all contestants take turns, so that a busy machine
disturbs all alike; the ratio is the median of the rounds' ratios. Budget: 3.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import watchkeeper as wk
from watchkeeper.core.disk import spill

ROUNDS = 101
CALLS = 300  # of each contestant in a round
KILLS = 5
METRICS = {f"metric_{number}": 1 + number * 0.1234567 for number in range(10)}

VICTIM = """
import os, sys
import watchkeeper as wk
with wk.start_run(folder=sys.argv[1], pipeline="bench", console=False) as run:
    for step in range(1, 10**9):
        run.log(step, loss=1 / step)
        os.write(1, b"%d\\n" % step)
"""


def contestants(folder: Path, run: wk.Run) -> dict[str, Callable[[], object]]:
    """One call of each, all writing a row of the same content."""
    run.log(1, **METRICS)
    (rows,) = (run.folder / ".watchkeeper/metrics").iterdir()
    line = rows.read_bytes()
    raw = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT)
    logger = logging.getLogger("bench.stdlib")
    logger.propagate, handler = False, logging.FileHandler(folder / "stdlib.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    message = " ".join(f"{name}=%f" for name in METRICS)
    values = list(METRICS.values())
    table = (folder / "rows.csv").open("w", newline="")
    append = csv.writer(table)

    def csv_append() -> None:
        append.writerow([time.time(), 3, *values])
        table.flush()

    return {
        "os_write": lambda: os.write(raw, line),
        "run_log": lambda: run.log(3, **METRICS),
        "stdlib_logging": lambda: logger.info(message, *values),
        "csv_append": csv_append,
    }


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """The time of one call, over `calls` of them."""
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6


def race(calls: dict[str, Callable[[], object]]) -> dict[str, dict[str, float]]:
    """Rounds of all contestants in turn: the medians, and those of the ratios to the write of the
    same round.
    """
    rounds = [{name: microseconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    return {
        name: {
            "us": round(statistics.median(times[name] for times in rounds), 3),
            "ratio_to_write": round(
                statistics.median(times[name] / times["os_write"] for times in rounds), 2
            ),
        }
        for name in calls
    }


def beside_threads(run: wk.Run, logging_threads: int) -> float:
    """One `run.log` beside so many threads that also log, or beside one that only computes (0)."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            if logging_threads:
                run.log(3, **METRICS)
            else:
                sum(range(100))

    threads = [threading.Thread(target=work) for _ in range(max(logging_threads - 1, 1))]
    for thread in threads:
        thread.start()
    try:
        return round(
            statistics.median(microseconds(lambda: run.log(3, **METRICS), 20) for _ in range(15)), 1
        )
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def in_a_handler(run: wk.Run) -> float:
    """One `run.log` from a signal handler."""
    times: list[float] = []
    before = signal.signal(
        signal.SIGALRM, lambda *_: times.append(microseconds(lambda: run.log(3, **METRICS), 1))
    )
    try:
        for _ in range(ROUNDS):
            signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)
    return round(statistics.median(times), 3)


def lost_on_sigkill(folder: Path) -> int:
    """Acknowledged rows that are not there after SIGKILL, over a few kills.

    Rows that a slow write had sent to the node's disk are brought over first, as the wrapper or the
    next recorded run does.
    """
    lost = 0
    for number in range(KILLS):
        place = folder / f"victim{number}"
        command = [sys.executable, "-c", VICTIM, str(place)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        heard = process.stdout.read(2000 * (number + 1))
        process.kill()
        heard += process.communicate()[0]
        acknowledged = {int(line) for line in heard.split(b"\n")[:-1]}
        spill.recover()
        lost += len(acknowledged - {row.step for row in wk.read_rows(place)[0]})
    return lost


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with wk.start_run(folder / "runs", pipeline="bench", console=False) as run:
            found: dict[str, object] = dict(race(contestants(folder, run)))
            found["beside_a_busy_thread_us"] = beside_threads(run, 0)
            found["in_four_threads_us"] = beside_threads(run, 4)
            found["in_a_signal_handler_us"] = in_a_handler(run)
        found["lost_on_sigkill"] = lost_on_sigkill(folder)
    if as_json:
        print(json.dumps(found))
        return
    for name, figure in found.items():
        print(
            f"{name:26}",
            *(f"{value:8} {unit}" for unit, value in figure.items())
            if isinstance(figure, dict)
            else [figure],
        )


if __name__ == "__main__":
    main()
