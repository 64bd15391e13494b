"""Processes that work together: one records, the others beat, and all agree on the folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import watchkeeper as wk
from watchkeeper.core.events import RunEnded, RunStarted, TableSealed
from watchkeeper.record import ranks
from watchkeeper.record.writing.tables import Table

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]

# In the first execution rank 1 fails at step 4, and rank 0 waits to be stopped; the second one ends
# well.
TRAINING = """
import json, os, sys, time
import watchkeeper as wk
rank, again = int(os.environ["RANK"]), os.environ["TORCHELASTIC_RESTART_COUNT"] != "0"
def say(*words):
    os.write(1, json.dumps(words).encode() + b"\\n")
with wk.start_run(sys.argv[1], pipeline="training", console=False) as run:
    with run.table("results", key="n") as table, run.step("train") as step:
        for n in range(1, 7):
            skipped = n in table
            say(rank, again, n, skipped)
            if not skipped:
                table.append({"n": n})
            run.log(n, loss=1 / n)
            if not again and n == 4:
                if rank == 1:
                    while not os.path.exists(sys.argv[2]):
                        time.sleep(0.01)
                    raise RuntimeError("a broken GPU")
                while not run.stop_requested:
                    open(sys.argv[2], "w").close()
                    time.sleep(0.01)
                break
        path = step.save("model.txt", lambda path: path.write_text(f"by rank {rank}"))
    say(rank, str(run.folder), str(path))
"""


def test_two_ranks_and_an_elastic_restart(tmp_path, events):
    """Under torchrun both ranks know the same folder and skip the same work, rank 0 alone writes,
    rank 1 beats; a restart by torchrun is a second execution of the same run.
    """
    script = tmp_path / "train.py"
    script.write_text(TRAINING)
    done = subprocess.run(
        [
            *TORCHRUN,
            "--nproc-per-node",
            "2",
            "--max-restarts",
            "1",
            script,
            tmp_path / "runs",
            tmp_path / "waits",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.name != ".watchkeeper"]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    skipped = {
        rank: [words[3] for words in said if words[:2] == [rank, True] and len(words) == 4]
        for rank in (0, 1)
    }
    assert skipped[0] == [n <= 4 for n in range(1, 7)]
    assert skipped[1] == skipped[0]
    ends = [words for words in said if len(words) == 3]
    assert sorted(ends)[-2:] == [
        [rank, str(folder), str(folder / "00_train/model.txt")] for rank in (0, 1)
    ]
    assert (folder / "00_train/model.txt").read_text() == "by rank 0"

    told = sorted(events(folder), key=lambda event: event.time)
    started = [event for event in told if isinstance(event, RunStarted)]
    assert [(event.execution, event.world_size, event.run_id) for event in started] == [
        (1, 2, folder.name),
        (2, 2, folder.name),
    ]
    assert [event.status for event in told if isinstance(event, RunEnded)] == [
        "interrupted",
        "finished",
    ]
    rows, problems = wk.read_rows(folder)
    assert problems == []
    assert [row.step for row in sorted(rows, key=lambda row: row.time)] == [
        1,
        2,
        3,
        4,
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert [row["n"] for row in wk.read_table(folder / "results.csv")[0]] == [1, 2, 3, 4, 5, 6]
    assert [event.complete for event in told if isinstance(event, TableSealed)] == [False, True]
    (beat,) = (folder / ".watchkeeper/heartbeats").iterdir()
    assert (
        beat.name == "rank-1"
        and "rank 1 of 2, pid " in beat.read_text()
        and beat.read_text().rstrip().endswith("ended")
    )
    assert (folder / "logs/run.log").read_text().count(
        "Processes: 2, of which this one records"
    ) == 2


SOLO = """
import subprocess, sys
import watchkeeper as wk
with wk.start_run(sys.argv[1], pipeline="solo", console=False) as run:
    run.log(1, loss=0.5)
if len(sys.argv) == 2:
    subprocess.run([sys.executable, sys.argv[0], sys.argv[1] + "-child", "child"], check=True)
