"""Checkpoints of torchtune: files as transformers names them, and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import ExperimentError
from watchkeeper.publish.manifest.safe import UnsafePathError, inside
from watchkeeper.publish.passport.adapters import hub
from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint, facts_from, text, whole
from watchkeeper.publish.passport.document import Facts
from watchkeeper.reading import yaml
from watchkeeper.reading.plain import TooLargeError, plain

CONFIG = "torchtune_config.yaml"
_PREFIX = "torchtune."
_FORMATS = ("json", "csv", "text", "parquet", "arrow")


def facts(checkpoint: Checkpoint) -> Facts:
    """What torchtune's configuration says, where it lies in the checkpoint; else {}."""
    if CONFIG not in checkpoint.sizes:
        return {}
    try:
        data = read_whole(inside(checkpoint.root, CONFIG))
    except (UnsafePathError, OSError):
        return {}
    return of_config(parse(data))


def parse(data: bytes) -> Mapping[str, Any]:
    """A configuration in YAML as plain values; {}: it is none."""
    try:
        value = plain(yaml.load(Path(CONFIG), data))
    except (ExperimentError, TooLargeError):
        return {}
    if not isinstance(value, Mapping):
        return {}
    return value


def is_torchtunes(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of a torchtune recipe."""
    component = text(_section(config, "checkpointer").get("_component_"))
    return component is not None and component.startswith(_PREFIX)


def of_config(config: Mapping[str, Any]) -> Facts:
    """What a configuration of torchtune says: it was asked for, so all of it is inferred."""
    if not is_torchtunes(config):
        return {}
    base = text(_section(config, "checkpointer").get("checkpoint_dir"))
    asset = hub.asset_at(base) if base else None
    inferred: dict[str, Any] = {
        "stack": "torchtune",
        "model_identity.class_module": text(_section(config, "model").get("_component_")),
        "input_contract.language.max_sequence_length": whole(
            _section(config, "tokenizer").get("max_seq_len")
        ),
        "input_contract.training_datasets": _datasets(config),
        "input_contract.language.training_prompts": _prompts(config),
        "provenance.parent_checkpoint": hub.name_at(base),
        "model_internals.pretrained_provenance": [asset] if asset else None,
    }
    return facts_from("inferred", inferred)


def _prompts(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the text of each sample was put into: a system prompt, a template. None: neither is set.

    Whoever asks the model later has to do the same.
    """
    dataset, tokenizer = _section(config, "dataset"), _section(config, "tokenizer")
    prompts = {
        "system": text(dataset.get("new_system_prompt")),
        "template": dataset.get("prompt_template") or tokenizer.get("prompt_template"),
    }
    return {name: prompt for name, prompt in prompts.items() if prompt} or None


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the configuration, such as `tokenizer:`; {}: it has none."""
    section = config.get(name)
    if not isinstance(section, Mapping):
        return {}
    return section


def _datasets(config: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The data of a fine-tune, from the section `dataset`; None: there is none.

    It has what `datasets.load_dataset` takes: a `source`, files, a revision; `_component_` is the
    builder that makes samples of it.
    """
    dataset = _section(config, "dataset")
    if not dataset:
        return None
    return [
        {
            "repo": _repo(dataset),
            "data_files": text(dataset.get("data_files")),
            "loader_class": text(dataset.get("_component_")),
            "commit": text(dataset.get("revision")),
        }
    ]


def _repo(dataset: Mapping[str, Any]) -> str | None:
    """The dataset's name; of files, their path, since `source` then only names their format:
    `source: json` with `data_files: train.json`.
    """
    source = text(dataset.get("source"))
    if source in _FORMATS:
        return text(dataset.get("data_files")) or source
    return source
