"""The manifest as a document: what is written, and what is refused when it is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.publish.checkpoints import SHARD, make_checkpoint, put_manifest
from watchkeeper.publish.documents import DocumentError, ForeignDocumentError
from watchkeeper.publish.manifest.document import read_manifest, utc, write_manifest
from watchkeeper.publish.manifest.files import FileRecord

RECORD = {"path": "a", "size_bytes": 1, "sha256": "A" * 64}
GOOD = {"schema_version": "1", "algorithm": "sha256", "artifacts": [RECORD]}


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    """Records, time and skipped links survive; what is about the manifest is not in it."""
    root = make_checkpoint(tmp_path / "model")
    (root / "MODEL_PASSPORT.json").write_text("{}")
    (root / "latest").symlink_to("original")
    path = put_manifest(root)
    document = json.loads(path.read_text())
    assert list(document) == [
        *("schema_version", "generated_by", "generated_at", "algorithm"),
        *("artifacts", "skipped_symlinks"),
    ]
    assert document["schema_version"] == "1" and document["algorithm"] == "sha256"
    assert document["generated_at"] == "2026-03-11T15:00:00Z"
    assert list(document["artifacts"][0]) == ["path", "size_bytes", "sha256"]
    manifest = read_manifest(root)
    assert [record.path for record in manifest.artifacts] == [
        *("README.md", "config.json", SHARD),
        *("model.safetensors.index.json", "original/tokenizer.model"),
    ]
    assert manifest.skipped_symlinks == ("latest",)
    assert manifest.generated_at == document["generated_at"]


def test_the_order_of_the_records_is_that_of_their_paths(tmp_path):
    """The same files make the same document, in whichever order they were hashed."""
    records = [FileRecord(path=path, size_bytes=1, sha256="0" * 64) for path in ("b", "a", "B")]
    write_manifest(tmp_path, records, now=datetime.now(UTC))
    assert [record.path for record in read_manifest(tmp_path).artifacts] == ["B", "a", "b"]


def test_the_time_is_utc_in_whole_seconds():
    """A time of another zone is the same moment in UTC."""
    zone = timezone(timedelta(hours=2))
    assert utc(datetime(2026, 3, 11, 1, 2, 3, 999_999, zone)) == "2026-03-10T23:02:03Z"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": "2"}, "has schema_version '2'; this version of Watchkeeper reads '1'"),
        ({"schema_version": 1}, "has schema_version '1'"),
        ({"algorithm": "md5"}, "has algorithm 'md5'"),
        ({"artifacts": {}}, "has no list of artifacts"),
        ({"artifacts": ["a"]}, r"artifacts\[0\] is no object"),
        ({"artifacts": [RECORD | {"path": 1}]}, r"artifacts\[0\].path is no text"),
        ({"artifacts": [RECORD | {"size_bytes": -1}]}, "size_bytes is no count"),
        ({"artifacts": [RECORD | {"size_bytes": True}]}, "size_bytes is no count"),
        ({"artifacts": [RECORD | {"size_bytes": 1.0}]}, "size_bytes is no count"),
        ({"artifacts": [RECORD, RECORD | {"sha256": "0" * 63}]}, r"artifacts\[1\].sha256 is not"),
        ({"artifacts": [RECORD | {"sha256": None}]}, "sha256 is not 64"),
        ({"skipped_symlinks": "a"}, "skipped_symlinks is no list"),
        ({"skipped_symlinks": [1]}, "skipped_symlinks is no list"),
    ],
)
def test_what_is_no_manifest_is_refused_by_name(tmp_path, change, message):
    """Another schema, another algorithm or a field of another type is an error that names it."""
    path = tmp_path / "other.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(DocumentError, match=message):
        read_manifest(tmp_path, path)


@pytest.mark.parametrize("field", ["schema_version", "algorithm"])
def test_another_document_is_no_manifest(tmp_path, field):
    """A document without the fields of a manifest is not taken for an empty one."""
    path = tmp_path / "other.json"
    path.write_text(json.dumps({name: value for name, value in GOOD.items() if name != field}))
    with pytest.raises(DocumentError, match=f"has no {field}: it is no checkpoint manifest"):
        read_manifest(tmp_path, path)


def test_upper_case_digits_are_the_same_hash(tmp_path):
    """A manifest of another tool may spell a hash in capitals."""
    (tmp_path / "CHECKPOINT_MANIFEST.json").write_text(json.dumps(GOOD))
    manifest = read_manifest(tmp_path)
    assert manifest.artifacts[0].sha256 == "a" * 64
    assert manifest.generated_at == "" and manifest.skipped_symlinks == ()


def test_a_manifest_of_somebody_else_is_kept(tmp_path):
    """A manifest that another tool wrote is not replaced by ours."""
    path = tmp_path / "CHECKPOINT_MANIFEST.json"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(ForeignDocumentError):
        write_manifest(tmp_path, [], now=datetime.now(UTC))
    assert json.loads(path.read_text()) == GOOD
