"""Nothing private is in a package, and no finding or record names what it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from tests.publish.package.packages import (
    HOST,
    JOB,
    STORY,
    copied,
    make_package,
    make_source,
)  # fmt: skip
from tests.publish.vouched import fails
from watchkeeper.publish.package.check import check_package
from watchkeeper.publish.package.record import path_of, read_record
from watchkeeper.publish.package.story import Source
from watchkeeper.publish.sanitize import other_scanner
from watchkeeper.publish.sanitize.text import WouldEmptyError


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


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A signed checkpoint of a run."""
    return make_source(tmp_path / "run")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a package goes."""
    return tmp_path / "staged"


def test_a_hard_link_to_a_private_file_fails(package: Path, tmp_path: Path) -> None:
    """A file that lies elsewhere too is searched like any other, and is not listed."""
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password hunter2hunter2\n")
    os.link(tmp_path / "netrc", package / "assets/notes.txt")
    assert {"private", "extra-file"} <= fails(check_package(package))


def test_no_finding_names_what_is_private(package: Path) -> None:
    """A finding says where and of which kind, and never shows the value."""
    with (package / "TRAINING_LOG.md").open("a") as file:
        file.write(
            "- api_key: sk-Zx81LmPq92RtYw37Bn\n- data: /home/ada/secret-project/train.json\n"
        )
    found = [one for one in check_package(package) if one.name == "private"]
    assert [one.status for one in found] == ["fail", "fail"]
    shown = json.dumps([(one.where, one.message, one.hint) for one in found])
    assert "TRAINING_LOG.md:" in shown
    assert not any(word in shown for word in ("Zx81", "secret-project", "ada"))


def test_nothing_of_the_cluster_is_in_a_package(whole: Path) -> None:
    """Job, host and paths of the run stand in no file and no file's name."""
    for place in whole.rglob("*"):
        data = place.read_bytes() if place.is_file() else b""
        for word in (JOB, HOST, "scratch"):
            assert word.encode() not in data and word not in place.name, place


def test_a_package_holds_weights_and_texts_and_no_state_of_the_trainer(
    source: Source, target: Path
) -> None:
    """The optimizer stays behind, and the texts that came with the checkpoint lose their paths."""
    make_package(source, target)
    params = target / "checkpoints/200/params"
    assert {path.name for path in params.iterdir()} == {
        "model.safetensors", "config.json", "tokenizer.model",
    }  # fmt: skip
    config = json.loads((params / "config.json").read_text())
    assert config["model_type"] == "tiny" and "/scratch" not in config["note"]
    assert not list(target.rglob("optimizer*"))


def test_the_record_says_what_was_hidden_and_never_what_it_was(
    source: Source, target: Path
) -> None:
    """It lies beside the package, leads back to the run, and names each file."""
    staged = make_package(source, target)
    assert staged.record == path_of(target) and staged.record.parent == target.parent
    record = staged.record.read_text()
    hidden = json.loads(record)["redactions"]
    assert {one["file"] for one in hidden} >= {"TRAINING_LOG.md", "README.md"}
    assert "scratch" not in json.dumps(hidden)
    came_from = read_record(target)
    assert came_from is not None
    assert (came_from.folder, came_from.key) == (str(source.folder), "r8")


def test_a_log_of_which_nothing_would_be_left_is_refused(source: Source, target: Path) -> None:
    """The refusal says what to do, and there is no package."""
    story = msgspec.structs.replace(STORY, run_log="- /scratch/ada/a\n- /scratch/ada/b\n")
    with pytest.raises(WouldEmptyError) as refusal:
        make_package(source, target, story=story)
    assert "TRAINING_LOG.md" in str(refusal.value) and "--run-log FILE" in refusal.value.hint
    assert not target.exists()


def test_a_log_in_a_persons_dialect_becomes_a_training_log(source: Source, target: Path) -> None:
    """Other field names, dashes and scripts than ours: the dynamics stay, the cluster goes."""
    dialect = (
        "# Обучение — 学習 — ασκήσεις\n\n**Date**: Monday, Apr 14, 2026\n\n"
        "## Job (resumed)\n- job_id: 2732782 (first submission)\n- elapsed: 1-00:00:29\n"
        "- 2026-03-29 19:07 — step 400, потеря 0.12, 損失 0.12, απώλεια 0.12\n"
        "- checkpoint: /home/ада/модели/実験/epoch_1\n"
    )
    make_package(source, target, story=msgspec.structs.replace(STORY, run_log=dialect))
    log = (target / "TRAINING_LOG.md").read_text()
    for kept in ("Обучение — 学習 — ασκήσεις", "потеря 0.12", "損失 0.12", "απώλεια 0.12"):
        assert kept in log
    for gone in ("2732782", "модели", "実験", "/home"):
        assert gone not in log


def test_a_second_scanner_looks_as_well(package: Path) -> None:
    """What detect-secrets sees is a finding too, which names the form and never the secret."""
    secret = "ghp_" + "aB3dE6gH9k" * 3 + "aB3dE6"
    (package / "README.md").write_text(f"{(package / 'README.md').read_text()}\n{secret}\n")
    checks = [check for check in check_package(package) if check.name == "private"]
    assert "secret: detect-secrets: GitHub Token" in {c.message for c in checks}
    assert secret not in str(checks)


def test_a_missing_second_scanner_is_said(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without detect-secrets the package can pass, and the checks say who did not look."""
    monkeypatch.setattr(other_scanner, "is_installed", lambda: False)
    checks = check_package(package)
    (said,) = [check for check in checks if check.name == "private-twice"]
    assert said.status == "not_checked" and "detect-secrets" in said.message
    assert fails(checks) == set()


def test_hashes_and_settings_are_no_secrets_of_a_second_scanner() -> None:
    """Its rules by entropy and keyword are left out: hashes, salts and settings' names pass."""
    text = f'"sha256": "{"ab12" * 16}"\nsecret = "{"salt" * 8}"\nhost = "8.8.8.8"\n'
    assert list(other_scanner.find(text)) == []
