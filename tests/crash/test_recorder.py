"""The recorder's process dies at any moment: what was acknowledged is there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

import watchkeeper as wk
from watchkeeper.core.disk import spill
from watchkeeper.core.journal import read

# Each thread logs its rows and says each number once log() has returned, in one write of one line.
PROGRAM = """
import os, sys, threading
import watchkeeper as wk

def work(run, thread):
    for step in range(1, 1_000_000):
        run.log(step, thread=thread, loss=1 / step, text="x" * (step % 97))
        os.write(1, b"%d %d\\n" % (thread, step))

with wk.start_run(folder=sys.argv[1], pipeline="crash") as run:
    with run.step("train"):
        numbers = range(1, int(sys.argv[2]))
        threads = [threading.Thread(target=work, args=(run, number)) for number in numbers]
        for thread in threads:
            thread.start()
        work(run, 0)
"""


@pytest.mark.parametrize("number", range(100))
def test_every_acknowledged_row_outlives_sigkill(tmp_path, number):
    """SIGKILL at a random moment, with one logging thread or four: each acknowledged row is there,
    once, whole, also where a slow write had sent rows to the node's disk first.
    """
    chance = random.Random(number)
    threads = 4 if number % 2 else 1
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path, str(threads)], stdout=subprocess.PIPE, bufsize=0
    )
    try:
        assert process.stdout is not None
        heard = b""
        for _ in range(chance.randrange(1, 60)):
            heard += os.read(process.stdout.fileno(), chance.randrange(1, 4096))
    finally:
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL

    acknowledged = [tuple(map(int, line.split())) for line in (heard + rest).split(b"\n")[:-1]]
    spill.recover()  # as the wrapper, or the next recorded run on this node, does
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    there = [(row.metrics["thread"], row.step) for row in rows]
    assert len(acknowledged) > 0
    assert set() == set(acknowledged) - set(there)
    assert len(there) == len(set(there))
    assert len(there) <= len(acknowledged) + threads, (
        "at most one row a thread was written and not yet acknowledged"
    )

    journal = read(tmp_path / ".watchkeeper/journal")
    assert journal.problems == []
    kinds = [type(event).__struct_config__.tag for own in journal.events.values() for event in own]
    kinds = [kind for kind in kinds if kind != "code_compared"]  # git may have answered
    assert kinds == ["opened", "run_started", "step_started"], "a killed run has no end"
