"""A hang between ranks: one waits in a collective, another never comes; the report shows both."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil

from watchkeeper.core.events import Stalled
from watchkeeper.core.journal import read

TRAINING = """
import os, sys, threading
import torch.distributed as dist
import watchkeeper as wk

def never_comes():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

dist.init_process_group("gloo")
with wk.start_run(sys.argv[1], pipeline="training", console=False, stall_s=3) as run:
    run.log(1, loss=1.0)
    never_comes() if dist.get_rank() == 1 else dist.barrier()
"""


def stalls(runs):
    """The stalls told so far, each with its run's folder."""
    return [
        (folder, event)
        for folder in runs.glob("*-*")
        for own in read(folder / ".watchkeeper/journal").events.values()
        for event in own
        if isinstance(event, Stalled)
    ]


def test_the_report_of_a_collective_that_hangs_shows_the_rank_that_does_not_come(tmp_path):
    """Rank 0 waits in a barrier: the cause says so, and rank 1's stack is in the same report."""
    script = tmp_path / "train.py"
    script.write_text(TRAINING)
    # Without what other tests in this process left in the environment: the ranks would take
    # themselves for the children of one, and each record alone.
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER")
    }
    environ = clean | {
        "OMP_NUM_THREADS": "1",
        "WATCHKEEPER_SIDECAR": "1",
        "WATCHKEEPER_SIDECAR_DELAY_S": "0.1",
    }
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        script,
        tmp_path / "runs",
    ]
    with subprocess.Popen(
        command, env=environ, start_new_session=True, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while not (found := stalls(tmp_path / "runs")):
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.1)
        finally:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()  # torchrun gives each rank a session of its own
    ((folder, event),) = found
    assert "the other ranks, in a collective operation" in event.cause
    report = (folder / event.report).read_text()
    assert " in barrier" in report and " in never_comes" in report
