"""A stop that the program handles itself is the program's; without a `with` a run is stopped and
ended all the same.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import watchkeeper as wk
from watchkeeper.core.events import Interrupted, RunEnded, StepFinished, TableSealed, Vanished

HEAD = """
import asyncio, atexit, faulthandler, multiprocessing, os, signal, sys, threading, time
import watchkeeper as wk

def kill(number=signal.SIGINT):
    os.kill(os.getpid(), number)
    time.sleep(0)

def start(**options):
    return wk.start_run(folder="run", pipeline="t", **options)
"""


@pytest.fixture
def program(tmp_path):
    """Run a program's text to its end."""

    def done(code, **environ):
        (tmp_path / "program.py").write_text(HEAD + code)
        return subprocess.run(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return done


@pytest.fixture
def ended(tmp_path, events):
    """The end of the program's run."""

    def end():
        (event,) = [event for event in events(tmp_path / "run") if isinstance(event, RunEnded)]
        return event

    return end


WITH = "with start() as run:\n{}\nprint('after', flush=True)\n"
BARE = "run = start()\nif True:\n{}\nprint('after', flush=True)\n"
CATCHES = """
    try:
        kill()
        raise AssertionError
    except KeyboardInterrupt:
        print("caught", flush=True)
    with run.step("test"):
        for step in run.track([1, 2]):
            run.log(step, test_loss=0.5)
            assert not run.stop_requested
"""


@pytest.mark.parametrize("shape", [WITH, BARE], ids=["with", "bare"])
def test_a_ctrl_c_that_is_caught_is_over(program, ended, tmp_path, shape):
    """After `except KeyboardInterrupt` tracked loops and steps go on, so does what stands behind,
    and the code is 0.
    """
    done = program(shape.format(CATCHES))
    assert (done.returncode, done.stdout) == (0, "caught\nafter\n"), done.stderr
    assert (ended().status, ended().error, ended().metric_rows) == ("interrupted", "SIGINT", 2)
    assert (
        "Run interrupted by SIGINT" in (tmp_path / "run/logs/run.log").read_text().splitlines()[-1]
    )


def test_each_ctrl_c_can_be_caught(program, ended):
    """A second Ctrl-C after one that was caught, also within its `except`, is a KeyboardInterrupt
    again.
    """
    done = program(
        WITH.format("""
    for n in range(3):
        try:
            kill()
        except KeyboardInterrupt:
            try:
                kill()
            except KeyboardInterrupt:
                print("caught", n, flush=True)
""")
    )
    assert (done.returncode, done.stdout) == (0, "caught 0\ncaught 1\ncaught 2\nafter\n"), (
        done.stderr
    )
    assert ended().status == "interrupted"


@pytest.mark.parametrize("shape", [WITH, BARE], ids=["with", "bare"])
@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stop_that_nobody_catches_ends_the_program(program, ended, shape, number, code):
    """Without a catch the process ends with the signal's code, without a traceback, with or without
    a `with`.
    """
    done = program(shape.format(f"    kill(signal.{number})"))
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert ended().status == "interrupted"


def test_a_sigterm_that_a_catch_for_ctrl_c_gets_still_ends_the_program(program, ended):
    """Nobody handles SIGTERM: a program that catches KeyboardInterrupt has the time to the end of
    its `with`.
    """
    done = program(
        WITH.format("""
    try:
        kill(signal.SIGTERM)
    except KeyboardInterrupt:
        print("caught", flush=True)
""")
    )
    assert (done.returncode, done.stdout) == (143, "caught\n"), done.stderr
    assert ended().status == "interrupted"


@pytest.mark.parametrize("place", ["before", "within"])
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_handler_that_sets_a_flag_is_the_programs(program, ended, place, number):
    """A program whose own handler sets a flag ends its loop itself, saves, and ends with its own
    code.
    """
    install = f"signal.signal(signal.{number}, lambda *_: flag.append(1))"
    done = program(f"""
flag = []
{install if place == "before" else ""}
with start() as run:
    {install if place == "within" else "pass"}
    for step in run.track(range(1, 100)):
        run.log(step, loss=1.0)
        if step == 3:
            kill(signal.{number})
        if flag:
            print("saved", flush=True)
            break
print("after", flush=True)
sys.exit(7)
""")
    assert (done.returncode, done.stdout) == (7, "saved\nafter\n"), done.stderr
    # A handler that was put on top of ours takes the signal alone.
    assert (ended().status, ended().metric_rows) == (
        "interrupted" if place == "before" else "finished",
        3,
    )


@pytest.mark.parametrize("place", ["before", "within"])
def test_a_handler_that_raises_is_the_programs(program, ended, place):
    """SIGTERM that the program's handler turns into an exception is caught where the program
    catches it.
    """
    install = "signal.signal(signal.SIGTERM, preempted)"
    done = program(f"""
class Preempted(Exception): ...
def preempted(*_): raise Preempted
{install if place == "before" else ""}
with start() as run:
    {install if place == "within" else "pass"}
    try:
        kill(signal.SIGTERM)
    except Preempted:
        print("saved", flush=True)
print("after", flush=True)
""")
    assert (done.returncode, done.stdout) == (0, "saved\nafter\n"), done.stderr
    assert ended().status == ("interrupted" if place == "before" else "finished")


def test_an_exception_of_the_programs_handler_that_nobody_catches(program, ended):
    """Uncaught it ends the program as without us, and the run is interrupted, not failed."""
    done = program("""
class Preempted(Exception): ...
def preempted(*_): raise Preempted("time is up")
signal.signal(signal.SIGTERM, preempted)
with start() as run:
    kill(signal.SIGTERM)
""")
    assert done.returncode == 1 and "Preempted: time is up" in done.stderr
    assert ended().status == "interrupted"


def test_the_programs_own_sys_exit_in_its_handler(program, ended):
    """`sys.exit(0)` in the program's handler is its exit code; the run was interrupted."""
    done = program("""
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with start() as run:
    kill(signal.SIGTERM)
""")
    assert done.returncode == 0, done.stderr
    assert ended().status == "interrupted"


def test_asyncio_cancels_its_task_on_ctrl_c(program, ended):
    """A run within `asyncio.run`: Ctrl-C cancels the task as ever, and its clean-up runs."""
    done = program("""
async def main():
    with start() as run:
        try:
            kill()
            await asyncio.sleep(60)
        finally:
            print("cleaned", flush=True)
asyncio.run(main())
""")
    assert done.stdout == "cleaned\n" and done.returncode in (1, -signal.SIGINT), done.stderr
    assert ended().status == "interrupted"


def test_without_a_with_a_stop_saves_and_says_what_lies_where(program, ended, tmp_path, events):
    """From `start_run` on: SIGTERM seals the table, says how many rows lie where, writes the end,
    and ends with 143.
    """
    done = program("""
run = start()
table = run.table("raw_metrics")
for step in range(1, 6):
    run.log(step, loss=1.0)
    table.append({"n": step})
kill(signal.SIGTERM)
print("after", flush=True)
""")
    assert (done.returncode, done.stdout) == (143, ""), done.stderr
    assert ended().status == "interrupted"
    (sealed,) = [event for event in events(tmp_path / "run") if isinstance(event, TableSealed)]
    assert (sealed.rows, sealed.complete) == (5, False)
    assert len(wk.read_table(tmp_path / "run/raw_metrics.csv")[0]) == 5
    for place in (done.stderr, (tmp_path / "run/logs/run.log").read_text()):
        assert f"Saved 5 rows of table raw_metrics in {tmp_path}/run/raw_metrics.csv" in place
        assert f"Saved 5 metric rows in {tmp_path}/run/.watchkeeper/metrics" in place


def test_without_a_with_the_second_signal_forces(program, ended, events, tmp_path):
    """A run that looks is asked by the first signal and stopped by the second, without a `with` as
    well.
    """
    done = program("""
run = start()
_ = run.stop_requested
kill(signal.SIGTERM)
print("asked", flush=True)
kill(signal.SIGTERM)
print("not here", flush=True)
""")
    assert (done.returncode, done.stdout) == (143, "asked\n"), done.stderr
    assert [
        event.forced for event in events(tmp_path / "run") if isinstance(event, Interrupted)
    ] == [False, True]
    assert ended().status == "interrupted"


def test_handlers_are_back_after_close(tmp_path):
    """Without a `with` the handlers are taken over by `start_run` and put back by `close`, several
    runs in any order.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    first, second, third = (wk.start_run(tmp_path, pipeline="t", console=False) for _ in range(3))
    assert [signal.getsignal(number) for number in numbers] != before
    for run in (second, third, first):
        run.close()
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize(
    ("code", "status", "error", "exit_code"),
    [
        ("", "finished", "", 0),
        ("sys.exit()", "finished", "", 0),
        ("sys.exit(0)", "finished", "", 0),
        ("sys.exit(3)", "failed", "SystemExit: 3", 3),
        ("sys.exit('no data')", "failed", "SystemExit: no data", 1),
        ("sys.exit(143)", "interrupted", "SystemExit: 143", 143),
        ("threading.Thread(target=sys.exit, args=(3,)).start()", "finished", "", 0),
        (
            "def f(): sys.exit(4)\ntry:\n    f()\nfinally:\n    run.close()",
            "failed",
            "SystemExit: 4",
            4,
        ),
        ("raise ValueError('no data')", "failed", "ValueError: no data", 1),
        ("def f(): 1 / 0\nf()", "failed", "ZeroDivisionError: division by zero", 1),
        ("try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass", "finished", "", 0),
        ("threading.Thread(target=lambda: 1 / 0).start()", "finished", "", 0),
        (
            (
                "threading.Thread(target=lambda: [time.sleep(1e-3) for _ in range(99)], "
                "daemon=True).start()"
            ),
            "finished",
            "",
            0,
        ),
        ("del run", "finished", "", 0),
        ("import gc\ndel run\ngc.collect()", "finished", "", 0),
        ("if os.fork() == 0:\n    sys.exit(3)\nos.wait()", "finished", "", 0),
        ("if os.fork() == 0:\n    raise ValueError\nos.wait()", "finished", "", 0),
        (
            "p = multiprocessing.get_context('fork').Process(target=print)\np.start()\np.join()",
            "finished",
            "",
            0,
        ),
        (
            "try:\n    1 / 0\nfinally:\n    run.close()",
            "failed",
            "ZeroDivisionError: division by zero",
            1,
        ),
        ("try:\n    next(iter([]))\nexcept StopIteration:\n    run.close()", "finished", "", 0),
    ],
)
def test_a_run_that_nobody_ends_has_an_honest_end(
    program, ended, tmp_path, events, code, status, error, exit_code
):
    """Without `with` and `close` the end is written when the program exits, and is no death:
    finished, or its error.
    """
    done = program(
        f"run = start(console=False)\nrun.log(1, loss=1.0)\n{code}\n", WATCHKEEPER_SIDECAR="1"
    )
    assert done.returncode == exit_code, done.stderr
    assert (ended().status, ended().error, ended().metric_rows) == (status, error, 1)
    assert not [event for event in events(tmp_path / "run") if isinstance(event, Vanished)]


def test_a_sys_exit_that_is_caught_is_no_end(program, ended):
    """A program that catches its `sys.exit` and goes on recording is finished, and `sys.exit` is
    put back.
    """
    done = program("""
before = sys.exit
run = start(console=False)
try:
    sys.exit(3)
except SystemExit as error:
    assert error.code == 3
run.log(1, loss=1.0)
other = wk.start_run(folder="other", pipeline="t", console=False)
other.close()
run.close()
assert sys.exit is before
""")
    assert done.returncode == 0, done.stderr
    assert ended().status == "finished"


def test_the_programs_exit_handlers_may_still_record(program, ended, tmp_path):
    """What the program does at its exit, registered after the import, is recorded: our end comes
    after it.
    """
    done = program("run = start(console=False)\natexit.register(lambda: run.log(1, final=1.0))\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert ended().metric_rows == 1


@pytest.mark.parametrize("way", ["os._exit(0)", "kill(signal.SIGKILL)"])
def test_a_death_without_a_word_has_no_end(program, tmp_path, events, way):
    """`os._exit` and SIGKILL leave no end behind: that is a death, and stays one."""
    program(f"run = start(console=False)\nrun.log(1, loss=1.0)\n{way}\n")
    assert not [event for event in events(tmp_path / "run") if isinstance(event, RunEnded)]
    assert len(wk.read_rows(tmp_path / "run")[0]) == 1


GENERATORS = {
    "track left by break": "for step in run.track(range(9)):\n    break\nrun.close()",
    "track by next": "steps = iter(run.track(range(9)))\nnext(steps)\nrun.close()",
    "with in a generator": """
run.close()
def work():
    with start() as inner, inner.step("a"):
        for n in range(9):
            inner.log(n, loss=1.0)
            yield n
for n in work():
    break
""",
    "with in a generator that is kept": """
run.close()
def work():
    with start() as inner, inner.step("a"):
        yield
kept = work()
next(kept)
""",
}


@pytest.mark.parametrize("code", GENERATORS.values(), ids=GENERATORS.keys())
def test_an_abandoned_generator_is_no_failure(program, tmp_path, events, code):
    """A loop that is left early, or a generator that nobody exhausts, ends its step and its run as
    finished.
    """
    done = program(f"run = start(console=False)\n{code}\n")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    ends = [event for event in events(tmp_path / "run") if isinstance(event, RunEnded)]
    assert {event.status for event in ends} == {"finished"}
    assert {
        event.error for event in events(tmp_path / "run") if isinstance(event, StepFinished)
    } <= {""}


def test_nohup_and_a_thread_keep_their_signals(program, ended):
    """Ignored signals stay ignored without a `with`, and a run that another thread starts takes
    over none.
    """
    done = program("""
signal.signal(signal.SIGINT, signal.SIG_IGN)
run = start(console=False)
kill()
run.log(1, loss=1.0)
run.close()
def work():
    other = wk.start_run(folder="other", pipeline="t", console=False)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    other.close()
thread = threading.Thread(target=work)
thread.start()
thread.join()
""")
    assert done.returncode == 0, done.stderr
    assert ended().status == "finished"
