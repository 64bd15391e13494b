"""The rows of a recorded run's folder, by execution."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import watchkeeper as wk
from watchkeeper.runfolder.executions import standing
from watchkeeper.runfolder.metric_rows import executions_of
from watchkeeper.watch.health.vitals import Recorded
from watchkeeper.watch.outcome.learned import of as learned_of
from watchkeeper.watch.outcome.losses import Tried


def train(folder: Path, first: int, last: int, pipeline: str = "train", **figures: float) -> None:
    """One execution, in a process of its own, which logs these figures at these steps."""
    program = (
        "import sys, watchkeeper as wk\n"
        f"with wk.start_run(folder={str(folder)!r}, pipeline={pipeline!r}, console=False, "
        "sidecar=False) as run:\n"
        f"    for step in range({first}, {last} + 1): run.log(step, **{figures!r})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder.parent)


def steps(folder: Path) -> list[list[float | None]]:
    """The steps that count, execution by execution."""
    return [[row.step for row in rows] for rows in standing(executions_of(folder))]


def test_each_process_that_starts_a_run_is_an_execution(tmp_path):
    """Three starts in one folder, the second resumed and the third an evaluation, are told apart by
    the journal.
    """
    folder = tmp_path / "run"
    train(folder, 1, 5, loss=2.0)
    train(folder, 4, 7, loss=1.0)
    train(folder, 2, 2, pipeline="evaluation", loss=9.0)
    assert steps(folder) == [[1, 2, 3], [4, 5, 6, 7], [2]]


def test_forks_are_part_of_their_execution(tmp_path):
    """A forked child logs into a file of its own, and is no later execution that would supersede
    its parent.
    """
    with wk.start_run(
        folder=tmp_path / "run", pipeline="train", console=False, sidecar=False
    ) as run:
        run.log(1, loss=1.0)
        run.log(2, loss=1.0)
        child = os.fork()
        if not child:
            run.log(1, loss=3.0)
            os._exit(0)
        os.waitpid(child, 0)
    (execution,) = executions_of(tmp_path / "run")
    assert [(row.step, row.metrics["loss"]) for row in execution.rows] == [
        (1, 1.0),
        (2, 1.0),
        (1, 3.0),
    ]


def test_rows_without_a_journal_and_damaged_lines_are_read(tmp_path):
    """Files alone are one execution; a torn line, a hole of NULs and text that is no figure cost no
    other row.
    """
    rows = tmp_path / ".watchkeeper/metrics"
    rows.mkdir(parents=True)
    (rows / "a.jsonl").write_bytes(
        b'{"time":"2026-01-01T00:00:00Z","step":1,"loss":"NaN","note":"x"}\n'
        b'\0\0{"time":"2026-01-01T00:00:01Z","step":2,"loss":1}\n{"step":3,"lo\n[1]\n\xff\n'
    )
    time = '{"time":"2026-01-01T00:00:00Z"'
    (rows / "b.jsonl").write_text(
        f'{time},"step":2,"loss":1e400}}\n{time},"step":{"9" * 400},"loss":2}}\n'
    )
    (execution,) = executions_of(tmp_path)
    assert [row.step for row in execution.rows] == [1, 2, None]
    assert executions_of(tmp_path / "none") == []


def test_what_is_learned_is_of_the_rows_that_count(tmp_path):
    """First, last and final step come from what stands, and the steps done again are told with
    their difference.
    """
    folder = tmp_path / "run"
    train(folder, 1, 10, loss=4.0)
    train(folder, 6, 8, loss=2.0)
    learned = learned_of(folder, [Tried(recorder=folder)], [])
    assert (learned.first_train_loss, learned.last_train_loss, learned.final_step) == (4.0, 2.0, 8)
    (repeated,) = learned.repeated
    assert (repeated.first, repeated.last, repeated.difference, repeated.faithful) == (
        6,
        8,
        2.0,
        False,
    )


def test_a_watcher_shows_where_the_newest_execution_is(tmp_path):
    """An earlier execution's later step, and an evaluation after it, are not where the run is, nor
    an old status.
    """
    folder = tmp_path / "run"
    train(folder, 1, 50, loss=4.0)
    (folder / "status").mkdir(exist_ok=True)
    status = folder / "status/training_status.json"
    status.write_text('{"step": 50, "loss": 4.0}')
    os.utime(status, (1, 1))
    train(folder, 20, 25, loss=2.0)
    train(folder, 40, 40, pipeline="evaluation", accuracy=0.5)
    recorded = Recorded(folder)
    recorded.look()
    assert (recorded.position.step, recorded.position.loss) == (25, "2.0")
