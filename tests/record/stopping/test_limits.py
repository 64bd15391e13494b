"""Time limits: what never ends is left, is told with its stack, and the loop goes on."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import watchkeeper as wk
from watchkeeper.core.disk.files import AppendFile
from watchkeeper.core.disk.spill import SpillingFile
from watchkeeper.core.events import RunEnded, TimedOut
from watchkeeper.core.journal import Writer
from watchkeeper.core.processes import start_ticks
from watchkeeper.record.stopping import limits, timer
from watchkeeper.record.stopping.limits import TimedOut as Broken
from watchkeeper.record.writing.pen import ProcessWriter
from watchkeeper.record.writing.row_file import RowFile
from watchkeeper.record.writing.text_log import TextLog

LIMIT_S = 0.3
FOREVER_S = 60.0


@pytest.fixture
def run(tmp_path):
    with wk.start_run(folder=tmp_path / "run", pipeline="training") as run:
        yield run


def told(run, events):
    return [event for event in events(run.folder) if isinstance(event, TimedOut)]


def spin():
    while True:
        pass


def swallow():
    """What `except Exception: pass` around everything looks like."""
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.001)


def wait_for_a_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


class Clingy:
    """An object whose `__del__` is in the way: Python swallows what is raised in it."""

    def __del__(self):
        busy(LIMIT_S)


def cling():
    """The limit is over within a `__del__`."""
    busy(LIMIT_S / 2)
    while True:
        Clingy()
        busy(LIMIT_S)


def busy(seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


HANGS = {
    "an endless loop": spin,
    "time.sleep": lambda: time.sleep(FOREVER_S),
    "a catastrophic regex": lambda: re.match(r"(a+)+$", "a" * 40 + "b"),
    "a lock that is never released": wait_for_a_lock,
    "except Exception: pass": swallow,
    "a __del__ that is in the way": cling,
    "a child process that does not end": lambda: subprocess.run(
        ["sleep", str(FOREVER_S)], check=False
    ),
}


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # what is raised in a `__del__`
@pytest.mark.parametrize("hang", HANGS.values(), ids=HANGS)
def test_what_python_can_break_into_is_left(run, events, hang):
    """In the main thread a call that hangs returns None, is told with where it was, and nothing
    comes after it.
    """
    limit = run.limit(LIMIT_S, name="it")
    assert limit.call(hang) is None
    assert limit.timed_out and limit.elapsed_s >= LIMIT_S
    (event,) = told(run, events)
    assert (event.what, event.limit_s, event.how) == ("it", LIMIT_S, "interrupted")
    assert "test_limits" in event.stack
    time.sleep(3 * limits.AGAIN_S)  # what would still come, would come now
    assert run.limit(LIMIT_S).call(lambda: 5) == 5


def test_a_block_and_a_decorator_are_limited_like_a_call(run, events):
    """A block is left at its limit, and a decorated function returns None; in time both are as
    without a limit.
    """
    with run.limit(LIMIT_S) as block:
        spin()
    assert block.timed_out
    with run.limit(FOREVER_S) as block:
        done = 1
    assert (done, block.timed_out) == (1, False)

    @run.limit(LIMIT_S)
    def work(until):
        """Its words."""
        while time.monotonic() < until:
            pass
        return "done"

    assert (work.__name__, work.__doc__) == ("work", "Its words.")
    assert work(0.0) == "done"
    assert work(time.monotonic() + FOREVER_S) is None
    assert [event.what.rpartition(".")[2] for event in told(run, events)] == ["a block", "work"]


def test_what_the_work_raises_is_raised(run, events):
    """A limit changes nothing of an exception of the work itself, whichever way it is used."""
    with pytest.raises(KeyError):
        run.limit(1).call({}.__getitem__, "no")
    with pytest.raises(ZeroDivisionError), run.limit(1):
        _ = 1 / 0
    with pytest.raises(ZeroDivisionError):
        run.limit(1, isolate=True).call(divmod, 1, 0)
    assert told(run, events) == []


@pytest.mark.parametrize(
    ("outer", "inner", "first"), [(LIMIT_S, FOREVER_S, "outer"), (FOREVER_S, LIMIT_S, "inner")]
)
def test_of_nested_limits_the_one_that_is_over_ends_its_own_work(run, events, outer, inner, first):
    """The inner limit leaves only the inner work; the outer one leaves both, and the inner one does
    not claim it.
    """
    after = []

    def inside():
        run.limit(inner, name="inner").call(spin)
        after.append("the rest")
        return "result"

    result = run.limit(outer, name="outer").call(inside)
    assert (result, after) == ((None, []) if first == "outer" else ("result", ["the rest"]))
    assert [event.what for event in told(run, events)] == [first]


def test_nothing_leaks_out_of_limits_that_end_just_in_time(tmp_path):
    """Over a thousand calls that end about when their time is over, the exception never gets out of
    its block.
    """
    before = signal.getsignal(signal.SIGALRM)
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        for number in range(500):
            seconds = 0.0005 + (number % 20) * 0.00005
            until = time.monotonic() + 0.001

            def work(until=until):
                while time.monotonic() < until:
                    pass
                return 1

            assert run.limit(seconds).call(work) in (1, None)
            with run.limit(seconds):
                work(time.monotonic() + 0.001)
        assert signal.getsignal(signal.SIGALRM) is before  # pytest's own timeout may be there


def test_nothing_leaks_in_other_threads_either(tmp_path):
    """The same where a thread of ours raises in the user's: four threads, calls that end about in
    time.
    """
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        faults = []

        def work():
            until = time.monotonic() + 0.002
            while time.monotonic() < until:
                pass
            return 1

        def thread(first):
            try:
                for number in range(100):
                    limit = run.limit(0.001 + (number % 20) * 0.0001)
                    assert limit.call(work) in (1, None)
            except BaseException as error:
                faults.append((first, error))

        threads = [threading.Thread(target=thread, args=(n,)) for n in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert faults == []


def test_a_call_in_another_thread_is_broken_into(run, events):
    """Off the main thread a Python loop is left too; a lock wait is not, which `Limit` says."""
    found = []
    thread = threading.Thread(target=lambda: found.append(run.limit(LIMIT_S, name="it").call(spin)))
    thread.start()
    thread.join(10)
    assert found == [None]
    (event,) = told(run, events)
    assert event.how == "interrupted" and "in spin" in event.stack


def test_a_block_that_cannot_be_left_is_said(run, capfd):
    """Where a block cannot be left, in another thread or a coroutine, it runs as without a limit,
    and a warning says so.
    """
    done = []

    def block():
        with run.limit(0.01) as limit:
            time.sleep(0.05)
        done.append(limit.timed_out)

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()

    async def coroutine():
        with run.limit(0.01) as limit:
            time.sleep(0.05)
        done.append(limit.timed_out)

    asyncio.run(coroutine())
    assert done == [False, False]
    said = capfd.readouterr().err
    assert (
        "outside the main thread use .call(fn, …)" in said
        and "in a coroutine use asyncio.timeout" in said
    )


def decompose(size):
    return np.linalg.svd(np.random.default_rng(0).random((size, size)))[1]


def test_one_long_call_of_c_ends_late_and_is_said(run, events, capfd):
    """What cannot be broken into keeps its result, and is told as late: what a limit cannot do is
    not claimed.
    """
    size, took = 200, 0.0
    while took < 0.5:  # a decomposition that takes long enough on this machine
        size = int(size * 1.5)
        began = time.monotonic()
        decompose(size)
        took = time.monotonic() - began
    limit = run.limit(0.05)
    result = limit.call(
        np.linalg.svd, np.random.default_rng(0).random((size, size)), compute_uv=False
    )
    (event,) = told(run, events)
    if result is None:  # Python got in between two C calls
        assert event.how == "interrupted"
    else:
        assert (limit.timed_out, event.how) == (False, "late")
        assert "isolate=True would stop it" in capfd.readouterr().err


def pid_of_worker():
    return os.getpid()


def gone(pid):
    """Whether the process ends: a kill takes its time."""
    deadline = time.monotonic() + 10
    while start_ticks(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    return start_ticks(pid) is None


def with_grandchild(file):
    """Start a process that ignores SIGTERM, say its pid, and hang."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); "
                "time.sleep(600)"
            ),
        ],
        stdout=subprocess.PIPE,
    )
    child.stdout.readline()
    with open(file, "w") as out:
        out.write(str(child.pid))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    spin()


