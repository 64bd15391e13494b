"""Whether a passport is what it should be, and fits the checkpoint beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import LLAMA, safetensors, write_json, write_llama
from tests.publish.checkpoints import put_manifest
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.passport.checks import check_passport
from watchkeeper.publish.passport.document import Fact, Facts, put
from watchkeeper.publish.passport.generate import generate, write_passport

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
COMMIT = "a" * 40
RUN: Facts = {
    path: Fact(value, "observed")
    for path, value in {
        "provenance.training_repo_commit": COMMIT,
        "provenance.run_log_path": "run_logs/2026-03-11_train.md",
        "provenance.merged_config_sha256": "b" * 64,
        "provenance.started_at": "2026-03-11T12:00:00Z",
        "input_contract.training_datasets": [{"repo": "ours/words", "commit": COMMIT}],
    }.items()
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkpoint of two shards with a sound passport."""
    folder = write_llama(tmp_path / "model", shards=2)
    write_json(folder / "norm_stats.json", {"mean": 0.5})
    write_passport(folder, generate(folder, now=NOW, run=RUN).document)
    return folder


def names(root: Path, status: str = "", **more: Any) -> set[str]:
    """The names of the checks, of one status or of all that are none to be glad of."""
    wanted = (status,) if status else ("fail", "soft_signal")
    checks = check_passport(root, now=more.pop("now", NOW), **more)
    return {check.name for check in checks if check.status in wanted}


def edit(root: Path, **fields: Any) -> None:
    """Set fields of the passport by their paths, `__` for a dot."""
    path = root / "MODEL_PASSPORT.json"
    document = json.loads(path.read_text())
    for name, value in fields.items():
        put(document, name.replace("__", "."), value)
    write_json(path, document)


def test_a_sound_passport_passes_in_every_category(root: Path) -> None:
    """Nothing fails and nothing is soft; what was not looked at is said."""
    checks = check_passport(root, now=NOW, with_hashes=True)
    assert verdict(checks) == "pass"
    passed = {check.category for check in checks if check.status == "pass"}
    assert passed == {"input_expectation", "model_internals", "output_spec", "provenance"}
    assert names(root, "not_checked") == {"reference", "numerical-health", "weight-hashes"}


FIELDS: list[tuple[str, Any, str]] = [
    ("model_internals__state_dict__expected_keys_count", 5, "key-count"),
    ("model_internals__state_dict__found_keys_count", 3, "keys-changed"),
    ("model_internals__state_dict__missing_keys", ["a"], "missing-keys"),
    ("model_internals__state_dict__unexpected_keys", ["a"], "unexpected-keys"),
    ("model_internals__numerical_health", {"nan_count": 3}, "nan-recorded"),
    ("model_internals__numerical_health", {"has_nan": True}, "nan-recorded"),
    ("model_internals__pretrained_provenance", [{"name": "x", "revision": "main"}],
     "unpinned-asset"),
    ("output_spec__smoke_results", {"nan_inf": "fail"}, "nan-recorded"),
    ("provenance__training_repo_commit", None, "no-commit"),
    ("provenance__training_repo_commit", "not a commit", "no-commit"),
    ("provenance__run_log_path", None, "no-run-log"),
    ("provenance__training_code_dirty", True, "uncommitted"),
    ("provenance__merged_config_sha256", None, "no-config-snapshot"),
    ("provenance__run_log_path", "/home/me/run.md", "path-outside"),
    ("provenance__started_at", "2026-03-12T12:00:00Z", "clock"),
    ("generated_at", "2026-03-12T12:00:00Z", "clock"),
    ("generated_at", "noon", "no-time"),
    ("input_contract", {"notes": "to come"}, "no-input-contract"),
    ("input_contract__training_datasets", [{"repo": "x", "commit": "main"}], "unpinned-dataset"),
    ("input_contract__training_datasets", None, "no-dataset"),
    ("input_contract__stats_files", [{"path": "gone.json", "sha256": "a"}], "stats-missing"),
    ("input_contract__stats_files", [{"path": "norm_stats.json", "sha256": "a"}], "stats-changed"),
    ("input_contract__state", {"normalization": {
        "source": "norm_stats.json", "stats_fingerprint": {"file_sha256": "a"}}}, "stats-changed"),
    ("input_contract__actions", {"normalization": {
        "source": None, "stats_fingerprint": {"file_sha256": "a"}}}, "stats-missing"),
    ("weight_integrity__weight_files", [], "no-weights-listed"),
    ("weight_integrity__weight_files", [], "unlisted-weights"),
    ("weight_integrity__weight_files", [{"path": "a"}, {"path": "a"}], "listed-twice"),
    ("weight_integrity__weight_files", [{"path": "gone.safetensors"}], "weights-missing"),
    ("schema_version", "0.1", "other-schema"),
    ("reference_test_vector", {"n_frames": 0, "input_prompt": "x"}, "dummy-reference"),
    ("reference_test_vector", {"n_frames": 1, "input_state": [0.0, 0]}, "dummy-reference"),
    ("reference_test_vector", {"n_frames": 1, "input_state_hash": "0" * 64}, "dummy-reference"),
    ("reference_test_vector", {"input_prompt": "x", "outputs": [0, 0]}, "dummy-reference"),
    ("reference_test_vector", {"notes": "to come"}, "dummy-reference"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "name"), FIELDS)
