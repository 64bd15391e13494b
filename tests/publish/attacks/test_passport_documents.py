"""A stranger's passport and index are read as data, and refused where two readers could differ."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.checkpoints import write_json, write_llama
from watchkeeper.publish.passport.checks import check_passport
from watchkeeper.publish.passport.document import put
from watchkeeper.publish.passport.generate import generate, write_passport

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkpoint with a passport, and a secret beside it."""
    (tmp_path / "secret.json").write_text('{"mean": 1}')
    folder = write_llama(tmp_path / "model", shards=2)
    write_passport(folder, generate(folder, now=NOW).document)
    return folder


def failures(root: Path) -> set[str]:
    """The names of the checks that fail."""
    checks = check_passport(root, now=NOW, with_hashes=True)
    return {check.name for check in checks if check.status == "fail"}


@pytest.mark.parametrize(
    "text",
    [
        '{"schema_version": "0.2", "schema_version": "0.1"}',
        '{"schema_version": "0.2", "a": NaN}',
        '{"schema_version": "0.2", "a": 1e999}',
        '{"a": ' * 50_000,
        "[" * 50_000 + "]" * 50_000,
        '["no object"]',
        "",
        '{"a": "\\ud800"}',
    ],
    ids=["duplicate", "nan", "infinite", "deep", "deep-whole", "list", "empty", "surrogate"],
)
def test_a_passport_that_can_be_read_in_two_ways_fails(root: Path, text: str) -> None:
    """Keys given twice, NaN, endless nesting: the passport is refused, and nothing crashes."""
    (root / "MODEL_PASSPORT.json").write_text(text)
    assert failures(root) == {"passport-unreadable"}


def test_a_passport_of_ten_gigabytes_is_not_read(root: Path) -> None:
    """The size is looked at first; the file has holes instead of bytes, and takes no room."""
    with (root / "MODEL_PASSPORT.json").open("wb") as file:
        file.truncate(10 * 2**30)
    assert failures(root) == {"passport-unreadable"}


@pytest.mark.parametrize(
    "place",
    [
        "input_contract.stats_files",
        "input_contract.language.tokenizer_files",
        "weight_integrity.weight_files",
    ],
)
@pytest.mark.parametrize("path", ["../secret.json", "/etc/passwd", "a/../../secret.json", "C:\\x"])
def test_a_path_out_of_the_checkpoint_fails(root: Path, place: str, path: str) -> None:
    """No path of a passport is followed out of the root."""
    document = json.loads((root / "MODEL_PASSPORT.json").read_text())
    put(document, place, [{"path": path, "sha256": "0" * 64, "size_bytes": 11}])
    write_json(root / "MODEL_PASSPORT.json", document)
    assert "unsafe-path" in failures(root)


@pytest.mark.parametrize("field", ["input_state_path", "input_images_path"])
def test_a_path_of_the_test_vector_out_of_the_checkpoint_fails(root: Path, field: str) -> None:
    """Nor is one of the reference test vector."""
    document = json.loads((root / "MODEL_PASSPORT.json").read_text())
    document["reference_test_vector"] = {"n_frames": 1, field: "../secret.json"}
    write_json(root / "MODEL_PASSPORT.json", document)
    assert "unsafe-path" in failures(root)


def test_an_index_that_leads_out_of_the_checkpoint_fails(root: Path) -> None:
    """A shard that an index names outside is neither opened nor expected."""
    index = {"weight_map": {"secret": "../secret.json"}}
    write_json(root / "model.safetensors.index.json", index)
    assert "shards" in failures(root)


def test_a_configuration_that_is_nested_without_end_says_nothing(root: Path) -> None:
    """A config.json that nobody can read leaves its fields absent, and nothing crashes."""
    (root / "config.json").write_text('{"a": ' * 50_000)
    document = generate(root, now=NOW).document
    assert document["field_sources"]["model_identity.class_name"] == "absent"
