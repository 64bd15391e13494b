"""The configuration of the training, where it was saved beside the weights."""

from __future__ import annotations

from typing import Any

from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint, facts_from
from watchkeeper.publish.passport.document import Facts

SNAPSHOT = "provenance.config_snapshot_path"
SHA256 = "provenance.merged_config_sha256"
_NAMES = ("torchtune_config.yaml", "train_config.json", "training_config.yaml", "hparams.yaml")
"""A model's own `config.json` says how it is built, and nothing of its training."""


def facts(checkpoint: Checkpoint) -> Facts:
    """The path and the hash of the configuration; of several, which one counts is not said.

    {} where there is none, or where there are several.
    """
    there = [name for name in _NAMES if name in checkpoint.sizes]
    if len(there) != 1:
        return {}
    observed: dict[str, Any] = {
        SNAPSHOT: there[0],
        SHA256: checkpoint.sha256(there[0]) or None,
    }
    return facts_from("observed", observed)
