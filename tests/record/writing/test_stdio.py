"""A closed stdin, stdout or stderr: no file of ours takes its number, so nothing that is printed
lands in one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.disk import files
from watchkeeper.core.journal import read

# Records with everything that keeps a file open, prints to each of the three, and says which of
# them were ours meanwhile.
PROGRAM = """
import os, sys
import watchkeeper as wk

def links():
    for fd in (0, 1, 2):
        try:
            yield os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            yield ""

with wk.start_run(folder="run", pipeline="t", stall_s=60) as run, run.table("t", key="n") as table:
    for step in range(1, 100):
        run.log(step, loss=1.0 / step)
        table.append({"n": step})
    run.example(1, prompt="p", golden="g", output="o")
    run.limit(60, isolate=True).call(os.getpid)
    kinds = ("run/", "pipe:", "socket:", "stacks")
    held = [place for place in links() if any(kind in place for kind in kinds)]
    for fd in (0, 1, 2):
        try:
            os.write(fd, b"SPOILT")
        except OSError:
            pass
    run.request_stop("to say a word in passing")
    run.totals(held=len(held))
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_of_ours_takes_the_place_of_a_closed_one(tmp_path, closed):
    """What is printed to a descriptor that was closed at the start enters no file of the run."""
    stdio = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
    (tmp_path / "program.py").write_text(PROGRAM)
    line = f"exec {sys.executable} program.py {closed}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, timeout=300, **stdio)
    assert done.returncode == 0
    journal = read(tmp_path / "run/.watchkeeper/journal")
    rows, problems = wk.read_rows(tmp_path / "run")
    assert (journal.problems, problems, len(rows)) == ([], [], 99)
    (ended,) = [
        event
        for own in journal.events.values()
        for event in own
        if type(event).__name__ == "RunEnded"
    ]
    assert ended.totals == {"held": 0}
    spoilt = [
        path
        for path in (tmp_path / "run").rglob("*")
        if path.is_file() and b"SPOILT" in path.read_bytes()
    ]
    assert spoilt == []


def test_a_command_of_ours_fills_what_is_closed(tmp_path):
    """`watchkeeper exec` with all three closed runs its command, and keeps what it printed."""
    wk_command = Path(sys.executable).with_name("watchkeeper")
    line = f"exec {wk_command} exec --folder run -- sh -c 'echo word; echo other >&2' <&- >&- 2>&-"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        check=False,
        timeout=300,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "WATCHKEEPER_SIDECAR": "0"},
    )
    assert done.returncode == 0
    assert (tmp_path / "run/logs/stdout.log").read_text() == "word\n"
    assert (tmp_path / "run/logs/stderr.log").read_text() == "other\n"
    assert read(tmp_path / "run/.watchkeeper/journal").problems == []


def test_a_descriptor_above_stdio_is_left_as_it_is(tmp_path):
    """Only a descriptor of 0 to 2 is moved; the file stays the same."""
    fd = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
    assert files.above_stdio(fd) == fd
    os.close(fd)


@pytest.mark.parametrize("stream", ["None", "Broken()", "closed"])
def test_a_standard_error_that_takes_nothing_costs_nothing(tmp_path, stream):
    """Without a standard error, with a broken or a closed one, the run records all, and raises
    nothing.
    """
    code = f"""
import logging, os, signal, sys
import watchkeeper as wk
class Broken:
    def write(self, text): raise BrokenPipeError(32, "gone")
    def flush(self): pass
    def isatty(self): raise ValueError("closed")
closed = open(os.devnull, "w"); closed.close()
sys.stderr = {stream}
with wk.start_run(folder="run", pipeline="t") as run:
    for step in run.track(range(1, 4), "steps"):
        run.log(step, loss=1.0)
    bar = run.track(total=2)
    bar.update(2)
    logging.getLogger("x").warning("a line")
    os.kill(os.getpid(), signal.SIGUSR1)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert len(wk.read_rows(tmp_path / "run")[0]) == 3
    log = (tmp_path / "run/logs/run.log").read_text()
    assert log.count("a line") == 1 and log.rstrip().endswith("Run finished")
