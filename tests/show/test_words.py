"""`watchkeeper tag` and `watchkeeper note`."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import committed, keep, log, logs, open_findings
from tests.watch.test_keeper import run_pending
from watchkeeper.core import layout
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from watchkeeper.experiment import experiment as experiments
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import read
from watchkeeper.report.runlog.standing import standing
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main
from watchkeeper.watch.logs import run_logs


def call(*words):
    """The command's result."""
    return CliRunner().invoke(main, [str(word) for word in words])


def record(folder, **options):
    """A recorded run with one row."""
    with wk.start_run(folder=folder, pipeline="training", console=False, **options) as run:
        run.log(1, loss=0.5)
    return folder


def tags_of(*run):
    """The tags that the command says a run has."""
    return json.loads(call("tag", *run, "--json").stdout)["data"]["tags"]


def test_a_tag_is_given_shown_and_taken_away(tmp_path):
    """Tags of the program and of people are one set, and each change is said."""
    run = record(tmp_path / "r8", tags=["baseline"], name="first try")
    result = call("tag", run, "best", "paper")
    assert (result.exit_code, result.stdout) == (EXIT_OK, "r8: baseline, best, paper\n")
    assert call("tag", run, "--remove", "baseline").stdout == "r8: best, paper\n"
    assert tags_of(run) == ["best", "paper"]


def test_a_tag_that_is_there_writes_nothing(tmp_path):
    """Asking for the same again leaves the journal as it is."""
    run = record(tmp_path / "r8")
    call("tag", run, "best")
    before = sorted(os.listdir(run / layout.JOURNAL))
    assert "nothing was written" in call("tag", run, "best").stdout
    assert sorted(os.listdir(run / layout.JOURNAL)) == before


def test_what_cannot_be_a_tag_is_refused_and_nothing_is_written(tmp_path):
    """A newline, an empty text and a tag that is not there are errors with what to type."""
    run = record(tmp_path / "r8")
    before = sorted(os.listdir(run / layout.JOURNAL))
    for words in (["a\nb"], [""], ["x" * 61], ["--remove", "none"], ["--remove"]):
        result = call("tag", run, *words)
        assert result.exit_code == EXIT_USAGE and "Traceback" not in result.output
    assert sorted(os.listdir(run / layout.JOURNAL)) == before


def test_a_folder_within_a_run_names_the_run(tmp_path):
    """Words are added to the folder that was named, never to one that was guessed."""
    run = record(tmp_path / "r8")
    result = call("note", run / "logs", "x")
    assert result.exit_code == EXIT_USAGE and str(run) in result.stderr
    assert call("tag", tmp_path / "none", "x").exit_code == EXIT_USAGE


def test_another_users_run_is_only_read(tmp_path):
    """A folder that belongs to somebody else gets no file; its tags are shown."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    run = record(tmp_path / "r8", tags=["theirs"])
    os.chown(run / layout.JOURNAL, 12345, 12345)
    before = sorted(os.listdir(run / layout.JOURNAL))
    result = call("tag", run, "mine")
    assert result.exit_code == EXIT_FAILED and "belongs to" in result.stderr
    assert call("note", run, "mine").exit_code == EXIT_FAILED
    assert sorted(os.listdir(run / layout.JOURNAL)) == before
    assert tags_of(run) == ["theirs"]


def test_notes_are_kept_in_order_and_on_one_line(tmp_path):
    """A note is shown with its time and user; line ends became spaces."""
    run = record(tmp_path / "r8")
    assert call("note", run).stdout == "r8: no notes\n"
    assert call("note", run, "the loss\njumps").stdout == "noted of r8: the loss jumps\n"
    data = json.loads(call("note", run, "second", "--json").stdout)["data"]
    assert [note["text"] for note in data["notes"]] == ["the loss jumps", "second"]
    assert all(note["user"] for note in data["notes"])
    result = call("note", run, "two", "words")
    assert result.exit_code == EXIT_USAGE and "quotes" in result.stderr


def test_a_running_run_stays_running_while_it_is_tagged(tmp_path):
    """Words of another process change nothing of the run's own state, nor of what check says."""
    with wk.start_run(folder=tmp_path / "r8", pipeline="training", console=False) as run:
        run.log(1, loss=0.5)
        assert call("tag", tmp_path / "r8", "best").exit_code == EXIT_OK
        assert wk.load(tmp_path / "r8").state == "running"
    assert call("check", tmp_path / "r8").exit_code == EXIT_OK
    assert wk.load(tmp_path / "r8").state == "finished"


@pytest.fixture
def experiment(tmp_path):
    """An experiment that ran to its end, with a run log."""
    folder = committed(write_experiment(tmp_path / "exp"))
    assert keep(folder, FakeScheduler())
    return folder


def test_a_run_of_an_experiment_is_named_by_its_key(experiment):
    """Each key has its own tags, `.` is the experiment, and a wrong key names those near."""
    assert call("tag", experiment, "one", "best").stdout == "exp one: best\n"
    assert call("tag", experiment, ".", "night").stdout == "exp: night\n"
    assert tags_of(experiment, "one/clean/epoch0") == []
    assert tags_of(experiment, "one") == ["best"]
    result = call("tag", experiment, "ome", "best")
    assert result.exit_code == EXIT_USAGE and "did you mean one" in result.stderr
    assert "name a run of it" in call("tag", experiment).stderr


def test_a_note_becomes_a_line_of_the_run_log_that_says_nothing_of_the_job(experiment):
    """Status quotes it, an evaluation's with its key; no state and no lint follows it."""
    for words in (["one", "failed? loss 9.0 in the other run"], ["one/clean/epoch0", "too good"]):
        result = call("note", experiment, *words)
        assert result.exit_code == EXIT_OK and "run log" in result.stdout
    assert run_logs.rebuild(experiments.read(experiment), None) == 1
    lines = [node.text for node in log(experiment, "one.md").of("status")[0].nodes]
    assert "note: failed? loss 9.0 in the other run" in lines
    assert "note: one/clean/epoch0: too good" in lines
    document = read(File("one.md", ("2026-03-11_one.md",), logs(experiment)["one.md"]))
    assert standing(document).state == "completed"
    assert open_findings(experiment) == []


def test_a_watcher_brings_a_note_into_the_run_log(tmp_path):
    """A note written while somebody watches stands in the log at its end."""
    folder, fake = committed(write_experiment(tmp_path / "exp")), FakeScheduler()
    step = run_pending(fake)
    noted = []

    def turned(one):
        if not noted:
            noted.append(call("note", folder, "one", "watch the loss").exit_code)
        step(one)

    assert keep(folder, fake, turned)
    assert noted == [EXIT_OK]
    lines = [node.text for node in log(folder, "one.md").of("status")[0].nodes]
    assert "note: watch the loss" in lines
