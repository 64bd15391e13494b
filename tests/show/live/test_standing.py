"""What `run` shows on a terminal while it watches."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest

from tests.experiments import env, write_experiment
from watchkeeper.show.live.standing import StandingPicture

FAST = ("--poll", "0.05")


def on_a_terminal(tmp_path, *options: str) -> str:
    """All that a run writes to a terminal as its standard error."""
    folder = write_experiment(tmp_path / "exp")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "watchkeeper", "run", str(folder), *FAST, *options]
    more = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=env(tmp_path / "state") | more,
    )
    os.close(theirs)
    text = b""
    try:
        while True:
            text += os.read(ours, 65536)
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0
    return text.decode("utf-8", "replace")


def test_a_terminal_gets_the_picture_of_status(tmp_path):
    """Renewed in place, and gone at the end; no line for each event."""
    text = on_a_terminal(tmp_path)
    assert "exp: " in text and "epoch" in text
    assert "SUBMIT_JOB" not in text and "nobody watches" not in text
    assert text.endswith("\x1b[J")


def test_with_v_a_terminal_gets_the_events(tmp_path):
    """A line for each, as in a file."""
    text = on_a_terminal(tmp_path, "-v")
    assert "SUBMIT_JOB" in text and "epoch" not in text.partition("SUBMIT_JOB")[0]


@pytest.mark.parametrize(
    ("lines", "written"),
    [
        (["a", "c"], "\x1b[2F\nc\x1b[K\n\x1b[J"),
        (["a"], "\x1b[2F\n\x1b[J"),
        (["a", "b", "d"], "\x1b[2F\n\nd\x1b[K\n\x1b[J"),
    ],
)
def test_only_lines_that_changed_are_written(lines, written):
    """What is too much is taken away, and nothing is written within two seconds."""
    pictures = iter([["a", "b"], lines])
    out = io.StringIO()
    times = iter([0.0, 0.01, 1.9, 2.0, 2.01])
    picture = StandingPicture(out, lambda: next(pictures), clock=lambda: next(times))
    picture.count("")
    begin = len(out.getvalue())
    picture.count("")
    assert len(out.getvalue()) == begin, "it was renewed before two seconds had passed"
    picture.count("")
    assert out.getvalue()[begin:] == written
