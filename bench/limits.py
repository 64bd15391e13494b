"""What a limit costs around work that ends in time: python -m bench.limits [--json].

Beside `run.limit(60).call(f)`: the same by hand, with SIGALRM as document 003 has it, and one
`os.write` of 200 bytes as a physical baseline. For isolated calls the peer is
`concurrent.futures.ProcessPoolExecutor` with one worker.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import watchkeeper as wk
from bench.measure import by_turns, show

CALLS = 200
ROUNDS = 51


def work() -> int:
    """Nothing."""
    return 1


def times(call):
    """`call`, often enough for the clock."""

    def many() -> None:
        for _ in range(CALLS):
            call()

    return many


def by_hand() -> int:
    """Document 003's timeout, without its defects' cure."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> None:
    """Print the figures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        wk.start_run(folder=Path(folder) / "run", pipeline="bench", console=False) as run,
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        raw = os.open(Path(folder) / "raw", os.O_WRONLY | os.O_CREAT)
        line = b"x" * 199 + b"\n"
        limit, isolated = run.limit(60), run.limit(60, isolate=True)

        def block() -> None:
            with run.limit(60):
                work()

        call = by_turns(times(lambda: limit.call(work)), times(by_hand), ROUNDS)
        written = by_turns(
            times(lambda: limit.call(work)), times(lambda: os.write(raw, line)), ROUNDS
        )
        blocks = by_turns(times(block), times(by_hand), ROUNDS)
        isolated.call(work)
        pool.submit(work).result()
        apart = by_turns(lambda: isolated.call(work), lambda: pool.submit(work).result(), 200)
        began = time.perf_counter()
        run.limit(0.2, isolate=True).call(time.sleep, 60)
        killed_s = time.perf_counter() - began - 0.2
        show(
            "a limit around work that ends in time",
            {
                "call_us": 1e6 * call["ours_s"] / CALLS,
                "by_hand_us": 1e6 * call["baseline_s"] / CALLS,
                "ratio_call_to_by_hand": call["ratio"],
                "ratio_call_to_write": written["ratio"],
                "ratio_block_to_by_hand": blocks["ratio"],
                "isolated_us": 1e6 * apart["ours_s"],
                "pool_us": 1e6 * apart["baseline_s"],
                "ratio_isolated_to_pool": apart["ratio"],
                "isolated_killed_after_limit_s": killed_s,
            },
        )


if __name__ == "__main__":
    main()
