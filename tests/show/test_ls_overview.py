"""`watchkeeper ls` of folders with experiments."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.experiments import wk as command
from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.errors import EXIT_OK
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main

FAILS = 'case $PWD in *r16*) echo "MemoryError: step 40 of 120" >&2; exit 3;; esac'


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A night: an experiment in which one training failed, one that is done, and a sweep."""
    root = tmp_path_factory.mktemp("nights") / "night"
    failing = write_experiment(root / "cap", runs=("r4", "r16"), epochs=(0, 1), body=FAILS)
    keep(failing, FakeScheduler(), setting="none")
    keep(write_experiment(root / "good"), FakeScheduler(), setting="none")
    for number in range(3):
        options = {"pipeline": "training", "console": False, "sidecar": False}
        with wk.start_run(folder=root / "sweep" / f"s{number}", **options) as run:
            run.log(1, val_loss=0.5 - number / 10)
    return root


@pytest.fixture
def night(ended, tmp_path):
    """A copy of the night, for a test that changes it."""
    shutil.copytree(ended, tmp_path / "night")
    return tmp_path / "night"


def ls(*words):
    """The command's result."""
    result = CliRunner().invoke(main, ["ls", *(str(word) for word in words)])
    assert result.exit_code == EXIT_OK, result.output
    return result


def data(*words):
    """What it answers a program."""
    return json.loads(ls(*words, "--json", "--limit", 0).stdout)["data"]


def test_what_needs_a_person_comes_first_and_each_cause_once(ended):
    """The failed training with its error and what it blocks, then a line for each place."""
    lines = ls(ended).stdout.splitlines()
    assert lines[0] == "night: 1 failed, 2 blocked, 8 done"
    cause = "MemoryError: step 40 of 120, out of memory on the host; blocks 2 jobs"
    assert lines[2].startswith(f"x 1 training failed   {cause}   cap ")
    assert lines[3] == "" and lines[4].split() == ["name", "done", "best", "last"]
    table = [line.split() for line in lines[6:]]
    assert [row[0] for row in table] == ["cap", "sweep", "good"]
    assert table[0][1:7] == ["1", "failed,", "2", "blocked", "3/6", "0.5"]
    assert table[1][1:7] == ["3", "recorded", "runs", "3/3", "0.3", "val_loss"]
    assert table[2][1:4] == ["2/2", "0.5", "clean"]


def test_a_program_gets_needs_places_and_all_runs(ended):
    """The command that helps stands beside each need."""
    told = data(ended)
    (need,) = told["needs"]
    assert (need["kind"], need["count"], need["keys"]) == ("failed", 1, ["r16"])
    assert need["command"] == f"watchkeeper run {ended}/cap --retry-failed"
    assert [place["kind"] for place in told["places"]] == ["experiment", "runs", "experiment"]
    assert told["places"][1]["best"]["run"] == "s2"
    runs = {run["run"]: run["state"] for run in told["runs"]}
    assert runs["cap r16"] == "failed" and runs["cap r4"] == "finished" and len(runs) == 6


def test_a_filter_lists_runs_of_experiments_and_recorded_ones_alike(ended):
    """A line each, under what `tag` and `note` take."""
    assert [run["run"] for run in data(ended, "--state", "failed")["runs"]] == ["cap r16"]
    by_accuracy = data(ended, "--where", "clean accuracy>=0.5")["runs"]
    assert {run["run"] for run in by_accuracy} == {"cap r4", "good one"}
    assert by_accuracy[0]["metrics"]["clean accuracy"]["best"] == 0.5
    assert data(ended, "--state", "failed")["needs"] == []


def test_a_tag_of_a_run_of_an_experiment_finds_it(tmp_path):
    """A run's tag finds the run, an evaluation's the evaluation."""
    folder = write_experiment(tmp_path / "exp")
    keep(folder, FakeScheduler(), setting="none")
    for words in (["one", "best"], ["one/clean/epoch0", "odd"]):
        tagged = CliRunner().invoke(main, ["tag", str(folder), *words])
        assert tagged.exit_code == EXIT_OK
    assert [run["run"] for run in data(folder, "--tag", "best")["runs"]] == ["exp one"]
    (run,) = data(folder, "--tag", "odd")["runs"]
    assert (run["folder"], run["key"]) == (str(folder), "one/clean/epoch0")


