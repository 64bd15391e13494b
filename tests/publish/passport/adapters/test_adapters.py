"""What each kind of checkpoint says of itself."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import safetensors, write_json, write_llama
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.passport.adapters import config_files, datasets, hub, torchtune
from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint
from watchkeeper.publish.passport.adapters.registry import facts_by_adapters
from watchkeeper.publish.passport.document import Facts
from watchkeeper.publish.passport.tensors.inventory import look

ADAPTER = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "org/base"}


def facts_of(root: Path, *added: EntryPoint) -> Facts:
    """What the adapters say of a folder."""
    sizes = list_files(root)[0].sizes
    checkpoint = Checkpoint(root=root, sizes=sizes, inventory=look(root, sizes))
    return facts_by_adapters(checkpoint, iter(added))[0]


def test_an_adapter_names_its_base_as_parent(tmp_path: Path) -> None:
    """Of a LoRA adapter alone, the base model is the parent and an asset that wants a pin."""
    write_json(tmp_path / "adapter_config.json", ADAPTER)
    (tmp_path / "adapter_model.safetensors").write_bytes(safetensors({"a": ("F32", (2,))}))
    facts = facts_of(tmp_path)
    assert facts["provenance.parent_checkpoint"].value == "org/base"
    (asset,) = facts["model_internals.pretrained_provenance"].value
    assert asset == {"name": "org/base", "revision": None, "pinned": False}
    assert facts["stack"].value == "peft"
    assert facts["model_internals.state_dict.found_keys_count"].value == 1


def test_merged_weights_need_no_base(tmp_path: Path) -> None:
    """Beside whole weights an adapter's base is their parent, and nothing has to be loaded for it;
    its tensors are none of the model's.
    """
    root = write_llama(tmp_path)
    write_json(root / "adapter_config.json", ADAPTER)
    (root / "adapter_model.safetensors").write_bytes(safetensors({"a": ("F32", (2,))}))
    facts = facts_of(root)
    assert "model_internals.pretrained_provenance" not in facts
    assert facts["model_internals.adapter.is_merged"].value is True
    assert facts["model_internals.state_dict.found_keys_count"].value == 4
    assert facts["stack"].value == "transformers"


def test_torchtunes_configuration_is_inferred(tmp_path: Path) -> None:
    """What a recipe was given names stack, data and parent, and none of it counts as observed."""
    (tmp_path / "torchtune_config.yaml").write_text(
        "model: {_component_: torchtune.models.llama3_2.lora_llama3_2}\n"
        "tokenizer: {_component_: torchtune.models.llama3.llama3_tokenizer, max_seq_len: 64}\n"
        "dataset: {_component_: torchtune.datasets.instruct_dataset, source: json, data_files: t}\n"
        "checkpointer:\n  _component_: torchtune.training.FullModelHFCheckpointer\n"
        "  checkpoint_dir: base\n"
    )
    facts = facts_of(tmp_path)
    assert facts["stack"] == ("torchtune", "inferred")
    assert facts["input_contract.language.max_sequence_length"] == (64, "inferred")
    assert facts["provenance.parent_checkpoint"].value == "base"
    (dataset,) = facts["input_contract.training_datasets"].value
    assert (dataset["repo"], dataset["data_files"], dataset["commit"]) == ("t", "t", None)


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "checkpointer: {_component_: other.Thing}", "\xff"]
)
def test_a_configuration_of_something_else_says_nothing(tmp_path: Path, text: str) -> None:
    """Of a file that is no recipe's, or no YAML, only its place and its hash are written down."""
    (tmp_path / "torchtune_config.yaml").write_bytes(text.encode("latin-1"))
    assert set(facts_of(tmp_path)) == {config_files.SNAPSHOT, config_files.SHA256}


