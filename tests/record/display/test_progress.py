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
from watchkeeper.record.display.progress import Book, Progress, line


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
        (
            ("train", 1200, 12487, "it", 30.0),
            False,
            "train: 1,200/12,487 it, 10 %, 40 it/s, 0:30 so far, 4:42 left",
        ),
        (
            ("base", 48, 48, "config", 36.0),
            True,
            "base: 48/48 config, 100 %, 1.33 config/s, done after 0:36",
        ),
        (
            ("base", 12, 48, "config", 9.0),
            True,
            "base: 12/48 config, 25 %, 1.33 config/s, stopped after 0:09",
        ),
        (("read", 7, None, "row", 3661.0), False, "read: 7 row, 0.00191 row/s, 1:01:01 so far"),
        (("none", 0, 0, "it", 0.0), True, "none: 0/0 it, done after 0:00"),
    ],
)
def test_the_line_says_how_far_how_fast_and_how_long(args, ended, expected):
    """One line holds count, share, rate, time so far and time left, and leaves out what nobody can
    tell.
    """
    assert line(*args, ended=ended) == expected


def test_items_pass_through_and_are_counted_when_completed(book):
    """The loop gets every item as it is; the one in work is not among the completed ones."""
    loop = Progress(book, ["a", "b", "c"], "letters")
    seen = [(item, loop.done) for item in loop]
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    assert (loop.done, loop.total) == (3, 3)


def test_lines_and_events_come_at_their_cadence(book, capsys):
    """Ten minutes of a fast loop are a line each half minute and an event each minute, however many
    items there are.
    """
    for _ in Progress(book, range(6000), "train"):
        book.time.now += 0.1
    lines = capsys.readouterr().err.splitlines()
    assert 19 <= len(lines) <= 21
    assert lines[-1] == "train: 6,000/6,000 it, 100 %, 10 it/s, done after 10:00"
    assert "\r" not in "".join(lines)
    assert 10 <= len(book.told) <= 12
    last = book.told[-1]
    assert (last["done"], last["total"], last["ended"], last["rate_per_s"], last["eta_s"]) == (
        6000,
        6000,
        True,
        10.0,
        0.0,
    )


def test_an_inner_loop_is_silent_while_it_is_short(book, capsys):
    """A thousand short inner loops print nothing and write no event of their own end."""
    for _ in Progress(book, range(1000), "configs", unit="config"):
        for _ in Progress(book, range(3), "batches"):
            book.time.now += 0.001
    assert (
        capsys.readouterr().err
        == "configs: 1,000/1,000 config, 100 %, 333 config/s, done after 0:03\n"
    )
    assert [(told["what"], told["ended"]) for told in book.told] == [
        ("configs", False),
        ("configs", True),
    ]


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


@pytest.mark.parametrize(
    ("total", "expected"),
    [(None, None), ("many", None), (-1, None), (float("nan"), None), (2.0, 2)],
)
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
    """The first signal ends the loop after the row in work, inner loops included; the table is
    sealed as incomplete.
    """
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
    """On a terminal tqdm draws; on a pipe it is not even imported, and no carriage return is
    written.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    try:
        command = [sys.executable, "-c", BARS, tmp_path / "tty"]
        drawn = subprocess.run(
            command, stderr=theirs, stdout=subprocess.PIPE, timeout=300, check=True
        )
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
    piped = subprocess.run(
        [*command[:-1], tmp_path / "pipe"], capture_output=True, timeout=300, check=True
    )
    assert piped.stdout == b"False\n"
    assert b"\r" not in piped.stderr
    assert b"Baseline experiments: 3/3 config, 100 %" in piped.stderr


def test_a_bar_by_hand_counts_its_own_time(book, capsys):
    """`track(total=…)` with `update` and `close`, tqdm's manual use, begins when it is created."""
    bar = Progress(book, total=4, desc="Baseline", unit="config")
    for _ in range(4):
        book.time.now += 15
        bar.update(1)
    bar.close()
    bar.close()
    bar.update(1)
    assert capsys.readouterr().err.splitlines() == [
        "Baseline: 2/4 config, 50 %, 0.0667 config/s, 0:30 so far, 0:30 left",
        "Baseline: 4/4 config, 100 %, 0.0667 config/s, 1:00 so far, 0:00 left",
        "Baseline: 4/4 config, 100 %, 0.0667 config/s, done after 1:00",
    ]
    assert [(fields["done"], fields["ended"]) for fields in book.told] == [
        (0, False),
        (4, False),
        (4, True),
    ]
    assert bar.n == 4


