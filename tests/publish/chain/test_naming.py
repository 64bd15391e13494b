"""An evaluation leads back by the passport that it names, and by no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from watchkeeper.core.events import Observed
from watchkeeper.core.journal import Writer
from watchkeeper.publish.chain import naming
from watchkeeper.publish.chain.heads import heads_of, to_document
from watchkeeper.publish.chain.naming import (
    follow_back,
    keep_passport,
    passport_of,
    passport_sha256,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkpoint whose passport names the journal beside it."""
    writer = Writer(tmp_path / "journal", "test", zone="UTC")
    writer.write(Observed, what="scheduler busy", detail="before the passport")
    place = tmp_path / "epoch_0"
    place.mkdir()
    chain = to_document(heads_of(tmp_path / "journal"))
    (place / "MODEL_PASSPORT.json").write_text(json.dumps({"provenance": {"journal_chain": chain}}))
    writer.write(Observed, what="scheduler busy", detail="after the passport")
    writer.close()
    return place


def names(place: Path, sha256: str) -> list[str]:
    """What following it back has come to."""
    journals = [place.parent / "journal"]
    return [check.name for check in follow_back(place, sha256, journals, place.parent / "objects")]


def test_the_passport_that_is_named_leads_to_the_first_event(place: Path) -> None:
    """The passport is the one named, and the journal holds what it states."""
    assert names(place, passport_sha256(place)) == ["journal-holds"]


def test_another_passport_leads_nowhere(place: Path) -> None:
    """One byte more, or no passport at all, and the evaluation is no longer vouched for."""
    sha256 = passport_sha256(place)
    passport = passport_of(place)
    passport.write_text(passport.read_text() + " ")
    assert names(place, sha256) == ["passport-changed"]
    passport.unlink()
    assert passport_sha256(place) == "" and names(place, sha256) == ["passport-missing"]


def test_a_passport_made_again_of_the_same_weights_leads_back(place: Path) -> None:
    """What an evaluation named is kept: the owner may declare more afterwards, or lose the file;
    a passport of other weights fails, and so does a kept one that was changed.
    """
    kept = place.parent / "objects"
    sha256 = keep_passport(place, kept)
    passport = passport_of(place)
    document = json.loads(passport.read_text())
    passport.write_text(json.dumps({**document, "stack": "declared since"}))
    assert names(place, sha256) == ["passport-made-again", "journal-holds"]
    passport.write_text(json.dumps({**document, "weight_integrity": {"weight_files": []}}))
    assert names(place, sha256) == ["passport-of-others"]
    passport.write_text("no json")
    assert names(place, sha256) == ["passport-of-others"]
    passport.unlink()
    assert names(place, sha256) == ["passport-made-again", "journal-holds"]
    assert keep_passport(place, kept) == ""
    (kept / sha256).chmod(0o600)
    (kept / sha256).write_text(json.dumps(document) + " ")
    assert names(place, sha256) == ["passport-missing"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("no json", "passport-unreadable"),
        ('{"provenance": {"journal_chain": {"head": 1}}}', "passport-unreadable"),
        ("{}", "journal-not-named"),
        ('{"provenance": []}', "journal-not-named"),
        ('{"provenance": {"journal_chain": null}}', "journal-not-named"),
    ],
)
def test_a_passport_without_a_journal_is_not_checked(place: Path, text: str, name: str) -> None:
    """What states no heads proves nothing, and what states them wrongly fails."""
    passport_of(place).write_text(text)
    assert names(place, passport_sha256(place)) == [name]


def test_a_checkpoint_that_is_one_file_has_its_passport_beside_it(place: Path) -> None:
    """The passport of `model.pt` lies in the folder of `model.pt`."""
    weights = place / "model.pt"
    weights.write_bytes(b"w")
    assert passport_of(weights) == passport_of(place)


def test_a_passport_too_large_to_be_one_is_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is hashed beyond what a document may have, and a pipe in its place is not opened."""
    monkeypatch.setattr(naming, "MOST_DOCUMENT_BYTES", 4)
    assert passport_sha256(place) == ""
    passport_of(place).write_text("four")
    assert passport_sha256(place) != ""
