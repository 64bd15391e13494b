"""Being asked to stop: the first signal asks, the second forces, and everything is put back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.events import Interrupted, RunEnded, TableSealed
from watchkeeper.core.journal import read

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

# Works row by row, says each begin and end; what it does at a row is given. It looks for its next
# line, where Python's handlers run, instead of waiting in one read: a signal that comes just before
# a read is handled only after it.
LOOP = """
import os, select, signal, sys, time
import watchkeeper as wk
def await_line():
    while not select.select([0], [], [], 0.01)[0]:
        pass
    sys.stdin.readline()
with wk.start_run(folder=sys.argv[1], pipeline="loop", console=False{options}) as run:
    @run.on_stop
    def save():
        print("hook", flush=True)
    for row in range(1, 10_000):
        {look}
        print("row", flush=True)
        await_line()
        run.log(row, value=row)
        print("done", flush=True)
    print("after the loop", flush=True)
print("after the run", flush=True)
"""


class Loop:
    """A program that is asked to stop."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.hear() == "row"

    def hear(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def go_on(self) -> None:
        """Let it finish its row."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def wait_for(self, text: str) -> None:
        """Until the program's log says it: the handler has run."""
        deadline = threading.Event()
        for _ in range(2000):
            log = self.folder / "logs/run.log"
            if log.exists() and text in log.read_text():
                return
            deadline.wait(0.01)
        raise AssertionError(f"no {text!r} in {log.read_text()}")

    def end(self) -> tuple[int, list[str], str]:
        """Its exit code, the rest of what it printed, and its standard error."""
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out.decode().split("\n")[:-1], err.decode()


@pytest.fixture
def loop(tmp_path):
    loops = []

    def start(look, options=""):
        loops.append(Loop(tmp_path, LOOP.format(look=look, options=options)))
        return loops[-1]

    yield start
    for one in loops:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def told(folder, kind):
    return [
        e
        for own in read(folder / ".watchkeeper/journal").events.values()
        for e in own
        if isinstance(e, kind)
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143)],
    ids=["INT", "TERM", "USR1"],
)
def test_the_first_signal_asks_and_the_row_is_finished(loop, tmp_path, number, code):
    """Asked in the middle of a row the program finishes it, calls its hook, writes its end, and
    ends with the code.
    """
    program = loop("run.stop_if_requested()")
    program.process.send_signal(number)
    program.wait_for("once more forces it")
    program.go_on()
    returncode, heard, errors = program.end()
    assert (code, ["done", "hook"], "") == (returncode, heard, errors)
    assert len(wk.read_rows(tmp_path)[0]) == 1
    (ended,) = told(tmp_path, RunEnded)
    assert (ended.status, ended.metric_rows) == ("interrupted", 1)
    (asked,) = told(tmp_path, Interrupted)
    assert (asked.signal, asked.forced, asked.listening) == (
        signal.Signals(number).name,
        False,
        True,
    )
    assert json.loads((tmp_path / "run_manifest.json").read_text())["status"] == "interrupted"
    assert (
        (tmp_path / "logs/run.log")
        .read_text()
        .splitlines()[-1]
        .endswith(f"Run interrupted by {signal.Signals(number).name}")
    )


def test_the_second_signal_forces(loop, tmp_path):
    """Asked twice the program stops in the middle of its row, without its hook, and its end is
    written all the same.
    """
    program = loop("run.stop_if_requested()")
    program.process.send_signal(signal.SIGTERM)
    program.wait_for("once more forces it")
    program.process.send_signal(signal.SIGTERM)
    returncode, heard, errors = program.end()
    assert (returncode, heard, errors) == (143, [], "")
    (ended,) = told(tmp_path, RunEnded)
    assert (ended.status, ended.metric_rows) == ("interrupted", 0)
    assert [event.forced for event in told(tmp_path, Interrupted)] == [False, True]


def test_a_program_that_never_looks_is_stopped_by_the_first(loop, tmp_path):
    """Without a place to stop the first signal stops the program, as without a recorder, and the
    hook is called.
    """
    program = loop("pass")
    program.process.send_signal(signal.SIGINT)
    returncode, heard, errors = program.end()
    assert (returncode, heard, errors) == (130, ["hook"], "")
    (ended,) = told(tmp_path, RunEnded)
    assert ended.status == "interrupted"


