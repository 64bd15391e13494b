"""What is expected is written down before the first submission, and shown wherever results are."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tests.core.chain.forge import rewrite
from tests.experiments import blocks_of, wk, write_experiment
from tests.publish.vouched import LATER, SIGNED, at, checkpoint
from watchkeeper.core import journal
from watchkeeper.core.events import Expected, Intended
from watchkeeper.core.events.choose import of_kind
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.signoff import origin
from watchkeeper.publish.signoff.sign import sign
from watchkeeper.publish.signoff.validate import validate
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
    for path in (forged / ".watchkeeper/journal").iterdir():
        events = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
        verdicts = [event for event in events if event["kind"] == "judged"]
        for event in verdicts:
            if event["phase"] == "evaluation":
                event["metrics"]["accuracy"] = 0.95
        if verdicts:
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


def test_the_action_log_has_them_from_their_statement_to_their_outcome(done: Path) -> None:
    """A block for each as it is written down, and what came of it where the results are counted."""
    blocks = blocks_of(done, "run-experiment.log")
    stated = [block for block in blocks if block.action == "EXPECT"]
    assert [block.details for block in stated[:2]] == ["accuracy >= 0.75", "accuracy < 0.9"]
    assert "from --expect" in stated[0].result
    (first, *_) = [block for block in blocks if block.action == "VALIDATE"]
    assert "accuracy < 0.9: met by one/clean/epoch0 (0.5); stated before" in first.details


def test_the_report_has_a_table_of_them(done: Path, tmp_path: Path) -> None:
    """One row for each: when it was stated, its verdict, and who met and who missed it."""
    page = tmp_path / "r.html"
    assert CliRunner().invoke(main, ["report", str(done), "-o", str(page)]).exit_code == 0
    table = page.read_text().partition("What was expected")[2].partition("</table>")[0]
    rows = [re.sub(r"<[^>]+>+", "|", row) for row in table.split("<tr>")[2:]]
    (missed,) = [row for row in rows if "accuracy &gt;= 0.75" in row]
    (met,) = [row for row in rows if "accuracy &lt; 0.9" in row]
    assert "missed" in missed and "before the first evaluation" in missed
    assert "one/clean/epoch0 0.5" in met and "before the first evaluation" in met


def test_plan_and_watch_take_them_too(tmp_path: Path) -> None:
    """`plan` shows a criterion and writes nothing; `watch` states it before any evaluation."""
    folder = write_experiment(tmp_path / "exp")
    words = ["plan", str(folder), "--expect", "accuracy >= 0.9"]
    shown = CliRunner().invoke(main, words).stdout
    assert "Expected accuracy >= 0.9: no evaluation has reported yet; stated before" in shown
    answer = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert [one["criterion"] for one in answer["data"]["expected"]] == ["accuracy >= 0.9"]
    assert not (folder / ".watchkeeper").exists()
    watched = CliRunner().invoke(main, ["watch", str(folder), "--expect", "accuracy >= 0.9"])
    assert "Expected accuracy >= 0.9: no evaluation has reported yet" in watched.output
    assert CliRunner().invoke(main, ["plan", str(folder), "--expect", "good"]).exit_code == 2


def test_a_sign_off_says_what_came_of_them(done: Path, tmp_path: Path) -> None:
    """Under a key of our own it repeats each criterion, when it was stated, and who met it."""
    moved = shutil.copytree(done, tmp_path / "exp")
    found = origin.expected_of(moved / "one/artifacts/epoch_0")
    assert {one.criterion: one.verdict for one in found if one.before} == {
        "accuracy >= 0.75": "missed",
        "accuracy < 0.9": "met",
    }
    root = checkpoint(tmp_path / "ck")
    sign(root, expected=found, clock=at(SIGNED))
    document = json.loads((root / "SIGNOFF.json").read_text())
    repeated = {one["criterion"]: one for one in document["watchkeeper"]["criteria"]}
    assert repeated["accuracy >= 0.75"] == {
        "criterion": "accuracy >= 0.75",
        "stated_before_first_evaluation": True,
        "verdict": "missed",
        "met": {},
        "missed": {"one/clean/epoch0": 0.5},
    }
    checks = validate(root, require_signoff=True, clock=at(LATER))
    said = [one.message for one in checks if one.name == "signoff-criterion"]
    assert "accuracy >= 0.75: missed; stated before the first evaluation" in said
    assert verdict(checks) == "pass"


def test_a_checkpoint_that_no_experiment_made_repeats_none(tmp_path: Path) -> None:
    """Its sign-off has the document's own fields and no other."""
    root = checkpoint(tmp_path / "ck")
    assert origin.expected_of(root) == []
    sign(root, clock=at(SIGNED))
    assert "watchkeeper" not in json.loads((root / "SIGNOFF.json").read_text())