def sleep_in_c():
    import ctypes

    ctypes.PyDLL(None).sleep(600)  # holds the interpreter all the while, as a C extension may


def hang_in_a_thread():
    thread = threading.Thread(target=spin)
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "hang", [spin, sleep_in_c, wait_for_a_lock, hang_in_a_thread], ids=lambda hang: hang.__name__
)
def test_isolated_work_is_killed_whatever_it_is_at(run, events, hang):
    """A call in a process of its own is ended at its limit even while C code holds the interpreter,
    its stack is kept, and the next call has a process again.
    """
    limit = run.limit(LIMIT_S, isolate=True)
    assert limit.call(hang) is None
    (event,) = told(run, events)
    assert (event.how, limit.timed_out) == ("killed", True)
    assert hang.__name__ in event.stack
    assert limit.call(len, "four") == 4


def test_the_isolated_process_is_kept_and_takes_its_children_with_it(run, tmp_path):
    """One process serves all calls until it is overdue; then its children die with it, also those
    that ignore SIGTERM.
    """
    limit = run.limit(FOREVER_S, isolate=True)
    first = limit.call(pid_of_worker)
    assert first != os.getpid()
    assert limit.call(pid_of_worker) == first
    file = tmp_path / "grandchild"
    assert run.limit(2, isolate=True).call(with_grandchild, file) is None
    assert gone(first) and gone(int(file.read_text()))
    second = limit.call(pid_of_worker)
    assert second not in (None, first)
    run.close()
    assert gone(second)


