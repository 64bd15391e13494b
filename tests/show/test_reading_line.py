"""The line that says how far `ls` has read."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import watchkeeper as wk
from watchkeeper.query.catalogue.listing import Listing
from watchkeeper.show.listing import reading
from watchkeeper.show.listing.reading import ReadingLine


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_long_look_says_how_far_it_is_and_leaves_nothing():
    """A short one says nothing; a long one overwrites its line now and then, and clears it."""
    now = 100.0
    out = Terminal()
    line = ReadingLine(out, clock=lambda: now)
    line.note(Listing(places=2_000, read=10))
    assert out.getvalue() == ""
    now += reading.FIRST_S
    line.note(Listing(places=2_000, read=1_200))
    line.note(Listing(places=2_000, read=1_201))
    assert out.getvalue() == "\r\x1b[Kreading: 1,200 of 2,000 places, 0 runs"
    now += reading.PAUSE_S
    line.note(Listing(places=2_000, read=1_300))
    line.end()
    line.end()
    assert out.getvalue().endswith("reading: 1,300 of 2,000 places, 0 runs\r\x1b[K")


def test_a_file_and_a_program_get_no_line():
    """What is no terminal is read by programs."""
    quiet, file = Terminal(), io.StringIO()
    for line in (
        ReadingLine(quiet, is_shown=False, clock=lambda: 0.0),
        ReadingLine(file, clock=lambda: 0.0),
    ):
        line._next = -1.0
        line.note(Listing(places=2, read=1))
        line.end()
    assert quiet.getvalue() == file.getvalue() == ""


def test_a_terminal_sees_ls_read_and_a_program_does_not(tmp_path: Path) -> None:
    """In a terminal the line is there before the answer; with `--json` it never is."""
    for number in range(3):
        with wk.start_run(pipeline="p", folder=tmp_path / str(number)) as run:
            run.log(1, loss=0.5)
    program = (
        "from watchkeeper.show.listing import reading; reading.FIRST_S = 0.0; "
        "from watchkeeper.show.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "ls", str(tmp_path)]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "100"}
    seen = _in_terminal(command, environment)
    assert seen.index(b"of 3 places") < seen.index(b"3 runs, newest first")
    assert b"of 3 places" not in _in_terminal([*command, "--json"], environment)


def _in_terminal(command: list[str], environment: dict[str, str]) -> bytes:
    """What a command writes to its terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(command, env=environment, stdin=slave, stdout=slave, stderr=slave):
        os.close(slave)
        seen = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
    os.close(master)
    return seen