def test_a_bar_that_nobody_closes_ends_with_its_run(tmp_path, capfd, events):
    """An open bar leaves its last line and its event at the run's end, and later loops are no loops
    within it.
    """
    with wk.start_run(folder=tmp_path, pipeline="t") as run:
        bar = run.track(total=4, desc="by hand")
        bar.update(3)
        for _ in run.track([1], "later"):
            pass
        kept = iter(run.track([1, 2], "kept"))
        next(kept)
    printed = capfd.readouterr().err
    assert "by hand: 3/4 it, 75 %" in printed and "stopped after 0:0" in printed
    assert "later: 1/1 it, 100 %" in printed and "kept: 0/2 it" in printed
    told = [event for event in events(tmp_path) if isinstance(event, Progressed) and event.ended]
    assert {"by hand": 3}.items() <= {event.what: event.done for event in told}.items()
    assert {event.depth for event in told} == {0}


def test_the_methods_of_tqdm(book, capsys):
    """`set_postfix`, `set_description`, `n`, `total`, `initial`, `reset`, `refresh` and `leave` do
    what tqdm's do.
    """
    bar = Progress(book, total=10, desc="train", initial=4)
    assert (bar.n, len(bar), bool(bar), bar.format_dict["n"]) == (4, 10, True, 4)
    bar.set_description("fine-tune: ")
    bar.set_postfix(loss=0.123456, step="last", refresh=False)
    bar.set_postfix({"loss": 0.5}, lr=1e-5)
    book.time.now += 40
    bar.n = 8
    bar.refresh()
    bar.total = 20
    bar.unpause()
    bar.clear()
    bar.display()
    bar.write("above")
    bar.reset(total=2)
    bar.update(2)
    bar.leave = False
    bar.close()
    out, err = capsys.readouterr()
    assert out == "above\n"
    assert err.splitlines() == [
        "fine-tune: 8/10 it, 80 %, 0.1 it/s, 0:40 so far, 0:20 left, loss=0.5, lr=1e-05",
    ]
    assert bar.desc == "fine-tune"


def test_an_unknown_length_and_a_disabled_bar(book, capsys):
    """Without a total there is no length, and the bar is true; a disabled one passes its items on
    in silence.
    """
    bar = Progress(book, desc="read")
    with pytest.raises(TypeError, match="nobody knows how many"):
        len(bar)
    assert bool(bar) is True
    bar.close()
    before = len(book.told)
    silent = Progress(book, [1, 2, 3], "silent", disable=True)
    assert list(silent) == [1, 2, 3]
    silent.update(2)
    silent.close()
    assert "silent" not in capsys.readouterr().err and len(book.told) == before


@pytest.mark.parametrize(
    "argument", [{"colour": "green", "ncols": 60, "smoothing": 0.1}, {"nonsense": 1}]
)
def test_what_only_tqdm_knows_reaches_the_bar(monkeypatch, argument):
    """Arguments of tqdm's own are handed to the bar; one that it does not take costs a warning, not
    the bar.
    """
    import io

    warned = []
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    bar = Progress(
        Book(Told(), warn=lambda about, message: warned.append(about)),
        total=3,
        desc="train",
        **argument,
    )
    bar.set_postfix(loss=0.5)
    bar.update(3)
    bar.close()
    assert "3/3" in screen.getvalue() and "loss=0.5" in screen.getvalue()
    assert warned == (["bar"] if "nonsense" in argument else [])


def test_the_event_says_which_step_was_logged_last(tmp_path, events):
    """A reader can tell from the journal alone whether a loop's items are training steps."""
    with wk.start_run(folder=tmp_path, pipeline="p", console=False, sidecar=False) as run:
        for step in run.track(range(1, 4), "train"):
            run.log(step, loss=1.0)
    steps = [event.training_step for event in events(tmp_path) if isinstance(event, Progressed)]
    assert steps[0] is None
    assert steps[-1] == 3
