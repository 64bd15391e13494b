"""Which files of a checkpoint go into a package, and where, is an allow-list by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.publish.vouched import checkpoint, safetensors
from watchkeeper.publish.package import layout
from watchkeeper.publish.package.contents import BadCheckpointError, choose, kind_of, totals


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("model.safetensors", "weights"),
        ("params/d/0123456789abcdef0123456789abcdef", "weights"),
        ("optimizer.pt", "weights"),
        ("tokenizer.json", "vocabulary"),
        ("cl100k_base.tiktoken", "vocabulary"),
        ("tokenizer.model", "binary"),
        ("preview.PNG", "binary"),
        ("config.json", "text"),
        ("id_rsa", "text"),
    ],
)
def test_what_a_file_is_judged_by_its_name(path: str, kind: str) -> None:
    """A file that is nothing known counts as text, and so is searched."""
    assert kind_of(path) == kind


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("optimizer.pt", "the trainer's own state"),
        ("scheduler.pt", "the trainer's own state"),
        ("rng_state_0.pth", "the trainer's own state"),
        ("recipe_state.pt", "the trainer's own state"),
        ("opt_state/d/0123456789abcdef0123456789abcdef", "the trainer's own state"),
        ("train_state/params/0.0", "the trainer's own state"),
        ("ema_state/0.0", "the trainer's own state"),
        ("wandb_id.txt", "a record of the run"),
        (".netrc", "a hidden file"),
        ("cache/.lock", "a hidden file"),
        ("core.4711", "no known part of a model"),
    ],
)
def test_what_stays_behind_is_named_with_its_reason(tmp_path: Path, path: str, why: str) -> None:
    """Nothing is left out in silence."""
    root = checkpoint(tmp_path / "model")
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"12345")
    held = choose(root, "7")
    assert [(one.path, one.size_bytes, one.why) for one in held.left_out] == [(path, 5, why)]
    assert list(totals(held.left_out)) == [(why, 1, 5)]
    assert path not in held.moved


def test_the_documents_of_the_checkpoint_are_made_anew(tmp_path: Path) -> None:
    """They are neither packed nor left out."""
    held = choose(checkpoint(tmp_path / "model"), "7")
    assert held.moved == {"model.safetensors": "checkpoints/7/params/model.safetensors"}
    assert held.left_out == () and held.size_bytes == 73


def test_an_adapter_beside_whole_weights_has_its_own_folder(tmp_path: Path) -> None:
    """A library that sees both applies the adapter a second time; an adapter alone is the model."""
    root = checkpoint(tmp_path / "model")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (root / name).write_bytes(safetensors())
    assert (
        choose(root, "7").moved["adapter_config.json"]
        == "checkpoints/7/adapter/adapter_config.json"
    )
    (root / "model.safetensors").unlink()
    assert set(choose(root, "7").moved.values()) == {
        "checkpoints/7/params/adapter_model.safetensors",
        "checkpoints/7/params/adapter_config.json",
    }


def test_a_link_out_of_the_checkpoint_is_refused(tmp_path: Path) -> None:
    """A file from elsewhere is no part of the checkpoint."""
    root = checkpoint(tmp_path / "model")
    (tmp_path / "private.json").write_text("{}")
    (root / "notes.json").symlink_to(tmp_path / "private.json")
    with pytest.raises(BadCheckpointError) as refusal:
        choose(root, "7")
    assert [one.name for one in refusal.value.checks] == ["link-leads-out"]


@pytest.mark.parametrize(
    ("folder", "step", "name"),
    [
        ("epoch_1", 200, "200"),
        ("step_2000", None, "2000"),
        ("global_step1500", None, "1500"),
        ("checkpoint-40", None, "40"),
        ("epoch_1", None, "epoch_1"),
        ("моя модель", None, "checkpoint"),
    ],
)
def test_the_checkpoints_name_is_its_training_step(
    folder: str, step: int | None, name: str
) -> None:
    """A step that is known comes first, then the number in a name, then the name if it is plain."""
    assert layout.step_of(folder, step) == name
