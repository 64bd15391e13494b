"""A package is refused for whatever is missing, blank, unsigned, changed or private in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.publish.package.packages import copied, make_package, make_source
from tests.publish.vouched import fails
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.package import layout
from watchkeeper.publish.package.check import check_package


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package without a fault."""
    folder = tmp_path_factory.mktemp("package")
    make_package(make_source(folder / "run"), folder / "whole")
    return folder / "whole"


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return copied(whole, tmp_path / "package")


def test_a_whole_package_holds_with_nothing_else_at_hand(package: Path) -> None:
    """Whoever has the package alone can check it; no key was asked for, so none is missing."""
    checks = check_package(package)
    assert fails(checks) == set() and verdict(checks) == "pass"
    assert {"package-missing", "files", "events-whole", "private"} <= {one.name for one in checks}


@pytest.mark.parametrize("path", layout.REQUIRED)
def test_each_document_is_required(package: Path, path: str) -> None:
    """A package without one of its documents is named as such."""
    (package / path).unlink()
    missing = [one for one in check_package(package) if one.name == "package-missing"]
    assert [(one.status, one.where) for one in missing] == [("fail", path)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("README.md", ""),
        ("README.md", " \n\n"),
        ("README.md", "---\ntags:\n- x\n---\n\n# r8\n"),
        ("TRAINING_LOG.md", "# r8\n\n## Results\n"),
    ],
)
def test_a_blank_text_fails(package: Path, path: str, text: str) -> None:
    """A text with nothing but metadata and headings says nothing."""
    (package / path).write_text(text)
    blank = [one for one in check_package(package) if one.name == "package-blank"]
    assert [one.where for one in blank] == [path]


def test_weights_that_were_changed_after_staging_fail(package: Path) -> None:
    """The manifest, the passport and the sign-off all notice."""
    weights = package / "checkpoints/200/params/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert {"changed", "weights-changed", "signoff-hash"} <= fails(check_package(package))


def test_a_card_that_was_changed_after_staging_fails(package: Path) -> None:
    """The card is signed too."""
    with (package / "README.md").open("a") as file:
        file.write("More.\n")
    assert {"size-changed", "signoff-hash"} <= fails(check_package(package))


@pytest.mark.parametrize("is_inside", [True, False])
def test_a_link_fails_wherever_it_leads(package: Path, tmp_path: Path, is_inside: bool) -> None:
    """A package holds files: a link can lead to another file tomorrow."""
    (tmp_path / "secret").write_text("x\n")
    target = package / "README.md" if is_inside else tmp_path / "secret"
    (package / "assets/link.txt").symlink_to(target)
    assert "package-link" in fails(check_package(package))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("checkpoints/200/params/optimizer.pt", "package-trainer"),
        ("checkpoints/200/train_state/x.json", "package-trainer"),
        ("model.safetensors", "package-place"),
        ("assets/id_rsa", "private"),
    ],
)
def test_what_does_not_belong_in_a_package_fails(package: Path, path: str, name: str) -> None:
    """The trainer's state, weights in another place, and a file that cannot be searched."""
    (package / path).parent.mkdir(parents=True, exist_ok=True)
    (package / path).write_bytes(b"\x80\x04\xff")
    failed = [one for one in check_package(package) if one.name == name and one.status == "fail"]
    assert any(one.where.startswith(path) for one in failed)


def test_a_package_without_weights_fails(package: Path) -> None:
    """Documents alone are no package."""
    (package / "checkpoints/200/params/model.safetensors").unlink()
    assert "package-weights" in fails(check_package(package))


def test_an_event_that_was_changed_fails(package: Path) -> None:
    """The events make up the chain that the passport states, and no other."""
    events = package / layout.EVENTS
    lines = events.read_bytes().splitlines(keepends=True)
    events.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert {"passport-differs"} & fails(check_package(package)) or "events-unreadable" in fails(
        check_package(package)
    )


def test_a_passport_without_a_journal_fails(package: Path) -> None:
    """Events that no passport leads to prove nothing."""
    passport = package / "MODEL_PASSPORT.json"
    document = json.loads(passport.read_text())
    del document["provenance"]["journal_chain"]
    passport.write_text(json.dumps(document))
    assert "journal-not-named" in fails(check_package(package))


@pytest.mark.parametrize("card", ["# r8\n\nWords.\n", "---\nlicense: [\n---\n\nWords.\n"])
def test_metadata_that_the_hub_cannot_read_fails(package: Path, card: str) -> None:
    """A card without metadata, or with broken metadata, is refused."""
    (package / "README.md").write_text(card)
    assert "card-metadata" in fails(check_package(package))


def test_a_file_in_the_place_of_a_package_is_refused(tmp_path: Path) -> None:
    """What is no folder cannot be checked."""
    (tmp_path / "x").touch()
    with pytest.raises(UsageError):
        check_package(tmp_path / "x")
