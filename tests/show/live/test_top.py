"""`watchkeeper top` on a real terminal: a pty, and the screen that its bytes make."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.schedulers.fake.scheduler import FakeScheduler

DEADLINE_S = 120
COLUMNS, LINES = 80, 24
LINE = re.compile(r"\x1b\[(\d+);1H\x1b\[2K((?:(?!\x1b\[\d+;1H|\x1b\[\?)[^\r\n])*)")


class Sitting:
    """A person before a terminal in which `top` runs."""

    def __init__(self, *words: str, cache: Path) -> None:
        command = [sys.executable, "-m", "watchkeeper", "top", *words]
        self.output = ""
        self.read = 0
        self.screen = [""] * LINES
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(theirs)
        more = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "XDG_CACHE_HOME": str(cache)}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | more,
            process_group=0,  # its parent is in another group, so that it can be stopped
        )
        self.theirs = theirs

    def until(self, seen: Callable[[], bool], what: str) -> None:
        """Read the terminal until something is there."""
        deadline = time.monotonic() + DEADLINE_S
        while not seen():
            assert time.monotonic() < deadline, f"no {what} in:\n{self.text}\n{self.output[-500:]}"
            ready, _, _ = select.select([self.terminal], [], [], 0.2)
            if ready:
                self._take(os.read(self.terminal, 65536).decode("utf-8", "replace"))

    def _take(self, text: str) -> None:
        self.output += text
        for match in LINE.finditer(self.output, self.read):
            number = int(match.group(1)) - 1
            self.screen[number] = re.sub(r"\x1b\[[0-9;]*m", "", match.group(2))
        last = self.output.rfind("\x1b[", 0)
        self.read = max(self.read, self.output.rfind(";1H", 0, last) - 8)

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(line.rstrip() for line in self.screen)

    def sees(self, words: str) -> None:
        """Wait for words on the screen."""
        self.until(lambda: words in self.text, words)

    def types(self, keys: str) -> None:
        """Press keys."""
        os.write(self.terminal, keys.encode())

    def ends(self) -> int:
        """Wait for the end; the terminal is then as it was before."""
        self.until(lambda: self.process.poll() is not None, "end")
        self.until(lambda: "\x1b[?1049l" in self.output, "leaving the full screen")
        assert self.output.rindex("\x1b[?1049l") > self.output.rindex("\x1b[?1049h")
        assert self.output.rindex("\x1b[?25h") > self.output.rindex("\x1b[?25l")
        assert termios.tcgetattr(self.theirs) == self.before
        return self.process.returncode

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        os.close(self.theirs)
        os.close(self.terminal)


@pytest.fixture
def sits(tmp_path):
    """Sit down before a terminal with `top`."""
    sittings = []

    def sit(*words) -> Sitting:
        sittings.append(Sitting(*map(str, words), cache=tmp_path / "cache"))
        return sittings[-1]

    yield sit
    for one in sittings:
        one.close()


@pytest.fixture
def training(tmp_path):
    """A recorded run under way, with a loss."""
    folder = tmp_path / "night" / "sft"
    options = {"pipeline": "training", "console": False, "sidecar": False}
    with wk.start_run(folder=folder, **options) as run:
        for step in range(1, 41):
            run.log(step, train_loss=4 / step)
        yield run


def test_a_run_is_opened_and_its_curve_is_drawn(sits, training, tmp_path):
    """Enter opens it, Esc comes back, q quits with 0 and gives the terminal back."""
    one = sits(tmp_path / "night")
    one.sees("sft")
    one.sees("q quit")
    one.types("\r")
    one.sees("Esc back")
    one.until(lambda: "⠉" in one.text or "⡇" in one.text or "⠒" in one.text, "curve")
    assert "train 0.1" in one.text
    one.types("\x1b")
    one.sees("↑↓ choose")
    one.types("q")
    assert one.ends() == 0


def test_what_is_recorded_appears_without_a_key(sits, training, tmp_path):
    """The screen follows, and writes only the lines that changed."""
    one = sits(tmp_path / "night")
    one.sees("sft")
    first = len(one.output)
    training.log(12_345, train_loss=0.01)
    one.sees("12,345")
    later = one.output[first:]
    assert "choose" not in later and "2J" not in later


def test_a_command_is_shown_and_runs_after_y(sits, training, tmp_path):
    """A note is written by the command that was shown, and the screen is there again after it."""
    one = sits(tmp_path / "night")
    one.sees("q quit")
    one.types("nlooks good\r")
    one.sees("'looks good'   run it? y/n")
    one.types("y")
    one.until(lambda: "Exit code 0." in one.output, "end of the command")
    assert "noted of sft: looks good" in one.output
    one.types("\r")
    one.sees("q quit")
    one.types("q")
    assert one.ends() == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_terminal_is_given_back_at_any_end(sits, training, tmp_path, number, code):
    """Also where a signal ends it."""
    one = sits(tmp_path / "night")
    one.sees("q quit")
    one.process.send_signal(number)
    assert one.ends() == code


def test_an_error_ends_it_with_words_on_the_terminal_as_it_was(sits, tmp_path):
    """The first look failed: there is nothing to show."""
    (tmp_path / "file").write_text("")
    one = sits(tmp_path / "file")
    one.until(lambda: "is no folder" in one.output, "error")
    one.until(lambda: one.process.poll() is not None, "end")
    assert one.process.returncode == 2 and "\x1b[?1049h" not in one.output


def test_it_is_drawn_anew_after_a_stop(sits, training, tmp_path):
    """While it is stopped the terminal is as it was before; then everything is drawn again."""
    one = sits(tmp_path / "night")
    one.sees("q quit")
    one.process.send_signal(signal.SIGTSTP)
    one.until(lambda: "\x1b[?1049l" in one.output, "leaving the full screen")
    os.waitid(os.P_PID, one.process.pid, os.WSTOPPED)
    assert termios.tcgetattr(one.theirs) == one.before
    mark = len(one.output)
    one.process.send_signal(signal.SIGCONT)
    one.until(lambda: "q quit" in one.output[mark:], "the picture again")
    one.types("q")
    assert one.ends() == 0


def test_a_window_of_another_size_is_drawn_anew(sits, training, tmp_path):
    """The picture fits the window that there is now."""
    one = sits(tmp_path / "night")
    one.sees("q quit")
    fcntl.ioctl(one.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 40, 0, 0))
    # Twice: a picture of the window before may be on its way when the first signal comes.
    for _ in range(2):
        mark = len(one.output)
        one.process.send_signal(signal.SIGWINCH)
        one.until(lambda: "? keys  q quit" in one.output[mark:], "the picture again")  # noqa: B023
    assert "l log" not in one.output[mark:]


def test_without_a_terminal_one_picture_is_printed(tmp_path):
    """In ASCII, without orders to a terminal, and with what failed lately."""
    failing = write_experiment(tmp_path / "night" / "cap", body="echo 'boom' >&2; exit 3")
    keep(failing, FakeScheduler(), setting="none")
    command = [sys.executable, "-m", "watchkeeper", "top", "night"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.isascii() and "\x1b" not in done.stdout
    assert "nothing runs" in done.stdout
    assert re.search(r"\d\d:\d\d  x cap/one failed +.*boom", done.stdout)
