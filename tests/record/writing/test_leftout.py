"""What a run is handed and cannot keep: said once, on stderr whatever else goes on, and counted."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys

import pytest

import watchkeeper as wk
from watchkeeper.core.events import RunEnded
from watchkeeper.record.writing.leftout import LeftOut, words_of

ENDED = "it has ended: {}, and whatever else is handed to it now, are not kept"


def run_program(folder, code, *, env=None):
    """The program's standard error, split into lines."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "WATCHKEEPER_SIDECAR": "0", **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


AFTER = """
import logging, sys
import watchkeeper as wk
{setup}
run = wk.start_run(folder="run", pipeline="b", console={console})
run.log(1, loss=1.0)
run.close()
for step in range(2, 102):
    run.log(step, loss=1.0)
run.checkpoint(sys.executable)
"""
SETUPS = {
    "alone": "",
    "an older run is open": "older = wk.start_run(folder='older', pipeline='a')",
    "logging goes to a file": "logging.basicConfig(filename='own.log')",
    "logging goes to stderr": "logging.basicConfig()",
    "logging is switched off": "logging.disable(logging.CRITICAL)",
}


@pytest.mark.parametrize("console", [True, False])
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_rows_after_the_end_are_said_once_and_counted(tmp_path, setup, console):
    """Rows after `close` reach nobody's files: one warning on stderr, whoever else logs, and the
    count when the program ends; nothing of it stands in another run's log.
    """
    lines = run_program(tmp_path, AFTER.format(setup=setup, console=console))
    assert sum(ENDED.format("metric rows") in line for line in lines) == 1
    assert lines[-1].endswith(
        "handed to it after its end, and not kept: metric rows 100, checkpoints 1"
    ) or ("older" in setup and any("metric rows 100, checkpoints 1" in line for line in lines))
    assert [row.step for row in wk.read_rows(tmp_path / "run")[0]] == [1]
    for path in tmp_path.glob("*/logs/run.log"):
        assert "has ended" not in path.read_text()


LATE = {
    "metric rows": lambda run: run.log(2, loss=1.0),
    "checkpoints": lambda run: run.checkpoint(__file__),
    "outputs": lambda run: run.output(__file__),
    "totals": lambda run: run.totals(a=1),
    "examples": lambda run: run.example(1, prompt="p"),
    "cadences": lambda run: run.cadence(log_every=1),
    "table rows": lambda run: run.table("late").append({"a": 1}),
    "progress": lambda run: list(run.track(range(3))),
    "requests to stop": lambda run: run.request_stop("late"),
}