def test_work_that_dies_in_its_process_is_told(run, events):
    """A crash of isolated work, as by the OOM killer, costs that call and not the run."""
    assert run.limit(10, isolate=True, name="it").call(os.kill, 0, signal.SIGKILL) is None
    (event,) = told(run, events)
    assert event.how == "died" and "SIGKILL" in event.stack


def test_what_cannot_be_isolated_is_limited_here_and_said(run, capfd):
    """A function that cannot be sent to another process is limited in this one, and a warning says
    so.
    """
    assert run.limit(LIMIT_S, isolate=True).call(lambda: 5) == 5
    assert run.limit(LIMIT_S, isolate=True).call(lambda: spin()) is None
    assert "is not isolated: it cannot be sent to another process" in capfd.readouterr().err


def test_a_script_without_a_main_guard_is_limited_here_and_told(tmp_path):
    """The process for isolated work never runs a script twice without a word: what fails is said,
    and the call is made.
    """
    script = tmp_path / "train.py"
    script.write_text(
        "import watchkeeper as wk\n"
        "def f():\n    return 7\n"
        "with wk.start_run(folder='run', pipeline='t') as run:\n"
        "    print(run.limit(5, isolate=True).call(f))\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "7"
    assert '__name__ == "__main__"' in done.stderr


def test_a_fork_inside_a_limit_leaves_the_child_unlimited_and_the_parent_limited(run, events):
    """Timers and threads do not go over to a forked child: it runs to its end, and the parent is
    still broken into.
    """

    def work():
        child = os.fork()
        if child == 0:
            time.sleep(3 * LIMIT_S)
            os._exit(7 if signal.getitimer(signal.ITIMER_REAL)[0] == 0.0 else 8)
        children.append(child)
        spin()

    children = []
    assert run.limit(LIMIT_S).call(work) is None
    _, status = os.waitpid(children[0], 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert len(told(run, events)) == 1


def test_the_users_own_alarm_goes_on(run):
    """A handler and a timer that the program has of its own for SIGALRM come in time within a
    limit, and stay.
    """
    came = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: came.append(time.monotonic()))
    try:
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert run.limit(LIMIT_S).call(spin) is None
        assert len(came) == 1 and 0.1 <= came[0] - began < LIMIT_S
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        run.limit(FOREVER_S).call(int)
        while len(came) < 2:
            signal.pause()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_none_and_zero_are_no_limit(run, events, capfd):
    """Without a limit the work takes its time; what is no number is said, and limits nothing."""
    for seconds in (None, 0, -1, "soon", float("nan")):
        assert run.limit(seconds).call(time.sleep, 0.02) is None
        with run.limit(seconds) as limit:
            time.sleep(0.02)
        assert not limit.timed_out
    assert told(run, events) == []
    assert "a limit of -1 s is none" in capfd.readouterr().err


def test_timeouts_are_counted_told_and_warned_of(tmp_path, events, capfd):
    """The log line can be grepped and names the step, the status and the end count, and above 5 %
    one warning comes.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        cadence = run.cadence(log_every=10)
        for step in range(1, 31):
            cadence.log_due(step)
            run.limit(0.02 if step in (3, 25) else 5, name="generate").call(
                time.sleep, 0.05 if step in (3, 25) else 0
            )
            run.log(step, loss=1.0)
    first, second = told(run, events)
    assert (first.training_step, second.training_step) == (3, 25)
    said = (tmp_path / "logs/run.log").read_text()
    assert (
        "TIMEOUT: generate exceeded 0.02s at step 25: it was left, and its result is None" in said
    )
    assert said.count("limited calls (") == 1 and "2 of 25 limited calls (8%)" in said
    assert "Timeouts: 2 of 30 limited calls, 6.7%" in said
    assert json.loads((tmp_path / "status/training_status.json").read_text())["timeouts"] == 2
    (end,) = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    assert (end.limited_calls, end.timeouts) == (30, 2)


def test_a_row_in_the_middle_of_being_written_is_not_broken_into(tmp_path):
    """A limit that is over while a row is written leaves it whole: every row is read back, and no
    line is damaged.
    """
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        logged = 0
        for number in range(100):
            with run.limit(0.001 + (number % 10) * 0.0001):
                while True:
                    run.log(logged + 1, loss=0.5, name="x" * (logged % 50))
                    logged += 1
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    assert len(rows) >= logged


def test_the_modules_that_write_are_known_by_their_names():
    """Each name by which a limit spares the code that writes is a module's, and the writers of
    rows, lines and events are among them.
    """
    assert all(importlib.util.find_spec(name) for name in limits._WRITING)
    for writer in (RowFile, TextLog, ProcessWriter, Writer, AppendFile, SpillingFile):
        assert writer.__module__ in limits._WRITING


def test_the_exception_is_none_that_a_program_may_catch_by_chance():
    """Neither `except Exception` nor `except KeyboardInterrupt` gets it."""
    assert issubclass(Broken, BaseException) and not issubclass(
        Broken, Exception | KeyboardInterrupt | SystemExit
    )


def test_a_limit_that_is_done_does_not_ring_again_and_again(tmp_path, monkeypatch):
    """Between the end of the work and its limit's taking out, a time that is over calls no handler
    inside the handler.
    """
    rings = []
    ring = limits._alarm._on_ring
    monkeypatch.setattr(
        limits._alarm, "_on_ring", lambda number, frame: (rings.append(number), ring(number, frame))
    )
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        entry = limits._Entry(run.limit(0.001))
        limits._alarm.begin(entry)
        try:
            entry.done = True
            while time.monotonic() < entry.deadline + 0.05:
                pass
            assert len(rings) <= 1
        finally:
            limits._alarm.end(entry)


def expire(*_):
    raise TimeoutError


def guarded(seconds, work):
    """A library's function with a time limit of its own, as reward functions have."""
    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_alarm_of_the_works_own_does_not_end_the_limit(run, events):
    """Work that sets an alarm, and takes it back, is still left at its limit."""

    def work():
        guarded(FOREVER_S, int)
        signal.alarm(0)
        spin()

    assert run.limit(LIMIT_S).call(work) is None
    assert len(told(run, events)) == 1


@pytest.mark.parametrize("hang", [spin, lambda: time.sleep(FOREVER_S)], ids=["spin", "sleep"])
def test_an_alarm_of_the_works_own_comes_in_time(run, events, hang):
    """Within a limit that is not over the work's own alarm breaks off what it guards, and the limit
    counts nothing.
    """

    def work():
        try:
            guarded(0.05, hang)
        except TimeoutError:
            return "broken off"

    assert run.limit(FOREVER_S).call(lambda: run.limit(FOREVER_S).call(work)) == "broken off"
    assert told(run, events) == []


def test_a_limit_within_an_alarm_within_a_limit(run, events):
    """Limits and alarms nest in any order, and what is over first ends what it is around."""

    def inner():
        with run.limit(0.05):
            spin()
        return "went on"

    assert run.limit(FOREVER_S).call(guarded, FOREVER_S, inner) == "went on"
    with pytest.raises(TimeoutError):
        guarded(0.1, lambda: run.limit(FOREVER_S).call(spin))
    assert len(told(run, events)) == 1


def test_an_alarm_that_was_pending_keeps_its_time(run):
    """What was pending before a limit is neither lost nor put off, however long the limited work
    took.
    """
    before = signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, FOREVER_S)
        assert run.limit(LIMIT_S).call(spin) is None
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert FOREVER_S - 60 < left <= FOREVER_S - LIMIT_S
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_clock_rings_without_posix_timers(run, events, monkeypatch):
    """Where the system has no timer of its own for us, a thread rings, and the work is left as
    well.
    """
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(limits._alarm, "_timer", None)
    assert run.limit(LIMIT_S).call(time.sleep, FOREVER_S) is None
    assert run.limit(FOREVER_S).call(len, "four") == 4
    assert len(told(run, events)) == 1


def test_a_handler_of_the_programs_for_our_signal_is_put_back(run):
    """What the program has for the signal that we ring by is there again after a limit, and gets
    what is not ours.
    """
    came = []
    before = signal.signal(timer.RING, lambda number, frame: came.append(number))
    try:
        run.limit(FOREVER_S).call(os.kill, os.getpid(), timer.RING)
        os.kill(os.getpid(), timer.RING)
        assert came == [timer.RING, timer.RING]
    finally:
        signal.signal(timer.RING, before)