def test_a_field_that_is_wrong_is_named(root: Path, field: str, value: Any, name: str) -> None:
    """Each contradiction and each gap in the passport has a check of its own."""
    edit(root, **{field: value})
    assert name in names(root)


SOFT = {
    "no-run-log", "uncommitted", "no-config-snapshot", "path-outside", "clock", "no-time",
    "no-input-contract", "unpinned-dataset", "no-dataset",
}  # fmt: skip


@pytest.mark.parametrize(("field", "value", "name"), FIELDS)
def test_what_is_hard_and_what_is_soft(root: Path, field: str, value: Any, name: str) -> None:
    """A gap in what is said of the origin is a soft signal; what contradicts the files fails."""
    edit(root, **{field: value})
    status = "soft_signal" if name in SOFT else "fail"
    assert name in names(root, status)


@pytest.mark.parametrize(
    "vector",
    [
        {"n_frames": 1, "input_state": [0, 0.5]},
        {"input_prompt": "Capitalize: word"},
        {"n_frames": 2, "input_images_hash": "ab" * 32, "outputs": {"logits": [0, 1.5]}},
    ],
)
def test_a_real_test_vector_passes(root: Path, vector: dict[str, Any]) -> None:
    """A vector with an input that is not nothing is no dummy."""
    edit(root, reference_test_vector=vector)
    assert not names(root)


def _swap(root: Path) -> None:
    (root / "model-00001-of-00002.safetensors").write_bytes(
        safetensors(dict(list(LLAMA.items())[::2]), fill=2)
    )


def _drop_shard(root: Path) -> None:
    (root / "model-00002-of-00002.safetensors").unlink()


def _tear(root: Path) -> None:
    path = root / "model-00001-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def _lose_tensor(root: Path) -> None:
    path = root / "model-00002-of-00002.safetensors"
    path.write_bytes(safetensors({"another": ("F32", (4,))}))


def _second_epoch(root: Path) -> None:
    for name in ("epoch_0", "epoch_1"):
        write_llama(root / name)


def _second_lightning_epoch(root: Path) -> None:
    for name in ("epoch=0.ckpt", "epoch=1.ckpt"):
        (root / name).write_bytes(b"\x80\x02}q\x00.")


def _no_config(root: Path) -> None:
    (root / "config.json").unlink()
    edit(root, provenance__merged_config_sha256=None)


def _no_weights(root: Path) -> None:
    for path in root.glob("model*"):
        path.unlink()


def _other_tokenizer(root: Path) -> None:
    (root / "tokenizer.json").write_text("{}")


def _no_passport(root: Path) -> None:
    (root / "MODEL_PASSPORT.json").unlink()