@pytest.mark.parametrize("what", LATE)
def test_whatever_is_handed_to_a_run_that_ended_is_said(tmp_path, capfd, monkeypatch, what):
    """Each method of an ended run returns, says once that nothing is kept, and changes no file of
    the run.
    """
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        pass
    monkeypatch.setattr("watchkeeper.record.display.progress.SHORT_S", 0.0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    LATE[what](run)
    LATE[what](run)
    assert capfd.readouterr().err.count(ENDED.format(what)) == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_step_after_the_end_still_does_its_work(tmp_path, capfd):
    """The user's block runs and its artifact is written, though the run keeps nothing of it."""
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        pass
    with run.step("late") as step:
        step.rows(read=1)
        path = step.save("a.txt", lambda path: path.write_text("kept"))
    assert path is not None and path.read_text() == "kept"
    assert not (path.parent / "step_manifest.json").exists()
    assert ENDED.format("steps") in capfd.readouterr().err


def test_an_open_table_takes_no_row_after_the_end(tmp_path, capfd):
    """A table that the end has sealed refuses, and the warning is the run's own, once."""
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        table = run.table("results")
        assert table.append({"n": 1})
    assert not table.append({"n": 2}) and not table.append({"n": 3})
    err = capfd.readouterr().err
    assert err.count(ENDED.format("table rows")) == 1 and "was not taken" not in err
    assert [row["n"] for row in wk.read_table(tmp_path / "results.csv")[0]] == [1]


def test_rows_for_a_sealed_table_are_counted_in_the_end(tmp_path, events):
    """A table closed while the run goes on: what comes after is counted in the run's end."""
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        with run.table("results") as table:
            table.append({"n": 1})
        table.append({"n": 2})
    (ended,) = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    assert ended.left_out == {"table rows": 1}
    assert "Left out: table rows 1" in (tmp_path / "logs/run.log").read_text()
    assert json.loads((tmp_path / "run_manifest.json").read_text())["left_out"] == {"table rows": 1}


def test_a_log_of_the_users_gets_the_warning_too(tmp_path, caplog, capfd):
    """A handler of the user's hears what comes after the end, as it hears what comes before."""
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        pass
    with caplog.at_level(logging.WARNING):
        run.log(1, loss=1.0)
    assert (
        ENDED.format("metric rows") in caplog.text
        and ENDED.format("metric rows") in capfd.readouterr().err
    )


FORKED = """
import os
import watchkeeper as wk
with wk.start_run(folder="run", pipeline="training", console=False) as run:
    run.log(1, loss=1.0)
    child = os.fork()
    if not child:
        run.close()
        run.log(2, loss=1.0)
        os._exit(0)
    os.waitpid(child, 0)
    run.log(3, loss=1.0)
child = os.fork()
if not child:
    run.log(4, loss=1.0)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_forked_children_after_the_end_say_it(tmp_path):
    """Of children that closed their part, or were forked after the end, one says that rows are not
    kept.
    """
    lines = run_program(tmp_path, FORKED)
    assert sum(ENDED.format("metric rows") in line for line in lines) == 1
    assert [row.step for row in wk.read_rows(tmp_path / "run")[0]] == [1, 3]


FULL = """
import os, resource
import watchkeeper as wk
with wk.start_run(folder="run", pipeline="training", console=False) as run:
    run.log(1, loss=1.0)
    children = [os.fork() for _ in range(1)]
    if not children[0]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
        for step in range(5):
            run.log(step, loss=1.0)
        os._exit(0)
    os.waitpid(children[0], 0)
"""


def test_rows_that_a_forked_child_loses_are_counted_in_the_end(tmp_path, events):
    """A child writes no end of its own: what it could not write is counted in its parent's."""
    run_program(tmp_path, FULL)
    ended = [event for event in events(tmp_path / "run") if isinstance(event, RunEnded)]
    assert [(event.metric_rows, event.lost_rows, event.left_out) for event in ended] == [(1, 5, {})]


def test_counts_of_many_processes_add_up(tmp_path):
    """What children count reaches the process that began, each kind apart, and is taken once."""
    counts = LeftOut()
    counts.add("metric rows", 2)
    counts.before_fork()
    for _ in range(3):
        child = os.fork()
        if not child:
            counts.after_fork()
            counts.add("metric rows", 10)
            counts.add("what nobody has heard of")
            os._exit(0)
        os.waitpid(child, 0)
    assert counts.take() == {"metric rows": 32, "others": 3}
    assert counts.take() == {}


@pytest.mark.parametrize(
    ("counts", "words"),
    [({}, ""), ({"metric rows": 1_200, "totals": 0, "outputs": 1}, "metric rows 1,200, outputs 1")],
)
def test_counts_are_said_in_words(counts, words):
    """Each kind with its number; what there is none of is not said."""
    assert words_of(counts) == words


RANK = """
import os, time
import watchkeeper as wk
with wk.start_run("runs", pipeline="training", console=False) as run:
    for step in range(1, 7):
        run.log(step, loss=1 / step)
    print(run.folder)
"""


def test_other_ranks_say_once_that_they_do_not_record(tmp_path):
    """Of three ranks that log, one says that only rank 0 records, and each one's last heartbeat
    counts what it left out.
    """
    script = tmp_path / "train.py"
    script.write_text(RANK)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3", script]
    # Nothing of ours that other tests in this process have left in the environment.
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER")
    }
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300,
        env=clean | {"OMP_NUM_THREADS": "1", "WATCHKEEPER_SIDECAR": "0"},
    )  # fmt: skip
    said = re.findall(
        r"rank [12] of 3 \(rank 0 does\) does not record: [a-z ]+, and whatever else", done.stderr
    )
    assert len(said) == 1, done.stderr
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.name != ".watchkeeper"]
    beats = sorted((folder / ".watchkeeper/heartbeats").glob("rank-*"))
    assert [path.name for path in beats] == ["rank-1", "rank-2"]
    assert all(
        path.read_text().rstrip().endswith("not kept: metric rows 6; ended") for path in beats
    )
