"""LoRA adapters as PEFT and torchtune save them: adapter_config.json beside adapter_model.*."""

from __future__ import annotations

import re
from typing import Any

from watchkeeper.publish.passport.adapters import hub
from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint, facts_from, text, whole
from watchkeeper.publish.passport.document import Facts

CONFIG = "adapter_config.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def facts(checkpoint: Checkpoint) -> Facts:
    """The base model that an adapter needs, as its parent; {} where there is no adapter."""
    config = checkpoint.read_json(CONFIG)
    if not config:
        return {}
    base = text(config.get("base_model_name_or_path"))
    observed: dict[str, Any] = {
        "provenance.parent_checkpoint": hub.name_at(base),
        "model_internals.adapter.type": text(config.get("peft_type")),
        "model_internals.adapter.rank": whole(config.get("r")),
        "model_internals.adapter.target_modules": config.get("target_modules"),
    }
    inferred: dict[str, Any] = {"model_internals.adapter.is_merged": is_merged(checkpoint)}
    if base and not is_merged(checkpoint):
        observed["model_internals.pretrained_provenance"] = [_asset(base, config)]
    version = text(config.get("peft_version"))
    observed["model_identity.library_versions.peft"] = version
    if not checkpoint.read_json("config.json"):
        inferred["stack"] = "peft"
    return {**facts_from("observed", observed), **facts_from("inferred", inferred)}


def _asset(base: str, config: dict[str, Any]) -> dict[str, Any]:
    """The base model as a pretrained asset; a branch or tag as its revision pins nothing, and a
    place in the Hub's cache pins the commit.
    """
    cached = hub.asset_at(base)
    if cached is not None:
        return cached
    revision = text(config.get("revision"))
    pinned = revision is not None and _COMMIT.fullmatch(revision) is not None
    return {"name": base, "revision": revision, "pinned": pinned}


def is_merged(checkpoint: Checkpoint) -> bool:
    """Whether a whole model lies beside the adapter: torchtune writes merged weights and the
    adapter together, and a library that sees both applies the adapter a second time.
    """
    files = checkpoint.inventory.files
    kinds = {file.is_adapter for file in files}
    return kinds == {True, False}