@pytest.mark.parametrize(
    ("name", "is_noticed"),
    [
        ("norm_stats.json", True),
        ("assets/dataset_statistics.json", True),
        ("stats.npz", True),
        ("normalizer_state.pt", True),
        ("state.json", False),
        ("normal.json", False),
        ("stats.txt", False),
    ],
)
def test_files_of_statistics_are_noticed(tmp_path: Path, name: str, is_noticed: bool) -> None:
    """Statistics are known by their usual names, and other files are left alone."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    facts = facts_of(tmp_path)
    assert ("input_contract.stats_files" in facts) is is_noticed
    assert ("input_contract.state.normalization.source" in facts) is is_noticed


def test_several_files_of_statistics_are_nobodys_guess(tmp_path: Path) -> None:
    """Which of several belongs to the state is not concluded."""
    for name in ("stats.json", "norm.json"):
        (tmp_path / name).write_text("{}")
    facts = facts_of(tmp_path)
    assert len(facts["input_contract.stats_files"].value) == 2
    assert "input_contract.state.normalization.source" not in facts


def ours(root: Path) -> dict[str, Any]:
    """An adapter of another package."""
    return {
        "stack": f"ours, {root.name}",
        "weight_integrity": {"weight_files": []},
        "input_contract": {"state": {"total_dim": 7}},
        "field_sources": {"input_contract.state.total_dim": "observed"},
    }


def breaks(root: Path) -> dict[str, Any]:
    """An adapter that fails."""
    raise RuntimeError(root.name)


def test_another_packages_adapter_has_the_last_word(tmp_path: Path) -> None:
    """Its fields count, as inferred where it does not mark them, and it cannot say what is
    measured.
    """
    root = write_llama(tmp_path / "model")
    point = EntryPoint("ours", f"{__name__}:ours", "watchkeeper.passport")
    facts = facts_of(root, point)
    assert facts["stack"] == ("ours, model", "inferred")
    assert facts["input_contract.state.total_dim"] == (7, "observed")
    assert "weight_integrity.weight_files" not in facts


def test_an_adapter_that_fails_costs_its_own_fields_alone(tmp_path: Path) -> None:
    """The failure is a warning, and the other adapters' fields are there."""
    root = write_llama(tmp_path / "model")
    sizes = list_files(root)[0].sizes
    checkpoint = Checkpoint(root=root, sizes=sizes, inventory=look(root, sizes))
    point = EntryPoint("breaks", f"{__name__}:breaks", "watchkeeper.passport")
    facts, (problem,) = facts_by_adapters(checkpoint, iter([point]))
    assert facts["stack"].value == "transformers"
    assert problem.code == "adapter-failed" and "RuntimeError('model')" in problem.message


CACHED = f"/x/hub/models--org--base-1B/snapshots/{'d' * 40}"


def test_a_base_in_the_hubs_cache_is_pinned(tmp_path: Path) -> None:
    """The place where the Hub's client keeps a model names its commit: of an adapter's base, of the
    model from which one was loaded, and of a recipe's.
    """
    asset = {"name": "org/base-1B", "revision": "d" * 40, "pinned": True}
    for file, config in {
        "adapter_config.json": ADAPTER | {"base_model_name_or_path": CACHED, "peft_version": "1.2"},
        "config.json": {"_name_or_path": f"{CACHED}/"},
    }.items():
        (tmp_path / file).unlink(missing_ok=True)
        root = tmp_path / file.partition(".")[0]
        root.mkdir()
        write_json(root / file, config)
        facts = facts_of(root)
        assert facts["model_internals.pretrained_provenance"].value == [asset]
        assert facts["provenance.parent_checkpoint"].value == "org/base-1B"
    recipe = {"checkpointer": {"_component_": "torchtune.x", "checkpoint_dir": CACHED}}
    assert torchtune.of_config(recipe)["model_internals.pretrained_provenance"].value == [asset]


@pytest.mark.parametrize(
    "path",
    ["org/base", "", CACHED[:-1], CACHED.replace("snapshots", "blobs"), f"{CACHED}e/model"],
)
def test_any_other_place_pins_nothing(path: str) -> None:
    """A name, half a commit, and a folder that is none of the Hub's stay as they are."""
    assert hub.asset_at(path) is None and hub.name_at(path) == path


