"""A later version's journal: no command reads it as its own, and none writes beside it."""

from __future__ import annotations

import json
import sys

import pytest

import watchkeeper
from tests.core.test_newer_journal import newer_file
from tests.experiments import wk, write_experiment
from watchkeeper.core.errors import NewerJournalError
from watchkeeper.core.events import Intended, Submitted
from watchkeeper.core.journal import Writer

JOURNAL = ".watchkeeper/journal"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """An experiment that a later version has begun."""
    root = tmp_path_factory.mktemp("newer")
    folder = write_experiment(root / "exp")
    (folder / ".watchkeeper").mkdir()
    newer_file(folder / JOURNAL)
    return folder


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "words",
    [
        ["run", "."],
        ["submit", "."],
        ["watch", "."],
        ["plan", "."],
        ["status", "."],
        ["check", "."],
        ["log", "."],
        ["rebuild", "."],
        ["cancel", "."],
        ["compare", "."],
        ["trace", ".", "one"],
        ["reproduce", ".", "one"],
    ],
    ids=lambda words: words[0],
)
def test_each_command_refuses_a_newer_journal(experiment, tmp_path, words):
    """Each command ends with code 2, names the version that can read it, and changes nothing."""
    before = files_of(experiment)
    arguments = [str(experiment) if word == "." else word for word in words]
    done = wk(*arguments, state=tmp_path / "state")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{experiment / JOURNAL}/later.jsonl: the journal has schema 2" in done.stderr
    assert "python -m pip install 'watchkeeper>=9.1.0rc2'" in done.stderr
    assert files_of(experiment) == before


def test_no_run_starts_in_a_folder_of_a_later_version(tmp_path):
    """`start_run` and `exec` are refused before anything is written, and the command is not
    started.
    """
    (tmp_path / "run/.watchkeeper").mkdir(parents=True)
    newer_file(tmp_path / "run" / JOURNAL)
    before = files_of(tmp_path)
    with pytest.raises(NewerJournalError):
        watchkeeper.start_run(folder=tmp_path / "run", pipeline="p", console=False, sidecar=False)
    create = [sys.executable, "-c", f"open({str(tmp_path / 'made')!r}, 'w')"]
    done = wk("exec", "--folder", tmp_path / "run", "--", *create, state=tmp_path / "state")
    assert done.returncode == 2 and "watchkeeper>=9.1.0rc2" in done.stderr
    assert files_of(tmp_path) == before


def test_a_run_that_is_under_way_is_not_stopped_by_a_newer_file(tmp_path):
    """A later version that records into the same folder does not break into a run that goes on
    there.
    """
    with watchkeeper.start_run(folder=tmp_path, pipeline="p", console=False, sidecar=False) as run:
        newer_file(tmp_path / JOURNAL)
        run.log(1, loss=0.5)
        run.table("raw").append({"a": 1})
        with run.step("00_more"):
            run.log(2, loss=0.4)
    assert [row.metrics["loss"] for row in watchkeeper.read_rows(tmp_path)[0]] == [0.5, 0.4]


def test_status_names_a_job_whose_recorder_is_newer(tmp_path):
    """A job's recorder of a later version costs nothing but what it wrote: `status` shows the job,
    and says so.
    """
    folder = write_experiment(tmp_path / "exp")
    attempt = folder / ".watchkeeper/runs/one/1"
    attempt.mkdir(parents=True)
    (tmp_path / "recorded/.watchkeeper").mkdir(parents=True)
    newer_file(tmp_path / "recorded" / JOURNAL)
    word = {"folder": str(tmp_path / "recorded"), "run_id": "r", "writer": "later"}
    (attempt / "recorder.json").write_text(json.dumps(word))
    writer = Writer(folder / JOURNAL, "test")
    fields = {"key": "one", "phase": "preparation", "attempt": 1}
    writer.write(Intended, **fields, token="t", script="one/finetune.slurm", script_sha256="0")
    writer.write(Submitted, **fields, job_id="1", scheduler="local", command="x")
    writer.close()
    done = wk("status", folder, state=tmp_path / "state")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "warning: one: " in done.stderr and "watchkeeper>=9.1.0rc2" in done.stderr
