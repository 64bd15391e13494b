"""What people do to a recorder: delete its folder, set the clock back, start it twice in one place,
hand it anything.
"""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.events import AnyEvent, RunEnded, Unknown
from watchkeeper.core.journal import read, verify_seals
from watchkeeper.record.writing import row_file as row_files


def events_of(folder: Path) -> list[AnyEvent | Unknown]:
    """All writers' events; the journal must be whole, and its seals hold."""
    journal = read(folder / ".watchkeeper/journal")
    assert journal.problems == []
    assert verify_seals(read(folder / ".watchkeeper/journal"))[1] == []
    return [event for own in journal.events.values() for event in own]


def test_a_deleted_folder_comes_back_with_all_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who deletes a run's folder under it loses no row, event or line: what the open files held is
    written again.
    """
    monkeypatch.setattr(row_files, "LOOK_S", 0.0)
    folder = tmp_path / "run"
    with wk.start_run(folder=folder, pipeline="training", code_folder=tmp_path) as run:
        for step in range(1, 11):
            run.log(step, loss=1 / step)
        shutil.rmtree(folder)
        for step in range(11, 21):
            run.log(step, loss=1 / step)
        with run.step("after"):
            pass
    rows, problems = wk.read_rows(folder)
    assert problems == []
    assert [row.step for row in rows] == list(range(1, 21))
    assert [type(event).__struct_config__.tag for event in events_of(folder)] == [
        "opened", "run_started", "step_started", "step_finished", "run_ended", "sealed",
    ]  # fmt: skip
    log = (folder / "logs/run.log").read_text()
    assert "Run started" in log and "Run finished" in log
    assert capsys.readouterr().err.count("was deleted while the run goes on") == 1


def test_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """With the wall clock set back by a day, rows keep their order and no duration is negative."""
    now = [datetime(2026, 3, 11, 15, tzinfo=UTC)]

    def clock() -> datetime:
        now[0] += timedelta(milliseconds=1)
        return now[0]

    with wk.start_run(folder=tmp_path, pipeline="training", clock=clock) as run:
        with run.step("train"):
            run.cadence(log_every=1, total=20)
            for step in run.track(range(1, 11)):
                run.log(step, loss=1.0)
            now[0] -= timedelta(days=1)
            for step in run.track(range(11, 21)):
                run.log(step, loss=1.0)
        with run.table("results") as table:
            table.append({"n": 1})
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    assert [row.step for row in rows] == list(range(1, 21))
    (ended,) = [event for event in events_of(tmp_path) if isinstance(event, RunEnded)]
    assert 0 <= ended.duration_s < 60
    assert wk.read_table(tmp_path / "results.csv")[0] == [{"n": 1}]


# Both wait for each other before they start, and log beside each other.
BESIDE = """
import logging, os, sys
import watchkeeper as wk
me, gate = sys.argv[2], sys.argv[3]
os.write(1, b"ready\\n")
sys.stdin.readline()
with wk.start_run(folder=sys.argv[1], pipeline="both", console=False) as run:
    with run.step("work"):
        for step in range(1, 301):
            run.log(step, me=int(me))
            logging.getLogger("both").warning("%s says %d", me, step)
    run.totals(me=int(me))
