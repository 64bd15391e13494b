"""A checkpoint against its manifest: each difference is one check with a name."""

from __future__ import annotations

import json
import os

import pytest

from tests.publish.checkpoints import SHARD, make_checkpoint, put_manifest
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.manifest import hashing
from watchkeeper.publish.manifest.document import Manifest, read_manifest
from watchkeeper.publish.manifest.files import FileRecord, list_files
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.manifest.verify import verify_manifest


@pytest.fixture
def root(tmp_path):
    """A checkpoint with its manifest."""
    root = make_checkpoint(tmp_path / "model")
    put_manifest(root)
    return root


def differences(root, **options):
    """The name and place of each check that does not pass."""
    checks = verify_manifest(root, read_manifest(root), **options)
    return [(check.name, check.where) for check in checks if check.status != "pass"]


def test_an_untouched_checkpoint_passes(root):
    """A checkpoint as it was hashed passes with one check that counts its files, also in
    `strict`, and whatever documents about it came later.
    """
    (root / "MODEL_PASSPORT.json").write_text("{}")
    (root / "model.sig").write_text("{}")
    (check,) = verify_manifest(root, read_manifest(root), strict=True)
    assert check.status == "pass" and check.message == "5 files are as the manifest lists them"


def test_a_changed_file_fails_by_size_before_it_is_hashed(root, monkeypatch):
    """Another size is named without reading the file; the same size with other bytes is found by
    the hash; a file that is gone is missing.
    """
    (root / SHARD).write_bytes(b"longer than it was, by far" * 10)
    (root / "model.safetensors.index.json").write_text("{}")
    (root / "README.md").write_text("# a model\n")
    (root / "original/tokenizer.model").unlink()
    hashed = []
    digest = hashing._Hasher._hash
    monkeypatch.setattr(
        hashing._Hasher, "_hash", lambda hasher, path: hashed.append(path) or digest(hasher, path)
    )
    seen = differences(root)
    assert ("size-changed", SHARD) in seen and ("changed", "README.md") in seen
    assert ("missing", "original/tokenizer.model") in seen
    assert ("shards", "model.safetensors.index.json") in seen
    assert sorted(hashed) == ["README.md", "config.json"]
    checks = verify_manifest(root, read_manifest(root))
    assert checks[0].message == "1 of 5 files are as the manifest lists them"


def test_extra_files_warn_and_fail_when_strict(root):
    """A file or a link that the manifest does not list is a soft signal, and fails with `strict`;
    that it holds weights is said.
    """
    (root / "notes.txt").write_text("x")
    (root / "other.bin").write_text("x")
    (root / "latest").symlink_to("original")
    checks = verify_manifest(root, read_manifest(root))
    assert [check.where for check in checks[1:]] == ["latest", "notes.txt", "other.bin"]
    assert verdict(checks) == "soft_signal" and "a weights file" in checks[-1].message
    assert "weights" not in checks[-2].message
    assert verdict(verify_manifest(root, read_manifest(root), strict=True)) == "fail"


def test_a_file_listed_twice_fails(root):
    """Two records of one path fail, though both hold."""
    path = root / "CHECKPOINT_MANIFEST.json"
    document = json.loads(path.read_text())
    document["artifacts"].append(document["artifacts"][0])
    path.write_text(json.dumps(document))
    assert differences(root) == [("listed-twice", "README.md")]


def test_a_manifest_of_nothing_fails(root):
    """A manifest that lists no file verifies nothing, and says so."""
    checks = verify_manifest(root, Manifest())
    assert (checks[0].name, checks[0].status) == ("nothing-listed", "fail")


def test_a_pipe_in_the_place_of_a_file_is_not_opened(root):
    """A listed file that became a pipe or a folder fails, and nothing waits for it."""
    for path in ("config.json", "README.md"):
        (root / path).unlink()
    os.mkfifo(root / "config.json")
    (root / "README.md").mkdir()
    seen = differences(root)
    assert ("special-file", "config.json") in seen and ("size-changed", "README.md") in seen


def test_a_pipe_of_no_byte_is_not_taken_for_an_empty_file(tmp_path):
    """A pipe has the size of an empty file, and is not that file."""
    os.mkfifo(tmp_path / "empty")
    record = FileRecord(path="empty", size_bytes=0, sha256="e3b0c442" + "0" * 56)
    checks = verify_manifest(tmp_path, Manifest(artifacts=(record,)))
    assert {check.name for check in checks} == {"special-file", "unreadable"}


def test_what_is_known_is_not_hashed(root):
    """A hash that the caller trusts is compared in the place of the file's own."""
    listed, _ = list_files(root)
    known = {record.path: record for record in hash_files(root, listed.files)}
    text = (root / "README.md").read_text()
    (root / "README.md").write_text(text.upper())
    assert differences(root, known=known) == []
    assert differences(root) == [("changed", "README.md")]


def test_folders_of_other_programs_are_said_to_be_left_out(root):
    """What was not looked into is named as not checked, and changes no verdict."""
    (root / ".git").mkdir()
    checks = verify_manifest(root, read_manifest(root), strict=True)
    assert [(check.name, check.status) for check in checks] == [
        ("files", "pass"),
        ("left-out", "not_checked"),
    ]


def test_a_path_that_no_filesystem_takes_is_unreadable(root):
    """A path that is too long to look at fails by itself, and hides no other file."""
    record = FileRecord(path="x" * 5_000, size_bytes=1, sha256="0" * 64)
    manifest = read_manifest(root)
    checks = verify_manifest(root, Manifest(artifacts=(record, *manifest.artifacts)))
    assert [(check.name, check.status) for check in checks] == [
        ("files", "pass"),
        ("unreadable", "fail"),
    ]
