"""Handlers that Python does not know of, faulthandler's above all, work before, during and after a
run.
"""

from __future__ import annotations

import faulthandler
import signal
import subprocess
import sys

import pytest

from watchkeeper.core.events import RunEnded
from watchkeeper.record.stopping import handlers

KICK = """
import faulthandler, os, signal, sys, time
import watchkeeper as wk

def kick(number):
    before = os.path.getsize("dump.txt")
    os.kill(os.getpid(), number)
    time.sleep(0)
    print(os.path.getsize("dump.txt") > before, flush=True)

dump = open("dump.txt", "w")
"""


def kicked(folder, code):
    command = [sys.executable, "-c", KICK + code]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("number", ["SIGUSR1", "SIGTERM", "SIGRTMIN + 4"])
@pytest.mark.parametrize("place", ["before", "within"])
def test_faulthandler_dumps_in_the_run_and_after_it(tmp_path, events, number, place):
    """A signal registered with faulthandler, before or within the run, dumps stacks there and after
    it.
    """
    register = f"faulthandler.register(signal.{number}, file=dump)"
    done = kicked(
        tmp_path,
        f"""
{register if place == "before" else ""}
with wk.start_run(folder="run", pipeline="t", console=False, sidecar=True) as run:
    {register if place == "within" else "pass"}
    for step in run.track(range(1, 4)):
        run.log(step, loss=1.0)
        if step == 2:
            kick(signal.{number})
kick(signal.{number})
""",
    )
    assert (done.returncode, done.stdout) == (0, "True\nTrue\n"), done.stderr
    (ended,) = [event for event in events(tmp_path / "run") if isinstance(event, RunEnded)]
    assert (ended.status, ended.metric_rows) == ("finished", 3)


def test_faulthandler_in_front_of_a_handler_of_the_programs(tmp_path):
    """`register(…, chain=True)` over a handler of the program's own: both come, in the run and
    after it.
    """
    done = kicked(
        tmp_path,
        """
signal.signal(signal.SIGUSR1, lambda *_: print("own", flush=True))
faulthandler.register(signal.SIGUSR1, file=dump, chain=True)
with wk.start_run(folder="run", pipeline="t", console=False) as run:
    kick(signal.SIGUSR1)
kick(signal.SIGUSR1)
""",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["own", "True", "own", "True"]


def test_a_chained_dump_within_the_run_asks_it_too(tmp_path, events):
    """Registered with `chain=True` within the run, the signal dumps, then asks the run to stop."""
    done = kicked(
        tmp_path,
        """
with wk.start_run(folder="run", pipeline="t", console=False) as run:
    print(run.stop_requested)
    faulthandler.register(signal.SIGUSR1, file=dump, chain=True)
    kick(signal.SIGUSR1)
    print(run.stop_requested, flush=True)
""",
    )
    assert (done.returncode, done.stdout.split()) == (143, ["False", "True", "True"]), done.stderr


def test_enable_and_dump_later_are_left_alone(tmp_path):
    """`faulthandler.enable()` stays on, and `dump_traceback_later` comes in the middle of a run."""
    done = kicked(
        tmp_path,
        """
faulthandler.enable(dump)
faulthandler.dump_traceback_later(0.2, file=dump)
with wk.start_run(folder="run", pipeline="t", console=False) as run:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not os.path.getsize("dump.txt"):
        time.sleep(0.01)
print(faulthandler.is_enabled(), "Timeout" in open("dump.txt").read())
""",
    )
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


def test_what_holds_a_signal_is_seen():
    """A handler of Python's is Python's, until faulthandler stands in front of it; one without
    Python's is seen as well.
    """
    number = signal.SIGRTMIN + 9
    assert not handlers.is_caught(number) and not handlers.is_taken(number)
    faulthandler.register(number, file=sys.__stderr__)
    try:
        assert handlers.is_taken(number)
    finally:
        faulthandler.unregister(number)
    signal.signal(number, lambda *_: None)
    try:
        assert handlers.is_pythons(number) and not handlers.is_taken(number)
        faulthandler.register(number, file=sys.__stderr__)
        assert not handlers.is_pythons(number) and handlers.is_taken(number)
        faulthandler.unregister(number)
        assert handlers.is_pythons(number)
    finally:
        signal.signal(number, signal.SIG_DFL)
    assert not handlers.is_taken(number)
