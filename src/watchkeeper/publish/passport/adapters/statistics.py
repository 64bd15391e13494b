"""Files of statistics by which a model's inputs are normalized, noticed by their names."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint, facts_from
from watchkeeper.publish.passport.document import Facts

_NAME = re.compile(
    r"(?:.*[_-])?(?:stats|statistics|norm|normalization|normalizer)(?:[_-].*)?", re.IGNORECASE
)
_SUFFIXES = frozenset([".json", ".yaml", ".yml", ".npz", ".npy", ".safetensors", ".pt"])
_NORMALIZATION = "input_contract.state.normalization"


def paths(checkpoint: Checkpoint) -> list[str]:
    """The files of statistics, by path, in the order of the checkpoint's files."""
    return [path for path in checkpoint.sizes if _is_statistics(PurePosixPath(path))]


def _is_statistics(path: PurePosixPath) -> bool:
    """Whether a name is that of statistics: `norm_stats.json`, `dataset_statistics.npz`."""
    return path.suffix.lower() in _SUFFIXES and _NAME.fullmatch(path.stem) is not None


def facts(checkpoint: Checkpoint) -> Facts:
    """The files with their hashes; one alone is also taken for that of the state.

    Of several, nobody can say from outside which one belongs to what.
    """
    files = [{"path": path, "sha256": checkpoint.sha256(path)} for path in paths(checkpoint)]
    if not files:
        return {}
    observed: dict[str, Any] = {"input_contract.stats_files": files}
    inferred: dict[str, Any] = {}
    if len(files) == 1:
        inferred[f"{_NORMALIZATION}.source"] = files[0]["path"]
        inferred[f"{_NORMALIZATION}.stats_fingerprint.file_sha256"] = files[0]["sha256"]
    return {**facts_from("observed", observed), **facts_from("inferred", inferred)}
