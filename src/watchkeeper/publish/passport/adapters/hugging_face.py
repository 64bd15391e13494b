"""Checkpoints of transformers: config.json, generation_config.json, the tokenizer's files."""

from __future__ import annotations

from typing import Any

from watchkeeper.publish.passport.adapters import hub
from watchkeeper.publish.passport.adapters.checkpoint import (
    Checkpoint,
    below,
    facts_from,
    text,
    texts,
    whole,
)
from watchkeeper.publish.passport.document import Facts

_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt")
_SPECIAL = ("bos", "eos", "unk", "pad")
_LANGUAGE = "input_contract.language"
_IDENTITY = "model_identity"


def facts(checkpoint: Checkpoint) -> Facts:
    """What the files of a transformers checkpoint say; {} where there is no config.json."""
    config = checkpoint.read_json("config.json")
    if not config:
        return {}
    return {
        **_identity(config),
        **_origin(config),
        **_language(checkpoint, config),
        **_output(checkpoint),
    }


def _identity(config: dict[str, Any]) -> Facts:
    """The model's class and what it needs, as `config.json` names them.

    `"architectures": ["LlamaForCausalLM"]` is the class that `from_pretrained` would make.
    """
    architectures = texts(config.get("architectures"))
    version = text(config.get("transformers_version"))
    observed: dict[str, Any] = {
        f"{_IDENTITY}.class_name": next(iter(architectures or []), None),
        f"{_IDENTITY}.config_architectures": architectures,
        f"{_IDENTITY}.model_type": text(config.get("model_type")),
        "model_internals.quantization": config.get("quantization_config"),
        **below(f"{_IDENTITY}.runtime_constraints", _constraints(config)),
    }
    inferred = {"stack": "transformers" if architectures or version else None}
    if version:
        observed[f"{_IDENTITY}.library_versions.transformers"] = version
    return {**facts_from("observed", observed), **facts_from("inferred", inferred)}


def _constraints(config: dict[str, Any]) -> dict[str, Any]:
    """What the configuration demands of whoever loads the model.

    An `auto_map` means that its class lies in files of the checkpoint: loading it runs them.
    """
    quantization = config.get("quantization_config")
    constraints = {
        "dtype": text(config.get("dtype")) or text(config.get("torch_dtype")),
        "attention": text(config.get("_attn_implementation")),
        "trust_remote_code": True if config.get("auto_map") else None,
    }
    if isinstance(quantization, dict):
        constraints["quant_method"] = text(quantization.get("quant_method"))
    return {name: value for name, value in constraints.items() if value is not None}


def _origin(config: dict[str, Any]) -> Facts:
    """The model from which this one was loaded before it was saved. A name can be the model's own,
    so that it is only inferred; a place in the Hub's cache names the commit too.
    """
    source = text(config.get("_name_or_path"))
    asset = hub.asset_at(source) if source else None
    inferred: dict[str, Any] = {
        "provenance.parent_checkpoint": hub.name_at(source),
        "model_internals.pretrained_provenance": [asset] if asset else None,
    }
    return facts_from("inferred", inferred)


def _language(checkpoint: Checkpoint, config: dict[str, Any]) -> Facts:
    """The contract of a language model's input; nothing for a checkpoint without a tokenizer."""
    tokenizer = checkpoint.read_json("tokenizer_config.json")
    files = [path for path in _TOKENIZER if path in checkpoint.sizes]
    if not tokenizer and not files:
        return {}
    limits = [tokenizer.get("model_max_length"), config.get("max_position_embeddings")]
    lengths = [length for limit in limits if (length := whole(limit)) is not None]
    observed: dict[str, Any] = {
        f"{_LANGUAGE}.tokenizer_class": text(tokenizer.get("tokenizer_class")),
        f"{_LANGUAGE}.tokenizer_version": _version(checkpoint),
        f"{_LANGUAGE}.special_tokens": _special_tokens(tokenizer),
        f"{_LANGUAGE}.tokenizer_files": [
            {"path": path, "sha256": checkpoint.sha256(path)} for path in files
        ],
        f"{_LANGUAGE}.vocab_size": whole(config.get("vocab_size")),
        f"{_LANGUAGE}.max_sequence_length": min(lengths, default=None),
        f"{_LANGUAGE}.has_chat_template": _has_template(checkpoint, tokenizer),
    }
    return facts_from("observed", observed)


def _version(checkpoint: Checkpoint) -> str | None:
    """The version that the tokenizer's own file states, which is that of its form."""
    return text(checkpoint.read_json("tokenizer.json").get("version"))


def _special_tokens(tokenizer: dict[str, Any]) -> dict[str, str] | None:
    """The tokens with a meaning of their own: `bos`, `eos`, `unk`, `pad`; None: none is named.

    `{"bos": "<s>", "eos": "</s>"}`. They are those of `tokenizer_config.json`.
    """
    tokens: dict[str, str] = {}
    for name in _SPECIAL:
        content = _content(tokenizer.get(f"{name}_token"))
        if content is not None:
            tokens[name] = content
    return tokens or None


def _content(token: object) -> str | None:
    """The text of a token: `"</s>"`, or `{"content": "</s>", "lstrip": false, …}`."""
    if isinstance(token, dict):
        return text(token.get("content"))
    return text(token)


def _has_template(checkpoint: Checkpoint, tokenizer: dict[str, Any]) -> bool:
    """Whether a chat is put into a form before it is fed. Newer versions write a file of
    its own.
    """
    return "chat_template.jinja" in checkpoint.sizes or bool(tokenizer.get("chat_template"))


def _output(checkpoint: Checkpoint) -> Facts:
    """How the model is asked for text (temperature, the tokens that end it), as it was saved with
    the weights.
    """
    generation = checkpoint.read_json("generation_config.json")
    return facts_from("observed", below("output_spec.inference_parameters", generation))
