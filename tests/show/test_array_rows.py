"""A job array in the tables: its own row, and one for each of its tasks."""

from __future__ import annotations

import json
from pathlib import Path

from tests.experiments import wk, write_experiment
from watchkeeper.query.rows import Row, exit_code
from watchkeeper.show.standing import counts_of, most_urgent_first, problems_of, totals

FAST = ("--poll", "0.05")
SCRIPT = """#!/bin/bash
#SBATCH --job-name=one
#SBATCH --array=0-2%2
[[ $SLURM_ARRAY_TASK_ID != 1 || -e ok ]] || { echo "no data" >&2; exit 3; }
mkdir -p artifacts/epoch_0 && echo weights > artifacts/epoch_0/model-$SLURM_ARRAY_TASK_ID.bin
"""


def array_experiment(folder: Path) -> Path:
    """An experiment whose only work is an array of three tasks, the second of which fails."""
    folder = write_experiment(folder, tasks=())
    (folder / "one" / "finetune.slurm").write_text(SCRIPT)
    return folder


def tasks_in(folder: Path, state: Path) -> dict[str, tuple[str, str, int, str]]:
    """Each task's key → its standing, state, attempt and job, as `status --json` has them."""
    rows = json.loads(wk("status", folder, "--json", state=state).stdout)["data"]["rows"]
    assert all(row["elapsed_s"] is not None for row in rows)
    return {
        row["key"]: (row["standing"], row["state"], row["attempt"], row["job_id"])
        for row in rows
        if row["array_task"] is not None
    }


def test_each_task_has_a_row_with_the_attempt_that_had_it_last(tmp_path: Path) -> None:
    """The tables of `run` and `status` show an array's tasks below it, each with its own state, and
    after a retry of one task the others keep the attempt in which they ended.
    """
    folder, state = array_experiment(tmp_path / "exp"), tmp_path / "state"
    done = wk("run", folder, *FAST, state=state)
    assert done.returncode == 1, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("one")]
    assert names[:4] == ["one", "one[0]", "one[1]", "one[2]"]
    assert "1 failed; 1 array of 3\n" in done.stdout
    assert tasks_in(folder, state) == {
        "one[0]": ("done", "COMPLETED", 1, "1_0"),
        "one[1]": ("failed", "FAILED", 1, "1_1"),
        "one[2]": ("done", "COMPLETED", 1, "1_2"),
    }
    (folder / "one" / "ok").touch()
    assert wk("run", folder, *FAST, "--retry-failed", state=state).returncode == 0
    assert tasks_in(folder, state)["one[1]"] == ("done", "COMPLETED", 2, "4_1")
    assert tasks_in(folder, state)["one[2]"] == ("done", "COMPLETED", 1, "1_2")


def row(key: str, standing: str, array_task: int | None = None) -> Row:
    """A row with what these tests need."""
    return Row(
        key=key,
        phase="preparation",
        run=key.partition("[")[0],
        task="",
        epoch=None,
        standing=standing,
        state=standing,
        array_task=array_task,
    )


def array(size: int, failed: int) -> list[Row]:
    """A failed array of which one task failed, and a run that is done, in front of it."""
    tasks = [row(f"b[{n}]", "failed" if n == failed else "done", n) for n in range(size)]
    return [row("a", "done"), row("b", "failed"), *tasks]


def test_an_array_counts_once() -> None:
    """Totals, counts, problems and the exit code take an array for one piece of work."""
    rows = array(10, failed=3)
    assert totals(rows) == "1 done, 1 failed; 1 array of 10"
    assert counts_of(rows) == {"done": 1, "failed": 1}
    assert [problem.where for problem in problems_of(rows, "exp")] == ["b"]
    done = [row("b", "done"), row("b[0]", "failed", 0)]
    assert exit_code(done, selected=["b", "b[0]"], problems=False) == 0


def test_tasks_stay_below_their_array_where_the_urgent_comes_first() -> None:
    """Sorting by urgency moves an array with all its tasks."""
    keys = [each.key for each in most_urgent_first(array(3, failed=1))]
    assert keys == ["b", "b[0]", "b[1]", "b[2]", "a"]
