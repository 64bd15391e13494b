"""Progress: a line now and then, an event a minute, a bar on a terminal; and never a flood."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios

import pytest

import watchkeeper as wk
from watchkeeper.core.events import Progressed, TableSealed
from watchkeeper.record.progress import Book, Progress, line


class Time:
    """A clock that is set by hand, in seconds."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        """The time."""
        return self.now


class Told(list):
    """What was written down."""

    def __call__(self, **fields):
        """Write down."""
        self.append(fields)


@pytest.fixture
def book():
    time, told = Time(), Told()
    made = Book(told, monotonic=time)
    made.time, made.told = time, told
    return made


@pytest.mark.parametrize(
    ("args", "ended", "expected"),
    [
        (("train", 1200, 12487, "it", 30.0), False, "train: 1,200/12,487 it, 10 %, 40 it/s, 0:30 so far, 4:42 left"),
        (("base", 48, 48, "config", 36.0), True, "base: 48/48 config, 100 %, 1.33 config/s, done after 0:36"),
        (("base", 12, 48, "config", 9.0), True, "base: 12/48 config, 25 %, 1.33 config/s, stopped after 0:09"),
        (("read", 7, None, "row", 3661.0), False, "read: 7 row, 0.00191 row/s, 1:01:01 so far"),
        (("none", 0, 0, "it", 0.0), True, "none: 0/0 it, done after 0:00"),
    ],
)
def test_the_line_says_how_far_how_fast_and_how_long(args, ended, expected):
    """One line holds count, share, rate, time so far and time left, and leaves out what nobody can tell."""
    assert line(*args, ended=ended) == expected


def test_items_pass_through_and_are_counted_when_completed(book):
    """The loop gets every item as it is; the one in work is not among the completed ones."""
    loop = Progress(book, ["a", "b", "c"], "letters")
    seen = [(item, loop.done) for item in loop]
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    assert (loop.done, loop.total) == (3, 3)


def test_lines_and_events_come_at_their_cadence(book, capsys):
    """Ten minutes of a fast loop are a line each half minute and an event each minute, however many items there are."""
    for _ in Progress(book, range(6000), "train"):
        book.time.now += 0.1
    lines = capsys.readouterr().err.splitlines()
    assert 19 <= len(lines) <= 21
    assert lines[-1] == "train: 6,000/6,000 it, 100 %, 10 it/s, done after 10:00"
    assert "\r" not in "".join(lines)
    assert 10 <= len(book.told) <= 12
    last = book.told[-1]
    assert (last["done"], last["total"], last["ended"], last["rate_per_s"], last["eta_s"]) == (6000, 6000, True, 10.0, 0.0)


def test_an_inner_loop_is_silent_while_it_is_short(book, capsys):
    """A thousand short inner loops print nothing and write no event of their own end."""
    for _ in Progress(book, range(1000), "configs", unit="config"):
        for _ in Progress(book, range(3), "batches"):
            book.time.now += 0.001
    assert capsys.readouterr().err == "configs: 1,000/1,000 config, 100 %, 333 config/s, done after 0:03\n"
    assert [(told["what"], told["ended"]) for told in book.told] == [("configs", False), ("configs", True)]


def test_many_outermost_loops_do_not_flood_the_journal(book):
    """Ten thousand loops in ten seconds are at most one event a second."""
    for _ in range(10_000):
        for _ in Progress(book, [1], "small", leave=False):
            book.time.now += 0.001
    assert len(book.told) <= 12


def test_a_loop_that_breaks_or_raises_says_how_far_it_came(book, capsys):
    """`break` and an exception end the loop's progress, and the exception is the caller's own."""
    for item in Progress(book, range(5), "broken"):
        if item == 2:
            break
    with pytest.raises(ValueError, match="mine"):
        for _ in Progress(book, range(5), "raising"):
            raise ValueError("mine")
    assert "broken: 2/5 it, 40 %, stopped" in capsys.readouterr().err
    assert book.outer is None


class Strange:
    """An iterable whose length fails."""

    def __iter__(self):
        return iter([1, 2])

    def __len__(self):
        raise RuntimeError


@pytest.mark.parametrize(("total", "expected"), [(None, None), ("many", None), (-1, None), (float("nan"), None), (2.0, 2)])
def test_a_strange_total_is_no_total(book, total, expected):
    """What is no count leaves the loop as it is, without a total."""
    loop = Progress(book, Strange(), "strange", total=total)
    assert (list(loop), loop.total) == ([1, 2], expected)


def test_progress_by_hand(book):
    """Without an iterable it is a `with`, and `update` says what is completed."""
    with Progress(book, desc="bytes", unit="B", total=100) as loop:
        loop.update(60)
        loop.update(40)
    assert (loop.done, book.told[-1]["done"], book.told[-1]["ended"]) == (100, 100, True)


def test_no_standard_error_is_no_reason_to_fail(book, monkeypatch):
    """Without a standard error, or with a closed one, the loop goes on."""
    monkeypatch.setattr(sys, "stderr", None)
    assert list(Progress(book, [1, 2], "quiet")) == [1, 2]
    with open(os.devnull, "w") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    assert list(Progress(book, [1, 2], "closed")) == [1, 2]


def test_a_run_writes_its_progress_down(tmp_path, events):
    """The journal tells how far the run's loops are, so that others see it from another node."""
    with wk.start_run(folder=tmp_path, pipeline="benchmark") as run:
        for _ in run.track([1, 2, 3], "Baseline experiments", unit="config"):
            pass
    told = [event for event in events(tmp_path) if isinstance(event, Progressed)]
    assert [(event.what, event.done, event.total, event.unit, event.ended) for event in told] == [
        ("Baseline experiments", 0, 3, "config", False),
        ("Baseline experiments", 3, 3, "config", True),
    ]


