"""How a recorder finds the attempt it works for."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import watchkeeper as wk
from watchkeeper.core.events import RunStarted
from watchkeeper.record import attempt as attempts
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.wrapper.render import render

JOB = """
import watchkeeper as wk
with wk.start_run(folder="run", pipeline="training") as run:
    run.log(1, loss=0.5)
"""


def claimed(folder, job_id):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "claim.1").write_text(
        json.dumps({"scheduler": "local", "job_id": job_id, "nonce": "n"})
    )
    return folder


def test_the_recorder_leaves_word_in_its_attempt(tmp_path, monkeypatch, events):
    """A run in a claimed attempt says where it is, and which attempt and job it is of."""
    folder = claimed(tmp_path / "attempt", "17")
    monkeypatch.setenv("WATCHKEEPER_ATTEMPT", str(folder))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with wk.start_run(tmp_path, pipeline="training") as run:
        pass
    told = events(run.folder)
    expected = {"folder": str(run.folder), "run_id": run.run_id, "writer": told[0].writer}
    assert expected == json.loads((folder / "recorder.json").read_text())
    (started,) = [event for event in told if isinstance(event, RunStarted)]
    assert (str(folder), "17") == (started.attempt, started.job_id)


@pytest.mark.parametrize(
    ("environ", "claim", "found"),
    [
        ({"SLURM_JOB_ID": "17"}, "17", True),
        ({"SLURM_JOB_ID": "17"}, 17, True),
        ({"WATCHKEEPER_JOB_ID": "17"}, "17", True),
        ({"SLURM_JOB_ID": "17", "WATCHKEEPER_JOB_ID": "17"}, "17", True),
        # sbatch --export=ALL from inside job 17: everything leaks but Slurm's own number
        ({"SLURM_JOB_ID": "18", "WATCHKEEPER_JOB_ID": "17"}, "17", False),
        ({"WATCHKEEPER_JOB_ID": "18"}, "17", False),
        ({"SLURM_JOB_ID": ""}, "", False),
        ({}, "17", False),
    ],
)
def test_the_attempt_counts_only_with_its_job(tmp_path, environ, claim, found):
    """WATCHKEEPER_ATTEMPT leaks into other jobs; only the one that the claim names works for the
    attempt.
    """
    folder = claimed(tmp_path, claim)
    attempt = attempts.find({"WATCHKEEPER_ATTEMPT": str(folder), **environ})
    assert found == (attempt is not None)


def test_a_claim_that_cannot_be_read_is_none(tmp_path):
    """Garbage in a claim, or an attempt that is gone, makes a run by hand of it, not an error."""
    (tmp_path / "claim.1").write_bytes(b"\x00garbage")
    (tmp_path / "claim.2").mkdir()
    for folder in (tmp_path, tmp_path / "gone"):
        assert attempts.find({"WATCHKEEPER_ATTEMPT": str(folder), "SLURM_JOB_ID": "17"}) is None


def test_a_later_claim_counts_too(tmp_path):
    """A requeued job's second claim is the same job's."""
    claimed(tmp_path, "17")
    (tmp_path / "claim.1").rename(tmp_path / "claim.2")
    (tmp_path / "claim.1").write_text("{}")
    assert attempts.find({"WATCHKEEPER_ATTEMPT": str(tmp_path), "SLURM_JOB_ID": "17"}) is not None


def test_a_word_that_cannot_be_left_harms_nothing(tmp_path, monkeypatch, caplog):
    """An attempt's folder that takes no file costs the watcher a hint, and the job nothing."""
    folder = claimed(tmp_path / "attempt", "17")
    (folder / "recorder.json").mkdir()
    monkeypatch.setenv("WATCHKEEPER_ATTEMPT", str(folder))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with wk.start_run(tmp_path, pipeline="training") as run:
        run.log(1, loss=1.0)
    assert "could not be left for the watcher" in caplog.text
    assert len(wk.read_rows(run.folder)[0]) == 1


def test_recorder_and_wrapper_meet_in_the_files(tmp_path):
    """A job under the real wrapper finds its attempt, though neither side imports the other."""
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    script = attempt / "script"
    script.write_text(f"#!{sys.executable}\n{JOB}")
    wrapper = attempt / "wk-token.sh"
    wrapper.write_bytes(
        render(
            read_head(script),
            attempt_folder=attempt,
            script=script,
            token="token",
            scheduler="local",
        )
    )
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM_", "WATCHKEEPER_"))
    }
    environ["WATCHKEEPER_JOB_ID"] = "5"
    subprocess.run(["bash", wrapper], cwd=tmp_path, env=environ, check=True, timeout=300)
    word = json.loads((attempt / "recorder.json").read_text())
    assert str(tmp_path / "run") == word["folder"]
    assert len(wk.read_rows(tmp_path / "run")[0]) == 1
