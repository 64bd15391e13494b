"""A command's output as rows: no step thinned out, no line read twice, and a bound that counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.record.printout import (
    PENDING_BYTES,
    ROWS_PER_S,
    Lines,
    PrintedRows,
    of_use,
)
from watchkeeper.runfolder.printed_metrics import HINT


class Time:
    """A clock that is set by hand, in seconds."""

    now = 0.0

    def __call__(self):
        """The time."""
        return self.now


class Reader:
    """Rows of two streams, with what was kept and how many were left out."""

    def __init__(self):
        self.clock = Time()
        self.kept: list[tuple[object, dict[str, object]]] = []
        self.left_out = 0
        self.rows = PrintedRows(2, self.keep, self.count, self.clock)

    def keep(self, printed):
        """Take a row."""
        self.kept.append((printed.step, printed.metrics))

    def count(self):
        """One more is left out."""
        self.left_out += 1

    def look(self, out=b"", err=b"", after_s=0.05):
        """One look at both streams."""
        self.clock.now += after_s
        self.rows.look()
        self.rows.add(0, out)
        self.rows.add(1, err)


def test_each_line_is_a_row_however_it_arrives():
    """A line that comes in pieces is read once, whole; the last one without a newline too."""
    reader = Reader()
    text = (
        b"".join(b"step %d loss: 0.%d\n" % (step, step) for step in range(1, 21))
        + b"step 21 loss: 0.21"
    )
    for at in range(0, len(text), 7):
        reader.look(text[at : at + 7])
    reader.rows.finish()
    assert reader.kept == [(step, {"loss": float(f"0.{step}")}) for step in range(1, 22)]


def test_a_bar_is_a_row_for_each_step():
    """A bar redrawn at its step is no row; one drawn whole does not wait for the next drawing."""
    reader = Reader()

    def bar(step, loss):
        return f"\r {step}%|#  | {step}/100 [00:01<00:09, 9.9it/s, loss={loss}]".encode()

    reader.look(err=bar(1, 0.5))
    reader.look()
    reader.look(err=bar(1, 0.5) + bar(2, 0.4))
    reader.look(err=bar(2, 0.3))
    reader.look()
    reader.rows.finish()
    assert reader.kept == [(1, {"loss": 0.5}), (2, {"loss": 0.4}), (2, {"loss": 0.3})]


def test_a_loss_without_a_step_has_the_step_named_before_it():
    """Below a line that names its step in words a loss is that step's; beside a bar, or in another
    stream, it has none.
    """
    reader = Reader()
    reader.look(b"loss: 9\nstep 5\n  train loss: 0.5\n  val loss: 0.6\n", b"loss: 8\n")
    reader.look(b" 6%|# | 6/100 [00:01<00:09, 9.9it/s]\nloss: 0.4\n")
    assert reader.kept == [
        (None, {"loss": 9}),
        (5, {}), (5, {"loss": 0.5}), (5, {"val_loss": 0.6}),
        (None, {"loss": 8}),
        (6, {}), (None, {"loss": 0.4}),
    ]  # fmt: skip


def test_what_is_beyond_a_second_is_counted_and_the_last_line_is_kept():
    """Of a burst the first thousand rows and the last one are kept; all others are counted."""
    reader = Reader()
    reader.look(
        b"".join(b"step %d loss: 1\n" % step for step in range(1, 3 * ROWS_PER_S + 1)), after_s=0
    )
    assert [step for step, _ in reader.kept] == list(range(1, ROWS_PER_S + 1))
    reader.look(after_s=0.5)
    assert reader.kept[-1][0] == 3 * ROWS_PER_S
    assert len(reader.kept) + reader.left_out == 3 * ROWS_PER_S
    reader.look(
        b"".join(b"step %d loss: 2\n" % step for step in range(1, ROWS_PER_S + 1)), after_s=0
    )
    reader.rows.finish()
    assert reader.kept[-1][0] == ROWS_PER_S
    assert len(reader.kept) + reader.left_out == 4 * ROWS_PER_S


def test_a_thousand_rows_a_second_are_kept_however_late_they_are_read():
    """A reader that is held up for seconds counts by the time that has passed."""
    reader = Reader()
    steps = range(1, 5 * ROWS_PER_S + 1)
    reader.look(b"".join(b"step %d loss: 1\n" % step for step in steps), after_s=5.0)
    assert [step for step, _ in reader.kept] == list(steps) and reader.left_out == 0


def test_an_endless_line_is_no_line():
    """Megabytes without a newline are let go, and the next line is read."""
    reader = Reader()
    for _ in range(4):
        reader.look(b"step 1 loss: 1 " + b"x" * PENDING_BYTES)
    reader.look(b"x\nstep 2 loss: 2\n")
    reader.rows.finish()
    assert reader.kept == [(2, {"loss": 2})]


ENDS = [b"\n", b"\r", b"\r\n"]
WORDS = [b"step", b"STEP", b"Iter", b"loss", b"Epoch", b"/12 [", b"/ [", b"1", b"[12]\t", b"]\t"]
OTHERS = [b" [", b"x", b"\xff", b"/1", b"2 [3"]
PIECES = st.sampled_from([*ENDS, *WORDS, *OTHERS])


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_no_line_of_use_is_left_out(data):
    """Looked at all at once, output has the lines that line by line hold a hint, in their order."""
    lines = data.replace(b"\r", b"\n") + b"\n"
    chosen = list(of_use(lines))
    expected = [line for line in lines.split(b"\n") if HINT.search(line)]
    assert [line for line in chosen if HINT.search(line)] == expected


@given(st.lists(st.lists(PIECES, max_size=6).map(b"".join), max_size=6))
def test_lines_are_the_same_in_any_pieces(pieces):
    """However output comes, the lines and the rest are those of all of it."""
    lines, whole = Lines(), Lines()
    found = b"".join(map(lines.add, pieces))
    assert found == whole.add(b"".join(pieces))
    assert list(lines.rest(ended=True)) == list(whole.rest(ended=True))