def test_a_tokenizer_names_its_tokens_and_its_version(tmp_path: Path) -> None:
    """Special tokens come as texts or as objects, and the version is that of the file."""
    root = write_llama(tmp_path)
    tokens = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": None}
    write_json(root / "tokenizer_config.json", tokens)
    facts = facts_of(root)
    assert facts["input_contract.language.special_tokens"] == (
        {"bos": "<s>", "eos": "</s>"},
        "observed",
    )
    assert facts["input_contract.language.tokenizer_version"] == ("1.0", "observed")


def test_what_loading_demands_is_a_constraint(tmp_path: Path) -> None:
    """The type of the numbers, code of its own, and a library for packed weights are demanded."""
    config = {"torch_dtype": "bfloat16", "auto_map": {"AutoModel": "m.M"}}
    write_json(tmp_path / "config.json", config | {"quantization_config": {"quant_method": "gptq"}})
    said = {
        path.rpartition(".")[2]: fact
        for path, fact in facts_of(tmp_path).items()
        if path.startswith("model_identity.runtime_constraints.")
    }
    assert {name: fact.value for name, fact in said.items()} == {
        "dtype": "bfloat16",
        "trust_remote_code": True,
        "quant_method": "gptq",
    }
    assert {fact.source for fact in said.values()} == {"observed"}


def test_a_model_cards_head_is_inferred(tmp_path: Path) -> None:
    """Base model and datasets of a card's YAML count as inferred; the text below says nothing."""
    (tmp_path / "README.md").write_text(
        "---\nbase_model: org/base\ndatasets:\n- org/words\n---\n# A model\nbase_model: other\n"
    )
    facts = facts_of(tmp_path)
    assert facts["provenance.parent_checkpoint"] == ("org/base", "inferred")
    assert facts["input_contract.training_datasets"] == (
        [{"repo": "org/words", "commit": None}],
        "inferred",
    )


@pytest.mark.parametrize(
    "card",
    ["# A model\n", "---\nbase_model: [a, b]\n---\n", "---\nbase_model: a\n", "---\n[\n---\n", ""],
)
def test_a_card_that_names_no_one_base_names_none(tmp_path: Path, card: str) -> None:
    """A merge of several, a head without an end, and one that is no YAML say nothing."""
    (tmp_path / "README.md").write_text(card)
    assert facts_of(tmp_path) == {}


def test_of_two_configurations_none_is_the_runs(tmp_path: Path) -> None:
    """One configuration beside the weights is the snapshot; of two, none counts."""
    write_json(tmp_path / "train_config.json", {"lr": 1})
    facts = facts_of(tmp_path)
    assert facts[config_files.SNAPSHOT] == ("train_config.json", "observed")
    assert len(facts[config_files.SHA256].value) == 64
    (tmp_path / "hparams.yaml").write_text("lr: 1\n")
    assert facts_of(tmp_path) == {}


def test_a_recipes_prompts_are_named() -> None:
    """The system prompt and the template that a recipe put around each sample are inferred."""
    config = {
        "checkpointer": {"_component_": "torchtune.x"},
        "dataset": {"new_system_prompt": "Capitalize.", "prompt_template": "t.T"},
    }
    fact = torchtune.of_config(config)["input_contract.language.training_prompts"]
    assert fact == ({"system": "Capitalize.", "template": "t.T"}, "inferred")


@pytest.mark.parametrize(
    ("config", "entries"),
    [
        ({}, []),
        ({"dataset": 3, "data": None}, []),
        ({"dataset": "a/b"}, [{"repo": "a/b", "commit": None}]),
        ({"dataset": "a/b", "dataset_revision": "c1"}, [{"repo": "a/b", "commit": "c1"}]),
        ({"repo_id": "a/b", "repo_commit": "c1"}, [{"repo": "a/b", "commit": "c1"}]),
        ({"data": {"path": "a", "revision": "r"}}, [{"repo": "a", "commit": "r"}]),
        (
            {"datasets": [{"name": "a", "version": "2"}, "b", {"split": "x"}]},
            [{"repo": "a", "commit": None, "version": "2"}, {"repo": "b", "commit": None}],
        ),
    ],
)
def test_the_data_of_a_configuration(config: Any, entries: list[Any]) -> None:
    """Texts, mappings and lists of them name datasets, each with its revision where one stands."""
    assert datasets.named_in(config) == entries