def test_a_warning_never_forces(loop, tmp_path):
    """The scheduler's warning, as often as it comes, leaves a program that never looks alone, and
    it finishes as ever.
    """
    program = loop("if row == 2: break")
    for _ in range(3):
        program.process.send_signal(signal.SIGUSR1)
        program.wait_for("SIGUSR1")
    program.go_on()
    returncode, heard, _ = program.end()
    assert (returncode, heard) == (0, ["done", "after the loop", "after the run"])
    (ended,) = told(tmp_path, RunEnded)
    assert ended.status == "finished"


def test_a_loop_that_looks_itself_ends_itself(loop, tmp_path):
    """A program that reads `stop_requested` leaves the loop as it likes; after the `with` the
    process ends with the code.
    """
    program = loop("if run.stop_requested: break")
    program.process.send_signal(signal.SIGTERM)
    program.wait_for("once more forces it")
    program.go_on()
    returncode, heard, errors = program.end()
    assert (returncode, heard, errors) == (143, ["done", "after the loop", "hook"], "")
    (ended,) = told(tmp_path, RunEnded)
    assert ended.status == "interrupted"


def test_exit_code_zero_is_the_documents(loop):
    """`exit_code=0` ends an interrupted program as the benchmark's document wants it."""
    program = loop("run.stop_if_requested()", ", exit_code=0")
    program.process.send_signal(signal.SIGTERM)
    program.wait_for("once more forces it")
    program.go_on()
    assert program.end()[0] == 0


@pytest.fixture
def handlers():
    """The process's handlers, checked to be the same after the test."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert before == [signal.getsignal(number) for number in SIGNALS]


def test_handlers_are_restored(tmp_path, handlers):
    """After a run, one that failed and a nested one, each signal has the handler that it had
    before.
    """
    with wk.start_run(tmp_path, pipeline="a"), wk.start_run(tmp_path, pipeline="b"):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    with pytest.raises(ValueError), wk.start_run(tmp_path, pipeline="a"):
        raise ValueError


def test_runs_that_end_out_of_turn_leave_nothing_behind(tmp_path, handlers):
    """An outer run that ends before the inner one takes nothing from it, and no handler of either
    stays.
    """
    outer, inner = wk.start_run(tmp_path, pipeline="a"), wk.start_run(tmp_path, pipeline="b")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert inner.stop_requested is False
    os.kill(os.getpid(), signal.SIGTERM)
    assert inner.stop_requested is True
    with pytest.raises(wk.Interrupted):
        inner.__exit__(None, None, None)


def test_the_users_own_handler_is_called_too(tmp_path, handlers):
    """A handler that was there before is called after ours, each time."""
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(wk.Interrupted) as raised, wk.start_run(tmp_path, pipeline="a") as run:
            assert not run.stop_requested
            os.kill(os.getpid(), signal.SIGTERM)
            assert run.stop_requested
        assert (raised.value.code, heard) == (143, [signal.SIGTERM])
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_ignored_signal_stays_ignored(tmp_path, handlers):
    """What nohup or `&` told the process to ignore, it ignores."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with wk.start_run(tmp_path, pipeline="a") as run:
            os.kill(os.getpid(), signal.SIGINT)
            assert not run.stop_requested
    finally:
        signal.signal(signal.SIGINT, before)


def test_nested_runs_are_asked_together(tmp_path, handlers):
    """One signal asks the inner run and the outer one, and the inner's place to stop is the one
    that counts.
    """
    with pytest.raises(wk.Interrupted), wk.start_run(tmp_path, pipeline="outer") as outer:
        with pytest.raises(wk.Interrupted), wk.start_run(tmp_path, pipeline="inner") as inner:
            assert not inner.stop_requested
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner.stop_requested
        outer.stop_if_requested()


def test_a_step_is_not_begun_when_asked(tmp_path, handlers):
    """Between two steps the pipeline stops, and the second one leaves no trace."""
    with pytest.raises(wk.Interrupted) as raised, wk.start_run(tmp_path, pipeline="a") as run:
        with run.step("00_one"):
            run.request_stop("the budget is spent")
        with run.step("01_two"):
            raise AssertionError
    assert raised.value.code == 143
    (ended,) = told(run.folder, RunEnded)
    assert ended.status == "interrupted"
    assert (run.folder / "00_one").exists() and not (run.folder / "01_two").exists()


