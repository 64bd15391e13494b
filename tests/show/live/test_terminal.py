"""The full screen, on a real terminal: a pty. What signals do to it, at any moment."""

from __future__ import annotations

import os
import pty
import signal
import sys
import termios

import pytest

from watchkeeper.show.live.terminal import Terminal

LINES = ["one", "two"]
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


class Out:
    """Standard output that a signal interrupts in the middle of the next write."""

    def __init__(self, terminal: int) -> None:
        self.file = os.fdopen(os.dup(terminal), "w")
        self.signal = 0

    def write(self, text: str) -> None:
        """Write, with the signal after half of it."""
        half = len(text) // 2
        self.file.write(text[:half])
        number, self.signal = self.signal, 0
        if number:
            os.kill(os.getpid(), number)
        self.file.write(text[half:])

    def flush(self) -> None:
        """Write all of it."""
        self.file.flush()


class Window:
    """A terminal in full screen, and what was written to it."""

    def __init__(self, terminal: Terminal, ours: int, theirs: int, out: Out) -> None:
        self.terminal = terminal
        self.ours, self.theirs = ours, theirs
        self.out = out

    def written(self) -> str:
        """What was written since the last time."""
        os.write(self.theirs, b"|")
        text = b""
        while not text.endswith(b"|"):
            text += os.read(self.ours, 65536)
        return text.decode().removesuffix("|")


@pytest.fixture
def window(monkeypatch):
    """A terminal in full screen, with two lines on it."""
    ours, theirs = pty.openpty()
    out = Out(theirs)
    with os.fdopen(os.dup(theirs)) as keys:
        monkeypatch.setattr(sys, "stdin", keys)
        monkeypatch.setattr(sys, "stdout", out)
        with Terminal() as terminal:
            one = Window(terminal, ours, theirs, out)
            terminal.draw(LINES)
            one.written()
            yield one
    out.file.close()
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def stops(monkeypatch, window):
    """The stops of the program, which does not stop: what the terminal was set to at each."""
    seen = []

    def stop(number: int) -> None:
        assert number == signal.SIGTSTP and signal.getsignal(number) is signal.SIG_DFL
        seen.append(termios.tcgetattr(window.theirs))
        os.kill(os.getpid(), signal.SIGCONT)

    monkeypatch.setattr(signal, "raise_signal", stop)
    return seen


@pytest.mark.parametrize("number", [signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP])
def test_all_lines_are_drawn_after_a_signal_in_the_middle_of_a_drawing(window, stops, number):
    """A line that was on the screen before the signal is not taken for one that is there."""
    window.out.signal = number
    window.terminal.draw(["one", "three"])
    assert window.terminal.wait(0) == []
    window.written()
    window.terminal.draw(["one", "three"])
    text = window.written()
    assert "one" in text and "three" in text


def test_what_is_shown_is_not_written_again(window):
    """Without a signal, only a changed line is written."""
    window.terminal.draw(["one", "three"])
    assert "one" not in window.written()


def test_a_window_of_another_size_is_cleared(window):
    """What the terminal moved around is gone before all is drawn."""
    os.kill(os.getpid(), signal.SIGWINCH)
    assert window.written() == ""
    window.terminal.wait(0)
    assert window.written() == "\x1b[2J"


def test_the_terminal_is_given_back_while_the_program_is_stopped(window, stops):
    """It is as it was before, and is taken once when the program continues."""
    before = window.terminal._settings
    os.kill(os.getpid(), signal.SIGTSTP)
    window.terminal.wait(0)
    assert stops == [before]
    text = window.written()
    assert text.index(LEAVE) < text.index(ENTER)
    window.terminal.wait(0)
    assert window.written() == ""
    assert signal.getsignal(signal.SIGTSTP) == window.terminal._note


def test_a_program_that_was_continued_takes_the_screen_again(window):
    """Also where it was stopped by a signal that it cannot see."""
    os.kill(os.getpid(), signal.SIGCONT)
    window.terminal.wait(0)
    assert ENTER in window.written()


def test_a_stop_reaches_a_command_and_this_program_alike(window):
    """While a command has the terminal, Ctrl-Z has its usual effect on both."""
    with window.terminal.left():
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGCONT) is signal.SIG_DFL
        assert LEAVE in window.written()
    assert signal.getsignal(signal.SIGTSTP) == window.terminal._note
    assert ENTER in window.written()


def test_a_signal_interrupts_the_wait(window):
    """What it wants is done at once, not after the wait."""
    os.kill(os.getpid(), signal.SIGWINCH)
    assert window.terminal.wait(3600) == []