def test_a_tag_of_an_experiment_finds_all_its_runs(tmp_path):
    """It stands in the experiment's line, with the experiment's last note."""
    folder = write_experiment(tmp_path / "good")
    keep(folder, FakeScheduler(), setting="none")
    for words in (["tag", "week 9"], ["note", "before the new data"]):
        said = CliRunner().invoke(main, [words[0], str(folder), ".", words[1]])
        assert said.exit_code == EXIT_OK
    assert [run["run"] for run in data(tmp_path, "--tag", "week 9")["runs"]] == ["good one"]
    (line,) = [line for line in ls(tmp_path).stdout.splitlines() if line.startswith("good")]
    assert line.endswith("week 9  before the new data")


def test_what_a_jobs_recorder_left_belongs_to_the_jobs_line(tmp_path):
    """The run of an experiment and its recorded run are one line, with the recorder's figures."""
    body = (
        f"{sys.executable} -c \"import watchkeeper as wk; r = wk.start_run('rec', pipeline='p', "
        "sidecar=False, tags=['mine']); r.log(5, loss=0.25); r.close()\""
    )
    folder = write_experiment(tmp_path / "exp", body=body)
    done = command("run", folder, "--runs", "one", "--poll", "0.05", state=tmp_path / "state")
    assert done.returncode == EXIT_OK, done.stderr
    runs = data(folder)["runs"]
    (own,) = [run for run in runs if run["key"]]
    assert own["metrics"]["loss"]["last"] == 0.25 and own["tags"] == ["mine"]
    assert own["step"] == 5


def test_jobs_that_nobody_watches_are_said(tmp_path):
    """What runs or waits without a watcher needs a person."""
    folder = write_experiment(tmp_path / "exp", body="sleep 300")
    state = tmp_path / "state"
    assert command("submit", folder, state=state).returncode == EXIT_OK
    try:
        (need,) = data(tmp_path)["needs"]
        assert need["kind"] == "unwatched" and need["command"] == f"watchkeeper run {folder}"
        assert "nobody watches" in ls(tmp_path).stdout
    finally:
        command("cancel", folder, state=state)


def test_an_experiment_that_cannot_be_read_is_a_problem_and_the_rest_is_listed(night):
    """One broken summary does not hide the others."""
    (night / "cap" / "experiment_summary.yaml").write_text("experiment: [")
    result = ls(night)
    assert str(night / "cap") in result.stderr
    assert "is a copy of" in result.stderr
    assert "good" in result.stdout and "sweep" in result.stdout


def test_status_answers_a_program_with_the_needs_of_the_page(ended):
    """`needs`, `running`, `waiting` and `watched` stand beside the rows that were always there."""
    result = CliRunner().invoke(main, ["status", str(ended / "cap"), "--json", "--limit", "0"])
    told = json.loads(result.stdout)["data"]
    (need,) = told["needs"]
    assert (need["line"], need["blocks"], need["cause"]) == (
        "1 training failed",
        2,
        "MemoryError: step 40 of 120",
    )
    assert need["command"] == f"watchkeeper run {ended}/cap --retry-failed"
    assert told["running"] == told["waiting"] == []
    assert told["watched"]["alive"] is False and told["watched"]["since"]
    rows = {row["key"]: row for row in told["rows"]}
    assert rows["r16"]["error"] == "MemoryError: step 40 of 120" and rows["r4"]["error"] == ""


def test_status_of_a_part_answers_with_the_needs_of_that_part(ended):
    """What the rest needs is left out, as its rows are."""
    words = ["status", str(ended / "cap"), "--runs", "r4", "--json", "--limit", "0"]
    told = json.loads(CliRunner().invoke(main, words).stdout)["data"]
    assert told["needs"] == [] and {row["run"] for row in told["rows"]} == {"r4"}
