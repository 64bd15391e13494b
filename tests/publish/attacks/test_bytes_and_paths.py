"""Attacks on a checkpoint's bytes and paths: each must fail."""

from __future__ import annotations

import json

import pytest

from tests.publish.checkpoints import SHARD, make_checkpoint, put_manifest
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.documents import DocumentError, read_document
from watchkeeper.publish.manifest.document import read_manifest
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.manifest.verify import verify_manifest

TEN_GB = 10 * 10**9


def verified(root):
    """The verdict on a checkpoint by its own manifest."""
    return verdict(verify_manifest(root, read_manifest(root), strict=True))


def test_one_flipped_byte_anywhere_fails(tmp_path):
    """Each byte of a file of weights, and the first, a middle and the last one of every other file,
    flipped alone, fails the verification; put back it passes again.
    """
    root = make_checkpoint(tmp_path / "model")
    put_manifest(root)
    manifest = read_manifest(root)
    for record in manifest.artifacts:
        path = root / record.path
        data = path.read_bytes()
        step = 1 if record.path == SHARD else max(len(data) // 2, 1)
        for at in {*range(0, len(data), step), len(data) - 1}:
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            assert verdict(verify_manifest(root, manifest)) == "fail", (record.path, at)
        path.write_bytes(data)
    assert verified(root) == "pass"


def test_a_flipped_byte_of_a_recorded_hash_or_size_fails(tmp_path):
    """What the manifest says of a file cannot be edited alone."""
    root = make_checkpoint(tmp_path / "model")
    path = put_manifest(root)
    document = json.loads(path.read_text())
    for number, record in enumerate(document["artifacts"]):
        digit = "0" if record["sha256"][-1] != "0" else "1"
        for change in (
            {"size_bytes": record["size_bytes"] + 1},
            {"sha256": record["sha256"][:-1] + digit},
        ):
            artifacts = [*document["artifacts"]]
            artifacts[number] = record | change
            path.write_text(json.dumps(document | {"artifacts": artifacts}))
            assert verified(root) == "fail"


def test_a_symlink_out_of_the_root_fails(tmp_path):
    """The right bytes behind a link that leaves the root are not the checkpoint's, neither as a
    file nor through a folder.
    """
    root = make_checkpoint(tmp_path / "model")
    put_manifest(root)
    (root / SHARD).rename(tmp_path / "elsewhere")
    (root / SHARD).symlink_to(tmp_path / "elsewhere")
    assert verified(root) == "fail"
    assert "link-leads-out" in {check.name for check in list_files(root)[1]}
    (root / SHARD).unlink()
    (tmp_path / "elsewhere").rename(root / SHARD)
    assert verified(root) == "pass"
    (root / "original").rename(tmp_path / "moved")
    (root / "original").symlink_to(tmp_path / "moved")
    assert verified(root) == "fail"


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "original/../../secret", "a\0b"])
@pytest.mark.parametrize("field", ["artifacts", "skipped_symlinks"])
def test_a_path_that_leads_out_fails_in_every_field(tmp_path, path, field):
    """No field of a manifest can name a file outside: it is not read, and the path is named."""
    root = make_checkpoint(tmp_path / "model")
    (tmp_path / "secret").write_text("x")
    manifest = put_manifest(root)
    document = json.loads(manifest.read_text())
    entry = {"path": path, "size_bytes": 1, "sha256": "0" * 64}
    document[field].append(entry if field == "artifacts" else path)
    manifest.write_text(json.dumps(document))
    checks = verify_manifest(root, read_manifest(root))
    assert [check.name for check in checks if check.status == "fail"] == ["unsafe-path"]


def test_a_json_of_ten_gigabytes_is_refused_by_its_size(tmp_path):
    """A document that is too large is refused before a byte of it is read."""
    path = tmp_path / "CHECKPOINT_MANIFEST.json"
    with path.open("wb") as file:
        file.truncate(TEN_GB)
    with pytest.raises(DocumentError, match="has 10,000,000,000 bytes and was not read"):
        read_document(path)
    with pytest.raises(DocumentError, match="was not read"):
        read_manifest(tmp_path)