"""


@pytest.mark.parametrize("number", range(3))
def test_two_processes_in_one_folder(tmp_path: Path, number: int) -> None:
    """Two programs that record into one folder at a time overwrite nothing of each other: rows,
    events, lines.
    """
    del number
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BESIDE, tmp_path, str(me), "gate"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for me in range(2)
    ]
    try:
        for process in both:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        for process in both:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        assert [process.wait(60) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
            process.communicate()
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    for me in range(2):
        assert [row.step for row in rows if row.metrics["me"] == me] == list(range(1, 301))
    assert [event.metric_rows for event in events_of(tmp_path) if isinstance(event, RunEnded)] == [
        300,
        300,
    ]
    lines = [
        line for path in (tmp_path / "logs").iterdir() for line in path.read_text().splitlines()
    ]
    for me in range(2):
        assert [line.rpartition(" ")[2] for line in lines if f"{me} says" in line] == [
            str(n) for n in range(1, 301)
        ]
    assert sum(line.endswith("Run finished") for line in lines) == 2


def test_ten_thousand_names(tmp_path: Path) -> None:
    """Ten thousand metrics in one row, and one in each of ten thousand rows, come back."""
    wide = {f"layer.{n}/grad norm": n / 7 for n in range(10_000)}
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        run.cadence(log_every=1)
        run.log(0, **wide)
        for n in range(10_000):
            run.log(n, **{f"name {n}": n})
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    assert rows[0].metrics == wide
    assert [row.metrics for row in rows[1:]] == [{f"name {n}": n} for n in range(10_000)]


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "..", ".", "", "a/b", "a\0b", "x" * 5000, "line\nbreak", "\ud800"]
)
def test_names_never_leave_the_folder(tmp_path: Path, name: str) -> None:
    """Whatever a metric, step, table, loop or total is called, nothing is written outside the run's
    folder.
    """
    inside = tmp_path / "deep" / "down" / "run"
    with wk.start_run(folder=inside, pipeline="training", console=False) as run:
        run.log(1, **{name: 1.0})
        with run.step(name) as step:
            step.metrics(**{name: 1})
        with run.table(name) as table:
            table.append({name: 1})
        for _ in run.track([1], name):
            pass
        run.totals(**{name: 1})
    outside = [
        path for path in tmp_path.rglob("*") if path.is_file() and inside not in path.parents
    ]
    assert outside == []
    (ended,) = [event for event in events_of(inside) if isinstance(event, RunEnded)]
    assert (ended.status, ended.metric_rows, ended.lost_rows) == ("finished", 1, 0)


def _work(folder: str, queue: multiprocessing.Queue[str]) -> None:
    with wk.start_run(folder=folder, pipeline="worker", console=False) as run:
        for step in range(50):
            run.log(step, worker=1)
    queue.put(run.run_id)


def test_a_spawned_process_records_with_a_run_of_its_own(tmp_path: Path) -> None:
    """A process that was spawned, not forked, records into its parent's folder beside it."""
    context = multiprocessing.get_context("spawn")
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        queue: multiprocessing.Queue[str] = context.Queue()
        process = context.Process(target=_work, args=(str(run.folder), queue))
        process.start()
        for step in range(50):
            run.log(step, worker=0)
        other = queue.get(timeout=300)
        process.join(60)
    assert other != run.run_id
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    assert sorted(row.metrics["worker"] for row in rows) == [0] * 50 + [1] * 50


NOTEBOOK = """
import code, sys
shell = code.InteractiveInterpreter({"__name__": "__main__"})
for cell in sys.stdin.read().split("# cell"):
    shell.runcode(compile(cell, "<cell>", "exec"))
"""
CELLS = """
import logging, sys
import watchkeeper as wk
run = wk.start_run(folder=FOLDER, pipeline="notebook", config={"seed": 1})
# cell
for step in run.track(range(1, 4), "train"):
    run.log(step, loss=1 / step)
# cell
1 / 0
# cell
with run.step("evaluate") as step:
    step.metrics(accuracy=0.5)
# cell
run.close()
run.close()
# cell
run = wk.start_run(folder=FOLDER, pipeline="notebook")
run.log(4, loss=0.25)
run.close()
run.log(5, loss=0.2)
"""


def test_in_a_notebook_without_a_with(tmp_path: Path) -> None:
    """Cells, one of which fails, record into a run that `close` ends; the next is another, and
    nothing is said twice.
    """
    cells = CELLS.replace("FOLDER", repr(str(tmp_path / "run")))
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        input=cells,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "ZeroDivisionError" in done.stderr and done.stderr.count("Traceback") == 1
    rows, problems = wk.read_rows(tmp_path / "run")
    assert problems == []
    assert sorted(row.step for row in rows) == [1, 2, 3, 4]
    assert [
        event.status for event in events_of(tmp_path / "run") if isinstance(event, RunEnded)
    ] == ["finished"] * 2
    assert (tmp_path / "run/logs/run.log").read_text().count("Run finished") == 2
    assert done.stderr.count("Run finished") == 2


MANY = """
import pathlib, pytest, watchkeeper as wk
@pytest.mark.parametrize("number", range(12))
def test_one(number):
    root = pathlib.Path(__file__).with_name("runs")
    with wk.start_run(root, pipeline="xdist") as run:
        run.log(1, number=number)
        with run.step("one"):
            pass
    assert [row.metrics["number"] for row in wk.read_rows(run.folder)[0]] == [number]
"""


def test_under_pytest_xdist(tmp_path: Path) -> None:
    """In the workers of pytest-xdist each test records a run of its own, and the workers end as
    they should.
    """
    (tmp_path / "test_many.py").write_text(MANY)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        str(tmp_path / "test_many.py"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "12 passed" in done.stdout
    assert len(list((tmp_path / "runs").iterdir())) == 12


def test_logging_beside_a_busy_thread(tmp_path: Path) -> None:
    """A thread that only computes delays rows, and loses none."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            sum(range(1000))

    busy = threading.Thread(target=work)
    busy.start()
    try:
        with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
            for step in range(200):
                run.log(step, loss=0.5)
    finally:
        stop.set()
        busy.join()
    assert [row.step for row in wk.read_rows(tmp_path)[0]] == list(range(200))
