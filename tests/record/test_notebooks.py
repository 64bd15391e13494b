"""A start that is made again in its own place, as in a notebook's cell, leaves the run before it
behind.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import watchkeeper as wk

CELL = """
import logging
import watchkeeper as wk
run = wk.start_run(root, pipeline="t"{options})
run.log(1, loss=1.0)
logging.getLogger("x").warning("LINE-%d", n)
"""


def log_of(run):
    return (run.folder / "logs/run.log").read_text()


def execute(root, n, space, options=""):
    space.update(root=root, n=n)
    exec(compile(CELL.format(options=options), "<string>", "exec"), space)
    return space["run"]


def test_a_cell_run_again_has_a_log_of_its_own(tmp_path, capfd):
    """What is said under the second run is in its log only, and bears its id on the console."""
    space = {}
    first, second = execute(tmp_path, 1, space), execute(tmp_path, 2, space)
    assert wk.current_run() is second
    second.close()
    first.close()
    assert ("LINE-1" in log_of(first), "LINE-2" in log_of(first)) == (True, False)
    assert ("LINE-1" in log_of(second), "LINE-2" in log_of(second)) == (False, True)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "LINE-2" in line]
    assert second.run_id in line


def test_what_a_thread_says_is_the_second_runs(tmp_path):
    """A thread that is in no run is heard by the run that was started last in the place, not by the
    one left behind.
    """
    space = {}
    first, second = execute(tmp_path, 1, space), execute(tmp_path, 2, space)
    thread = threading.Thread(target=lambda: logging.getLogger("x").warning("FROM-THREAD"))
    thread.start()
    thread.join()
    second.close()
    first.close()
    assert ("FROM-THREAD" in log_of(first), "FROM-THREAD" in log_of(second)) == (False, True)


def test_runs_side_by_side_on_purpose_are_left_alone(tmp_path):
    """Other lines, other pipelines, a `with`, other threads and recursion: each run goes on, and
    hears what it heard.
    """
    outer = wk.start_run(tmp_path, pipeline="outer", console=False)
    inner = wk.start_run(tmp_path, pipeline="inner", console=False)
    logging.getLogger("x").warning("BOTH")
    runs = []

    def recurse(depth):
        run = wk.start_run(tmp_path, pipeline="deep", console=False)
        runs.append(run)
        if depth:
            recurse(depth - 1)
        logging.getLogger("x").warning("DEPTH-%d", depth)
        run.close()

    recurse(1)
    threads = [threading.Thread(target=recurse, args=(0,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(2):
        with wk.start_run(tmp_path, pipeline="within", console=False) as run:
            logging.getLogger("x").warning("WITHIN")
        assert log_of(run).count("WITHIN") == 1
    outer.close()
    inner.close()
    assert log_of(outer).count("BOTH") == log_of(inner).count("BOTH") == 1
    assert log_of(runs[0]).count("DEPTH-0") == log_of(runs[0]).count("DEPTH-1") == 1
    for run in (outer, inner, *runs):
        assert log_of(run).rstrip().endswith("Run finished")


def typed(folder, text):
    """What a Python prompt leaves when this is typed into it, and the ends of each run."""
    done = subprocess.run(
        [sys.executable, "-i"],
        input=text,
        cwd=folder,
        env={**os.environ, "WATCHKEEPER_SIDECAR": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    ends = []
    for place in sorted(Path(folder, "runs").iterdir()):
        lines = [
            json.loads(line)
            for path in (place / ".watchkeeper/journal").iterdir()
            for line in path.open()
        ]
        ends.append(
            [
                (line["status"], line.get("error", ""))
                for line in lines
                if line["kind"] == "run_ended"
            ]
        )
    return done, ends


START = 'import watchkeeper as wk\nrun = wk.start_run("runs", pipeline="t", console=False)\n'


def test_at_a_prompt_the_run_left_behind_is_ended(tmp_path):
    """In an interactive session a start in the same place ends the run before it at once, and the
    last one at the exit.
    """
    done, ends = typed(
        tmp_path,
        START
        + "first = run\n"
        + START
        + "print('ended', first._recorder.has_ended, run._recorder.has_ended)\n",
    )
    assert "ended True False" in done.stdout
    assert ends == [[("finished", "")], [("finished", "")]]


@pytest.mark.parametrize("words", ["1 / 0\n", "raise KeyError('x')\n"])
def test_at_a_prompt_an_error_is_no_end(tmp_path, words):
    """An error at the prompt ends nothing; a run that nobody ends after it says so, and claims no
    success.
    """
    done, ends = typed(
        tmp_path, START + words + "print('goes on', run._recorder.has_ended)\n" + START
    )
    assert "goes on False" in done.stdout
    (finished,), (interrupted,) = sorted(ends)
    assert finished == ("finished", "")
    assert interrupted[0] == "interrupted" and "its last error was" in interrupted[1]
