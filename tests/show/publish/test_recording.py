"""An upload stands in the journal of the run that made the package, and in its run log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.experiments import write_experiment
from tests.publish.hub.packages import WEIGHTS, write_package
from tests.watch.logs.test_run_logs import keep, log, value
from watchkeeper.core import journal
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Published
from watchkeeper.core.events.choose import of_kind
from watchkeeper.publish.hub.place import Place
from watchkeeper.publish.hub.upload import Uploaded
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main, write_down
from watchkeeper.show.cli.publish.recording import (
    Owner,
    Recorded,
    checkpoints_of,
    fields_of,
    includes_of,
    owner_of,
    record,
)
from watchkeeper.show.cli.verify import rebuild

PLACE = Place("ada/model", "https://hub.example")
DONE = Uploaded(place=PLACE, commit="c" * 40, pull_request="", private=False, sent=4)
PATHS = ["README.md", "SIGNOFF.json", "MODEL_PASSPORT.json", "assets/a", WEIGHTS]
SIGNOFF = {
    "schema_version": "0.1",
    "signed_at": "2026-11-28T10:00:00Z",
    "signed_by": {"tool": "watchkeeper", "version": "0.1.0"},
    "artifacts": [],
    "verdict": "soft_signal",
    "verdict_reason": "the dataset's commit is not pinned",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment whose one training has ended."""
    place = tmp_path_factory.mktemp("published")
    folder = write_experiment(place / "exp", runs=("r1",), tasks=(), body="exit 0")
    keep(folder, FakeScheduler())
    return folder


@pytest.fixture
def signed(package: Path) -> Path:
    """A package with a sign-off that has a reason."""
    (package / "SIGNOFF.json").write_text(json.dumps(SIGNOFF))
    return package


def test_an_upload_stands_in_the_run_log(folder, signed, monkeypatch):
    """Under HuggingFace in the words of the documents, the reason word for word; `check`, `lint`
    and `rebuild` have nothing against it.
    """
    for module in (write_down, rebuild):
        monkeypatch.setattr(module, "watched_by", lambda _: None)
    kept = record(signed, PATHS, DONE, Owner(folder=folder, key="r1", attempt=1))
    assert kept.is_shown and kept.problems == ()
    page = log(folder, "r1.md")
    assert value(page, "huggingface", "repo") == "https://hub.example/ada/model"
    assert value(page, "huggingface", "uploaded_checkpoints") == "2, params only"
    path = next((folder / "run_logs").glob("*_r1.md"))
    text = path.read_text()
    assert "- signoff verdict: `soft_signal` (the dataset's commit is not pinned)\n" in text
    for words in (["check"], ["rebuild"], ["check"]):
        result = CliRunner().invoke(main, [*words, str(folder)])
        assert result.exit_code == 0, result.output
    assert path.read_text() == text
    assert "WK80" not in CliRunner().invoke(main, ["lint", str(folder)]).output


def test_while_a_watcher_keeps_the_logs_the_upload_is_journalled(folder, signed, monkeypatch):
    """The watcher writes the log; the upload is in the journal for it."""
    monkeypatch.setattr(write_down, "watched_by", lambda _: object())
    before = len(of_kind(journal.read(folder / ".watchkeeper/journal").events, Published))
    kept = record(signed, PATHS, DONE, Owner(folder=folder, key="r1", attempt=1))
    assert not kept.is_shown and kept.problems == ()
    events = of_kind(journal.read(folder / ".watchkeeper/journal").events, Published)
    assert len(events) == before + 1


def test_an_upload_that_cannot_be_written_down_is_said(tmp_path, folder, signed, monkeypatch):
    """It stands on the Hub all the same: the address is named, with what to do."""
    (problem,) = record(signed, PATHS, DONE, Owner(folder=tmp_path)).problems
    assert "has no journal" in problem.message and PLACE.page in problem.hint
    monkeypatch.setattr(write_down, "other_owner", lambda _: "anna")
    (problem,) = record(signed, PATHS, DONE, Owner(folder=folder)).problems
    assert "belongs to anna" in problem.message and problem.code == "not-recorded"


def test_a_package_of_nobodys_is_not_written_down(tmp_path, signed):
    """Without a run that is named or noted there is no journal to write into."""
    assert owner_of(signed, None, "") is None
    assert record(signed, PATHS, DONE, None) == Recorded()
    with pytest.raises(UsageError, match="has no journal"):
        owner_of(signed, tmp_path, "")


def test_the_run_is_the_one_that_is_named_else_the_one_that_staging_noted(tmp_path, folder, signed):
    """The note beside the package, or --run with the key of the run."""
    named = owner_of(signed, folder, "r1")
    assert named == Owner(folder=folder, key="r1", attempt=1)
    assert named.words == "exp r1 attempt 1" and Owner(folder=folder).words == "exp"
    note = {"source": {"checkpoint": "c", "folder": "/runs/a", "attempt": 3}}
    signed.with_name(f"{signed.name}.REDACTIONS.json").write_text(json.dumps(note))
    assert owner_of(signed, None, "") == Owner(folder=Path("/runs/a"), key="", attempt=0)
    assert owner_of(signed, folder, "r1") == named


def test_what_a_package_holds_is_named_as_run_logs_name_it():
    """Checkpoints by their number, documents first and without `.md`, then the rest."""
    paths = ["checkpoints/10/params/a", "checkpoints/9/params/a", "checkpoints/best/params/b"]
    assert checkpoints_of([*paths, "README.md", "checkpoints/x"]) == ("9", "10", "best")
    names = [".eval_results/a.yaml", "assets/x", "SIGNOFF.json", "TRAINING_LOG.md", "README.md"]
    assert includes_of([*names, *paths]) == (
        "README", "TRAINING_LOG", "SIGNOFF.json", ".eval_results", "assets",
    )  # fmt: skip


@pytest.mark.parametrize(("path", "is_full"), [("optimizer/x", True), ("params/x", False)])
def test_a_package_with_the_trainers_state_is_full(tmp_path, path, is_full):
    """The run log tells the two apart; a package without a sign-off has no verdict."""
    package = write_package(tmp_path / "p")
    (package / "SIGNOFF.json").unlink()
    fields = fields_of(package, [f"checkpoints/2/{path}"], DONE, Owner(folder=tmp_path))
    assert fields["is_full"] is is_full
    assert (fields["verdict"], fields["why"]) == ("", "")