def test_asked_to_stop_it_stops_between_two_items(tmp_path, events):
    """The first signal ends the loop after the row in work, inner loops included; the table is sealed as incomplete."""
    with (
        pytest.raises(SystemExit) as stopped,
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("t", key="n") as table,
    ):
        for n in run.track(range(10), "configs"):
            for inner in run.track(range(3), "batches"):
                if (n, inner) == (2, 0):
                    os.kill(os.getpid(), signal.SIGTERM)
            table.append({"n": n})
    assert stopped.value.code == 143
    assert [row["n"] for row in wk.read_table(tmp_path / "t.csv")[0]] == [0, 1, 2]
    (sealed,) = [event for event in events(tmp_path) if isinstance(event, TableSealed)]
    assert sealed.complete is False


def test_a_stop_that_comes_with_the_last_row_leaves_a_complete_table(tmp_path, events):
    """When nothing was left to do, the table is complete, whoever asked."""
    with (
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("t") as table,
    ):
        for n in run.track(range(3), "configs"):
            if n == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            table.append({"n": n})
    (sealed,) = [event for event in events(tmp_path) if isinstance(event, TableSealed)]
    assert (sealed.complete, sealed.rows) == (True, 3)


BARS = """
import sys
import watchkeeper as wk

with wk.start_run(folder=sys.argv[1], pipeline="benchmark", console=False) as run:
    for _ in run.track(range(3), "Baseline experiments", unit="config"):
        for _ in run.track(range(2), "Processing batches"):
            pass
print("tqdm" in sys.modules)
"""


def test_on_a_terminal_there_is_a_bar_and_elsewhere_none(tmp_path):
    """On a terminal tqdm draws; on a pipe it is not even imported, and no carriage return is written."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    try:
        command = [sys.executable, "-c", BARS, tmp_path / "tty"]
        drawn = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, timeout=60, check=True)
        os.write(theirs, b"\0")
        shown = b""
        while not shown.endswith(b"\0"):
            shown += os.read(ours, 100_000)
    finally:
        os.close(ours)
        os.close(theirs)
    assert drawn.stdout == b"True\n"
    assert b"Baseline experiments: 100%" in shown
    assert b"3/3" in shown
    piped = subprocess.run([*command[:-1], tmp_path / "pipe"], capture_output=True, timeout=60, check=True)
    assert piped.stdout == b"False\n"
    assert b"\r" not in piped.stderr
    assert b"Baseline experiments: 3/3 config, 100 %" in piped.stderr