"""


def test_what_a_rank_starts_is_no_rank(tmp_path):
    """A program that a rank starts inherits its environment, and yet records for itself; each once,
    from both ranks.
    """
    script = tmp_path / "solo.py"
    script.write_text(SOLO)
    command = [*TORCHRUN, "--nproc-per-node", "2", script, tmp_path / "runs"]
    subprocess.run(
        command,
        check=True,
        timeout=300,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    runs = [path for path in (tmp_path / "runs").iterdir() if path.name != ".watchkeeper"]
    children = list((tmp_path / "runs-child").iterdir())
    assert (len(runs), len(children)) == (1, 2)
    assert [len(wk.read_rows(child)[0]) for child in children] == [1, 1]


TORCH = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "j",
    "MASTER_ADDR": "n1",
}
SRUN = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_ID": "0", "SLURM_JOB_ID": "7"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "x", "WORLD_SIZE": "2"}, None),
        ({"RANK": "2", "WORLD_SIZE": "2"}, None),
        ({"RANK": "1"}, None),
        (TORCH, (1, 4, 2, 1)),
        (TORCH | {"TORCHELASTIC_RESTART_COUNT": "2"}, (1, 4, 2, 3)),
        (
            {"RANK": "5", "WORLD_SIZE": "8", "SLURM_JOB_NUM_NODES": "2", "MASTER_ADDR": "n1"},
            (5, 8, 4, 1),
        ),
        (SRUN | {"SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, (3, 8, 4, 1)),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
    ],
)
def test_who_this_process_is(environ, expected):
    """The launchers' variables are read, each in its own terms; a batch script's are no rank."""
    found = ranks.find(environ)
    assert (found and tuple(found)[:4]) == expected


def test_a_group_is_told_from_another():
    """Members of a group have it in common over an elastic restart; another job, requeue or step is
    another group.
    """

    def group(**changed):
        found = ranks.find(
            TORCH
            | {"TORCHELASTIC_RESTART_COUNT": "0", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
            | changed
        )
        assert found is not None
        return found.group

    assert group(RANK="3", TORCHELASTIC_RESTART_COUNT="1", MASTER_PORT="4711") == group()
    others = [
        group(SLURM_JOB_ID="8"),
        group(SLURM_RESTART_COUNT="1"),
        group(SLURM_STEP_ID="1"),
        group(MASTER_ADDR="n2"),
    ]
    assert len({group(), *others}) == 5


def test_whoever_comes_first_gives_the_run_its_id(tmp_path, monkeypatch):
    """The first, second, … run of each process of a group have an id each, which all take, whoever
    comes first.
    """
    monkeypatch.setattr(ranks, "_asked", ranks.Counter())
    monkeypatch.setenv(ranks.MARK, "")
    one = ranks.Rank(0, 2, 2, 1, "group")
    ids = [ranks.agreed_run_id(tmp_path, one, f"id-{n}") for n in range(3)]
    ranks._asked.clear()
    assert (
        [ranks.agreed_run_id(tmp_path, one, "late") for _ in range(3)]
        == ids
        == ["id-0", "id-1", "id-2"]
    )
    assert ranks.agreed_run_id(tmp_path, one._replace(group="other"), "other") == "other"


def test_all_ranks_skip_the_same_work(tmp_path, monkeypatch):
    """A rank that looks at a table after rank 0 has added to it skips what was measured before, and
    nothing more.
    """
    monkeypatch.setattr(ranks, "_asked", ranks.Counter())

    def agree(rows):
        return int(ranks.agreed(tmp_path, "group", "rows", str(rows)))

    with (
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("results", key="n") as earlier,
    ):
        earlier.append({"n": 1})
    first = Table(tmp_path, "results", key="n", agree=agree)
    first.append({"n": 2, "new": 1})
    ranks._asked.clear()
    other = Table(tmp_path, "results", key="n", agree=agree, records=False)
    assert [n in other for n in (1, 2)] == [True, False]
    assert not other.append({"n": 2}) and 2 in other
    other.close()
    first.close()
    assert [row["n"] for row in wk.read_table(tmp_path / "results.csv")[0]] == [1, 2]


WORKERS = """
import sys
import torch
from torch.utils.data import DataLoader, Dataset
import watchkeeper as wk

class Squares(Dataset):
    def __init__(self, run):
        self.run = run
    def __len__(self):
        return 8
    def __getitem__(self, n):
        self.run.log(n, worker=1)
        with self.run.step("fetch"):
            return torch.tensor(n * n)

with wk.start_run(folder=sys.argv[1], pipeline="training", console=False) as run:
    for step, batch in enumerate(DataLoader(Squares(run), batch_size=2, num_workers=2), 1):
        run.log(step, total=batch.sum())
    try:
        list(DataLoader(Squares(run), num_workers=1, multiprocessing_context="spawn"))
    except TypeError as error:
        print(error)
"""


def test_workers_that_fetch_data_record_nothing(tmp_path, events):
    """A DataLoader's workers leave no file, row or step, though the run is in their hands: one of
    them says so, and the end counts their rows. A run that would have to be sent to one says what
    to do instead.
    """
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    assert [(row.step, row.metrics) for row in rows] == [
        (1, {"total": 1}),
        (2, {"total": 13}),
        (3, {"total": 41}),
        (4, {"total": 85}),
    ]
    assert len(list((tmp_path / ".watchkeeper/journal").iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != ".watchkeeper"] != []
    assert not list(tmp_path.glob("*fetch*"))
    assert (
        done.stderr.count(
            "a process that loads data does not record: metric rows, and whatever else"
        )
        == 1
    )
    assert [event.left_out for event in events(tmp_path) if isinstance(event, RunEnded)] == [
        {"metric rows": 8}
    ]
    assert (
        "a run stays in its process" in done.stdout
        and "wk.start_run(folder=run.folder" in done.stdout
    )
