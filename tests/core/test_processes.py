"""What is known of processes from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from watchkeeper.core import processes

# On one processor, which it then shares with all that do the same; ends with its standard input.
SPIN = """
import os, sys, threading
os.sched_setaffinity(0, {int(sys.argv[1])})
def spin():
    while True:
        pass
threading.Thread(target=spin, daemon=True).start()
sys.stdin.read()
"""


def test_time_without_a_processor_is_counted() -> None:
    """Of two processes that want one processor both wait in its queue, and together use it."""
    cpu = str(min(os.sched_getaffinity(0)))
    command = [sys.executable, "-c", SPIN, cpu]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    try:
        deadline = time.monotonic() + 120
        while min(processes.queued_s(one.pid) for one in both) < 0.2:
            assert time.monotonic() < deadline, [processes.queued_s(one.pid) for one in both]
            time.sleep(0.05)
    finally:
        for one in both:
            one.kill()
            one.communicate()


def test_a_process_that_is_gone_has_waited_for_nothing() -> None:
    """Of a process that does not exist no wait is counted."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert processes.queued_s(gone.pid) == 0


def test_a_child_is_another_process_than_its_parent() -> None:
    """What is remembered of the calling process does not outlive a fork."""
    parent = processes.this_process()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        mine = processes.this_process()
        is_right = mine == processes.name_of(os.getpid()) and mine != parent
        os.write(writer, b"yes" if is_right else b"no")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"yes"
    os.waitpid(child, 0)
    assert processes.this_process() == parent
