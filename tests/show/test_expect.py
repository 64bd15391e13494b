"""What is expected is written down before the first submission, and shown wherever results are."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tests.core.chain.forge import rewrite
from tests.experiments import wk, write_experiment
from watchkeeper.core import journal
from watchkeeper.core.events import Expected, Intended
from watchkeeper.core.events.choose import of_kind
from watchkeeper.show.cli import main

PASSPORT = "mkdir -p artifacts/epoch_0; echo '{}' > artifacts/epoch_0/MODEL_PASSPORT.json"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that ran with two criteria, one of which came true."""
    folder = tmp_path_factory.mktemp("expect")
    experiment = write_experiment(folder / "exp", body=PASSPORT)
    summary = experiment / "experiment_summary.yaml"
    plan = json.loads(summary.read_text()) | {"expect": ["accuracy < 0.9"]}
    summary.write_text(json.dumps(plan))
    ran = wk("run", experiment, "--expect", "accuracy >= 0.75", "--poll=0.2", state=folder)
    assert "Expected accuracy >= 0.75: missed by one/clean/epoch0 (0.5)" in ran.stdout, ran.stderr
    return experiment


def test_the_criteria_stand_before_every_submission(done: Path) -> None:
    """Both criteria, of the command and of the summary, are events before the first submission."""
    events = journal.read(done / ".watchkeeper/journal").events
    expected, intended = of_kind(events, Expected), of_kind(events, Intended)
    assert {(one.metric, one.source) for one in expected} == {
        ("accuracy", "--expect"),
        ("accuracy", "experiment_summary.yaml"),
    }
    assert max(one.seq for one in expected) < min(one.seq for one in intended)


def test_status_and_trace_show_what_came_of_them(done: Path) -> None:
    """People and programs read of each criterion whether it counts, and which evaluation met it."""
    for words in (["status", str(done)], ["trace", str(done), "one/clean/epoch0"]):
        shown = CliRunner().invoke(main, words).stdout
        assert "Expected accuracy < 0.9: met by one/clean/epoch0 (0.5); stated before" in shown
        answer = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
        met = [one["met"] for one in answer["data"]["expected"] if one["before"]]
        assert met == [{}, {"one/clean/epoch0": 0.5}]


def test_a_training_is_traced_without_them(done: Path) -> None:
    """A criterion is about evaluations: the trace of a training names none."""
    answer = json.loads(CliRunner().invoke(main, ["trace", str(done), "one", "--json"]).stdout)
    assert answer["data"]["expected"] == []


def test_one_that_is_added_after_the_result_never_counts(done: Path) -> None:
    """The same command with another criterion writes it down, and shows it as added after."""
    words = ["run", str(done), "--expect", "accuracy >= 0.4", "--expect", "accuracy >= 0.75"]
    shown = CliRunner().invoke(main, words).stdout
    assert "Expected accuracy >= 0.4: added after an evaluation was submitted" in shown
    assert "Expected accuracy >= 0.75: missed" in shown
    assert len(of_kind(journal.read(done / ".watchkeeper/journal").events, Expected)) == 3


def test_a_figure_that_the_result_does_not_hold_is_found(done: Path, tmp_path: Path) -> None:
    """A figure that was changed in the journal, every seal and chain made again, is compared with
    the result that it was taken from.
    """
    forged = shutil.copytree(done, tmp_path / "exp")
    (path, *_) = sorted((forged / ".watchkeeper/journal").iterdir())
    events = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    for event in events:
        if event["kind"] == "judged" and event["phase"] == "evaluation":
            event["metrics"]["accuracy"] = 0.95
    rewrite(path, events)
    checked = CliRunner().invoke(main, ["check", str(forged)])
    assert checked.exit_code == 1
    assert "accuracy is 0.95 in the journal, and 0.5 in one/eval/clean_epoch0" in checked.output


def test_an_evaluation_names_the_passport_of_its_checkpoint(done: Path) -> None:
    """The submission holds the hash of the passport that lay with the checkpoint; `check` says that
    this one names no journal, and finds a passport of other weights in its place.
    """
    passport = done / "one/artifacts/epoch_0/MODEL_PASSPORT.json"
    events = journal.read(done / ".watchkeeper/journal").events
    named = [one.passports for one in of_kind(events, Intended) if one.phase == "evaluation"]
    assert named == [{"one/epoch_0": hashlib.sha256(passport.read_bytes()).hexdigest()}]
    checked = CliRunner().invoke(main, ["check", str(done)])
    assert "its passport names no journal" in checked.output
    assert "0 evaluations back to the first event" in checked.output
    passport.write_text('{"weight_integrity": {"weight_files": []}}')
    checked = CliRunner().invoke(main, ["check", str(done)])
    assert checked.exit_code == 1 and "not of the weights that were evaluated" in checked.output


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_criterion_that_is_none_is_refused_before_anything(command: str, tmp_path: Path) -> None:
    """A text that states no criterion ends with 2, and nothing is submitted or written."""
    experiment = write_experiment(tmp_path / "exp")
    result = CliRunner().invoke(main, [command, str(experiment), "--expect", "accuracy > 90%"])
    assert result.exit_code == 2 and "'accuracy >= 0.9'" in result.stderr
    assert not (experiment / ".watchkeeper").exists()
