"""Which runs of W&B belong to a recorded run."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

import watchkeeper as wk
from tests.publish.wandb.files import begin, machine, row, write_run
from watchkeeper.core import processes
from watchkeeper.core.events import RunStarted
from watchkeeper.publish.wandb.belonging import Execution, belongs, ids_of, segments_of
from watchkeeper.publish.wandb.offline import machine_of, read_segment
from watchkeeper.publish.wandb.records import Machine

BEGAN = datetime(2026, 3, 11, 15, tzinfo=UTC)
SECOND = int(BEGAN.timestamp())


def execution(job_id: str = "") -> Execution:
    """An execution of an hour on the host `one`."""
    start = RunStarted(
        time=BEGAN, writer="w", seq=1, run_id="r", pipeline="p", folder="f", job_id=job_id
    )
    return Execution(writer="w", start=start, host="one", ended=BEGAN + timedelta(hours=1))


@pytest.mark.parametrize(
    ("started_s", "last_s", "is_ours"),
    [(-100, -1, False), (-100, 0, True), (10, 20, True), (3600, 3700, True), (3601, 3700, False)],
)
def test_only_what_ran_at_the_same_time_belongs(tmp_path, started_s, last_s, is_ours):
    """A run of W&B that ended before, or began after, is another attempt's."""
    last = row(0, {"a": 1}, SECOND + last_s)
    path = write_run(tmp_path, begin(started_s=SECOND + started_s), last)
    assert belongs(execution(), read_segment(path)) == is_ours


def test_a_run_without_a_start_belongs_to_nobody(tmp_path):
    """Without its time nothing says whose it is."""
    path = write_run(tmp_path, begin(started_s=SECOND))
    segment = read_segment(path)
    assert belongs(execution(), segment)
    segment.begin = type(segment.begin)(run_id="abc")
    assert not belongs(execution(), segment)


@pytest.mark.parametrize(
    ("where", "job_id", "is_ours"),
    [
        ({"host": "one"}, "", True),
        ({"host": "two"}, "", False),
        ({"host": "one.cluster"}, "", True),
        ({"slurm": {"job_id": "7"}}, "7", True),
        ({"slurm": {"job_id": "8"}}, "7", False),
        ({"slurm": {"job_id": "7"}}, "7_3", True),
        ({}, "7", True),
    ],
)
def test_a_run_elsewhere_or_of_another_job_is_anothers(tmp_path, where, job_id, is_ours):
    """What W&B says of the host and of the Slurm job outweighs the time."""
    path = write_run(tmp_path, begin(started_s=SECOND), machine(**where))
    assert belongs(execution(job_id), read_segment(path)) == is_ours


def test_where_a_run_ran_is_read_from_its_first_records(tmp_path):
    """Host, folder and job come from one file, in pieces; a file that is none says nothing."""
    later = machine(slurm={"job_id": "7", "restart_count": "1"})
    path = write_run(tmp_path, begin(), machine(host="h", root="/work"), later)
    assert machine_of(path) == Machine(host="h", folder="/work", slurm_job="7")
    path.write_text("no run")
    assert machine_of(path) == machine_of(tmp_path / "gone") == Machine()


@pytest.mark.parametrize("place", ["beside", "variable"])
def test_the_runs_of_a_recorded_run_are_looked_for_where_it_worked(tmp_path, monkeypatch, place):
    """`wandb/` in a folder above the run's, or where WANDB_DIR pointed; an older one is not it."""
    folder = tmp_path / "w" if place == "variable" else tmp_path
    monkeypatch.delenv("WANDB_DIR", raising=False)
    if place == "variable":
        monkeypatch.setenv("WANDB_DIR", str(folder))
    old = write_run(folder, begin("old", started_s=SECOND), name="old")
    os.utime(old, (SECOND, SECOND))
    run = wk.start_run(tmp_path / "artifacts" / "training", pipeline="training")
    now_s = int(datetime.now(UTC).timestamp()) + 1
    here = machine(host=processes.host())
    new = write_run(folder, begin("new", started_s=now_s), here, name="new")
    (folder / "wandb" / "broken-run-1").mkdir()
    (folder / "wandb" / "broken-run-1" / "run-x.wandb").write_text("no run")
    (by_writer,) = segments_of(run.folder).values()
    assert ids_of(by_writer) == ["new"] and by_writer[0].path == new
    run.close()


def test_a_folder_without_a_recorded_run_has_none(tmp_path):
    """Nothing was recorded, so nothing belongs to it."""
    assert segments_of(tmp_path) == {}
