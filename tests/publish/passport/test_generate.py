"""Passports that are made, and made again."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import LLAMA, safetensors, write_json, write_llama
from tests.publish.checkpoints import put_manifest
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.documents import ForeignDocumentError
from watchkeeper.publish.passport.document import SOURCES, Fact, Facts, get
from watchkeeper.publish.passport.generate import generate, write_passport

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
RUN: Facts = {"provenance.training_repo_commit": Fact("a" * 40, "observed")}


def made(root: Path, **more: Any) -> dict[str, Any]:
    """The passport that is made of a folder and written into it."""
    generated = generate(root, now=more.pop("now", NOW), **more)
    write_passport(root, generated.document)
    return generated.document


def test_a_language_model_is_described_by_its_own_files(tmp_path: Path) -> None:
    """Class, tokenizer, tensors and weights come from the files, each with its mark, and what
    nothing says is marked absent.
    """
    passport = made(write_llama(tmp_path / "model", shards=2))
    assert (
        passport["schema_version"] == "0.2" and passport["generated_at"] == "2026-03-11T15:00:00Z"
    )
    assert passport["model_identity"]["class_name"] == "LlamaForCausalLM"
    assert passport["input_contract"]["language"]["max_sequence_length"] == 128
    state = passport["model_internals"]["state_dict"]
    assert state["found_keys_count"] == state["expected_keys_count"] == len(LLAMA)
    assert state["missing_keys"] == state["unexpected_keys"] == []
    assert passport["model_internals"]["parameters"]["summary"] == {
        "total_params": 84,
        "total_bytes": 336,
        "dtype_breakdown": {"F32": 84},
    }
    assert passport["output_spec"]["inference_parameters"]["do_sample"] is False
    files = passport["weight_integrity"]["weight_files"]
    assert [entry["path"] for entry in files] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert all(set(entry) == {"path", "sha256", "size_bytes"} for entry in files)
    marks = passport[SOURCES]
    assert marks["model_identity.class_name"] == "observed"
    assert marks["stack"] == "inferred" and marks["input_contract.images"] == "absent"


def test_a_passport_made_again_is_the_same(tmp_path: Path) -> None:
    """Of the same files, with the same words, nothing changes but the time."""
    root = write_llama(tmp_path / "model")
    made(root, run=RUN)
    again = generate(root, now=datetime(2027, 1, 1, tzinfo=UTC))
    assert not again.changed
    assert again.document["provenance"]["training_repo_commit"] == "a" * 40


def test_declared_and_unknown_fields_stay_at_every_depth(tmp_path: Path) -> None:
    """What was declared once, and what a person wrote between the fields, is in the next one; a
    null takes a declared field back.
    """
    root = write_llama(tmp_path / "model")
    made(root, declared={"input_contract": {"language": {"default_prompt": ""}}, "ours": {"a": 0}})
    path = root / "MODEL_PASSPORT.json"
    passport = json.loads(path.read_text())
    passport["model_identity"]["note"] = {"deep": [False, {"er": None}]}
    passport["weight_integrity"]["weight_files"][0]["mirror"] = "ours"
    write_json(path, passport)
    again = made(root)
    assert again["input_contract"]["language"]["default_prompt"] == ""
    assert again["ours"] == {"a": 0}
    assert again["model_identity"]["note"] == {"deep": [False, {"er": None}]}
    assert again["weight_integrity"]["weight_files"][0]["mirror"] == "ours"
    without = made(root, declared={"ours": {"a": None}})
    assert get(without, "ours.a") is None


def test_what_a_run_said_is_not_kept_for_other_weights(tmp_path: Path) -> None:
    """Where the weights were changed, the run that made the old ones does not count for them."""
    root = write_llama(tmp_path / "model")
    made(root, run=RUN)
    (root / "model.safetensors").write_bytes(safetensors(LLAMA, fill=2))
    assert get(made(root), "provenance.training_repo_commit") is None


def test_what_is_measured_cannot_be_declared(tmp_path: Path) -> None:
    """Declared sizes and hashes are left out, with a warning; so is nothing else."""
    root = write_llama(tmp_path / "model")
    generated = generate(
        root,
        now=NOW,
        declared={"weight_integrity": {"weight_files": []}, "stack": "mine", "odd": 1},
    )
    assert generated.document["weight_integrity"]["weight_files"] and generated.document["odd"] == 1
    assert generated.document["stack"] == "mine"
    codes = [(problem.code, problem.where) for problem in generated.problems]
    assert codes == [("unknown-field", "odd"), ("not-declarable", "weight_integrity.weight_files")]


def test_a_passport_of_somebody_else_is_kept(tmp_path: Path) -> None:
    """A passport that another tool wrote is never replaced, and one of another schema is named."""
    root = write_llama(tmp_path / "model")
    write_json(root / "MODEL_PASSPORT.json", {"schema_version": "0.2", "generated_by": "another"})
    with pytest.raises(ForeignDocumentError):
        generate(root, now=NOW)
    write_json(
        root / "MODEL_PASSPORT.json", {"schema_version": "9", "generated_by": "watchkeeper 7"}
    )
    with pytest.raises(UsageError, match="'9'"):
        generate(root, now=NOW)


def test_a_folder_without_weights_has_a_passport_that_says_so(tmp_path: Path) -> None:
    """An empty folder, and one whose weights are torn, can be described; nothing is made up."""
    generated = generate(tmp_path, now=NOW)
    assert generated.document["weight_integrity"]["weight_files"] == []
    assert get(generated.document, "model_internals.state_dict.found_keys_count") is None


def test_no_folder_of_the_machine_is_written(tmp_path: Path) -> None:
    """Of absolute paths in configurations and journals only the name stays; what somebody declares
    is theirs to say.
    """
    root = write_llama(tmp_path / "model")
    run: Facts = {
        "provenance.parent_checkpoint": Fact("/scratch/me/base", "inferred"),
        "provenance.config_snapshot_path": Fact("out/config.yaml", "observed"),
        "input_contract.training_datasets": Fact(
            [{"repo": "~/words.json", "commit": None}], "inferred"
        ),
    }
    words = {"provenance": {"run_log_path": "/home/me/log.md"}}
    passport = made(root, run=run, declared=words)
    assert passport["provenance"]["parent_checkpoint"] == "base"
    assert passport["provenance"]["config_snapshot_path"] == "out/config.yaml"
    assert passport["provenance"]["run_log_path"] == "/home/me/log.md"
    assert passport["input_contract"]["training_datasets"][0]["repo"] == "words.json"


def test_the_moment_of_making_makes_no_other_passport(tmp_path: Path) -> None:
    """A later commit of the repository in which it is made leaves a passport as it is, until
    something else changes.
    """
    root = write_llama(tmp_path / "model")
    at = "provenance.passport_creation_repo_commit"
    made(root, creation={at: Fact("1" * 40, "observed")})
    newer: Facts = {at: Fact("2" * 40, "observed")}
    again = generate(root, now=NOW, creation=newer)
    assert not again.changed and get(again.document, at) == "1" * 40
    write_json(root / "generation_config.json", {"do_sample": True})
    assert get(made(root, creation=newer), at) == "2" * 40


def test_a_manifest_is_named_by_its_hash(tmp_path: Path) -> None:
    """The manifest that lies there is named; a checkpoint without one names none."""
    root = write_llama(tmp_path / "model")
    field = "weight_integrity.manifest_hash"
    assert made(root)[SOURCES][field] == "absent"
    put_manifest(root)
    document = made(root)
    manifest = (root / "CHECKPOINT_MANIFEST.json").read_bytes()
    assert get(document, field) == hashlib.sha256(manifest).hexdigest()
    assert document[SOURCES][field] == "observed"


def test_a_hash_never_stands_beside_another_files_path(tmp_path: Path) -> None:
    """Where the run says which configuration it had, the file beside the weights is not named; what
    it said is gone once the file alone is known, and has another hash.
    """
    root = write_llama(tmp_path / "model")
    write_json(root / "train_config.json", {"lr": 1})
    path, sha = "provenance.config_snapshot_path", "provenance.merged_config_sha256"
    before = made(root)
    assert get(before, path) == "train_config.json"
    write_json(root / "train_config.json", {"lr": 2})
    assert get(made(root), sha) not in (None, get(before, sha))
    run: Facts = {sha: Fact("f" * 64, "observed"), "provenance.run_id": Fact("r", "observed")}
    document = made(root, run=run)
    assert get(document, sha) == "f" * 64 and get(document, path) is None