def _adapter(root: Path) -> None:
    write_json(root / "adapter_config.json", {"peft_type": "LORA", "r": 8})
    (root / "adapter_model.safetensors").write_bytes(safetensors({"lora_A": ("F32", (4,))}))


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (_swap, "weights-changed"),
        (_tear, "weights-damaged"),
        (_drop_shard, "shards"),
        (_drop_shard, "weights-missing"),
        (_lose_tensor, "missing-keys"),
        (_lose_tensor, "unexpected-keys"),
        (_second_epoch, "several-checkpoints"),
        (_second_lightning_epoch, "several-checkpoints"),
        (_no_config, "no-config"),
        (_no_weights, "no-weights"),
        (_other_tokenizer, "tokenizer-changed"),
        (_no_passport, "no-passport"),
        (_adapter, "double-lora"),
        (_adapter, "unlisted-weights"),
    ],
)
def test_a_checkpoint_that_differs_is_named(
    root: Path, damage: Callable[[Path], None], name: str
) -> None:
    """Each way in which the folder is not what the passport means has a check of its own."""
    damage(root)
    assert name in names(root, with_hashes=True)


def test_an_adapter_without_its_configuration_is_applied_by_nobody(root: Path) -> None:
    """Where adapter_config.json was renamed, as torchtune's users do, no library applies it."""
    _adapter(root)
    (root / "adapter_config.json").rename(root / "merged_adapter_config.json")
    assert "double-lora" not in names(root)


def test_a_swapped_weight_of_the_same_size_needs_its_hash(root: Path) -> None:
    """Without hashes only sizes are compared, which is said; with them the swap fails."""
    _swap(root)
    assert "weights-changed" not in names(root)
    assert "weight-hashes" in names(root, "not_checked")
    assert "weights-changed" in names(root, "fail", with_hashes=True)


def test_clocks_of_two_machines_may_differ(root: Path) -> None:
    """Minutes between two clocks are no signal."""
    edit(root, generated_at="2026-03-11T15:04:00Z", provenance__started_at="2026-03-11T15:08:00")
    assert not names(root)


def test_weights_of_a_format_that_is_not_read_are_not_checked(tmp_path: Path) -> None:
    """Tensors in another format fail nothing, and are said not to be known."""
    (tmp_path / "model.tflite").write_bytes(b"\x08\x07")
    write_passport(tmp_path, generate(tmp_path, now=NOW, run=RUN).document)
    assert "tensors" in names(tmp_path, "not_checked")
    assert not names(tmp_path, "fail")


def test_shards_without_an_index_are_counted(tmp_path: Path) -> None:
    """Half of the shards is not the model, also where no index says so."""
    (tmp_path / "model-00001-of-00003.safetensors").write_bytes(safetensors(LLAMA))
    write_passport(tmp_path, generate(tmp_path, now=NOW).document)
    assert "shards" in names(tmp_path, "fail")


def test_weights_without_a_tensor_fail(tmp_path: Path) -> None:
    """A pickle that holds no tensor is no model."""
    (tmp_path / "model.pt").write_bytes(b"\x80\x02}q\x00.")
    write_passport(tmp_path, generate(tmp_path, now=NOW).document)
    assert "no-tensors" in names(tmp_path, "fail")


def test_another_manifest_than_the_passports_is_a_soft_signal(root: Path) -> None:
    """A manifest that was written again is said; one that another program's passport names by a
    hash of its own kind is not compared.
    """
    put_manifest(root)
    write_passport(root, generate(root, now=NOW, run=RUN).document)
    assert "manifest-changed" not in names(root)
    (root / "README.md").write_text("# new")
    put_manifest(root)
    assert "manifest-changed" in names(root, "soft_signal")
    document = json.loads((root / "MODEL_PASSPORT.json").read_bytes())
    write_json(root / "MODEL_PASSPORT.json", {**document, "field_sources": {}})
    assert "manifest-changed" not in names(root)


def test_nan_is_said_once(root: Path) -> None:
    """Counts of NaN and of infinity that were recorded together are one finding, which names both
    fields.
    """
    edit(root, model_internals__numerical_health={"nan_count": 1, "inf_count": 2, "scanned": 3})
    (check,) = [one for one in check_passport(root, now=NOW) if one.name == "nan-recorded"]
    assert check.message.endswith(": nan_count, inf_count")