def test_off_the_main_thread_it_says_so(tmp_path, handlers):
    """Python handles signals in the main thread only: a run started elsewhere says that, and can
    still be asked.
    """
    folders = []

    def work():
        with contextlib.suppress(wk.Interrupted), wk.start_run(tmp_path, pipeline="a") as run:
            folders.append(run.folder)
            run.request_stop("the main thread wants it")
            run.stop_if_requested()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (
        "SIGTERM does not ask this run to stop: the run was started off the main thread"
        in (folders[0] / "logs/run.log").read_text()
    )
    (ended,) = told(folders[0], RunEnded)
    assert ended.status == "interrupted"


def test_a_hook_that_fails_does_no_harm(tmp_path, handlers):
    """A checkpoint hook's exception is logged, other hooks are called, and the end is written."""
    called = []
    with pytest.raises(wk.Interrupted), wk.start_run(tmp_path, pipeline="a") as run:
        run.on_stop(lambda: 1 / 0)
        run.on_stop(lambda: called.append(1))
        run.request_stop("enough")
        run.stop_if_requested()
    assert called == [1]
    assert "failed at the interrupt: division by zero" in (run.folder / "logs/run.log").read_text()


def test_a_forked_child_dies_as_it_would(tmp_path, handlers):
    """A child that was forked within a run is ended by SIGTERM, as workers are, and the run does
    not notice.
    """
    with wk.start_run(tmp_path, pipeline="a") as run:
        up, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(ready, b"!")
            for _ in range(
                600
            ):  # in short sleeps, since a signal just before a long one would not end it
                time.sleep(0.05)
            os._exit(0)
        os.read(up, 1)
        os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        os.close(up)
        os.close(ready)
        assert not run.stop_requested


def test_signals_are_left_alone_when_asked(tmp_path, handlers):
    """`handle_signals=False` takes over none, `warning_signal=None` not that one."""
    before = [signal.getsignal(number) for number in SIGNALS]
    with wk.start_run(tmp_path, pipeline="a", handle_signals=False):
        assert before == [signal.getsignal(number) for number in SIGNALS]
    with wk.start_run(tmp_path, pipeline="a", warning_signal=None):
        assert before[2] == signal.getsignal(signal.SIGUSR1)
        assert before[1] != signal.getsignal(signal.SIGTERM)


@pytest.mark.parametrize(("end", "left"), [("1000060", 60.0), (None, None), ("soon", None)])
def test_time_left_is_the_schedulers_word(tmp_path, monkeypatch, end, left):
    """`time_left_s` is the time until Slurm's projected end; None where nobody tells."""
    from datetime import UTC, datetime

    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    if end is not None:
        monkeypatch.setenv("SLURM_JOB_END_TIME", end)
    with wk.start_run(
        tmp_path, pipeline="a", clock=lambda: datetime.fromtimestamp(1_000_000, UTC)
    ) as run:
        assert left == run.time_left_s


BENCHMARK = """
import sys
import watchkeeper as wk
with wk.start_run(folder=sys.argv[1], pipeline="loop", console=False) as run:
    with run.table("raw_metrics") as table:
        for row in run.track(range(100), "rows"):
            print("row", flush=True)
            sys.stdin.readline()
            table.append({"row": row})
            print("done", flush=True)
    print("after the loop", flush=True)
"""


def test_a_tracked_loop_finishes_its_item_and_seals_its_table(tmp_path):
    """SIGTERM in the middle of an item: the item's row is in the sealed table, which says that it
    is incomplete.
    """
    program = Loop(tmp_path, BENCHMARK)
    try:
        program.process.send_signal(signal.SIGTERM)
        program.wait_for("once more forces it")
        program.go_on()
        returncode, heard, _ = program.end()
    finally:
        program.process.kill()
    assert (returncode, heard) == (143, ["done"])
    assert (tmp_path / "raw_metrics.csv").read_text().splitlines() == ["row", "0"]
    (sealed,) = told(tmp_path, TableSealed)
    assert (sealed.rows, sealed.complete) == (1, False)
    assert (
        json.loads((tmp_path / "run_manifest.json").read_text())["tables"][0]["complete"] is False
    )
