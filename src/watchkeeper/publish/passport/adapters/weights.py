"""What the headers of any weight file say: tensors, types, sizes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint, facts_from
from watchkeeper.publish.passport.document import Facts
from watchkeeper.publish.passport.tensors.tensor import Tensor

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_STATE = "model_internals.state_dict"


def facts(checkpoint: Checkpoint) -> Facts:
    """Keys, parameters and modules; of files that are not read, nothing.

    What an index says should be there is observed, too: the index is a file of the checkpoint.
    """
    inventory = checkpoint.inventory
    if not inventory.is_known or not inventory.files:
        return {}
    tensors = inventory.tensors.values()
    observed: dict[str, object] = {
        f"{_STATE}.found_keys_count": len(tensors),
        "model_internals.parameters.summary.total_params": sum(one.elements for one in tensors),
        "model_internals.parameters.summary.total_bytes": _bytes(tensors),
        "model_internals.parameters.summary.dtype_breakdown": _by_dtype(tensors),
    }
    inferred: dict[str, object] = {"model_internals.module_hierarchy": _modules(inventory.tensors)}
    if inventory.expected is not None:
        observed[f"{_STATE}.expected_keys_count"] = len(inventory.expected)
        observed[f"{_STATE}.missing_keys"] = inventory.missing
        observed[f"{_STATE}.unexpected_keys"] = inventory.unexpected
    return {**facts_from("observed", observed), **facts_from("inferred", inferred)}


def _bytes(tensors: Iterable[Tensor]) -> int | None:
    """The bytes of all; None: a header does not say."""
    total = 0
    for tensor in tensors:
        if tensor.size_bytes is None:
            return None
        total += tensor.size_bytes
    return total


def _by_dtype(tensors: Iterable[Tensor]) -> dict[str, int]:
    """How many numbers there are of each type."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        counts[tensor.dtype] += tensor.elements
    return dict(sorted(counts.items()))


def _modules(names: Iterable[str]) -> list[str]:
    """The modules that the names speak of, layers that are alike as one: `layers.*.attn`."""
    modules: set[str] = set()
    for name in names:
        module = name.rpartition(".")[0]
        if module:
            modules.add(_NUMBER.sub("*", f"{module}.")[:-1])
    return sorted(modules)
