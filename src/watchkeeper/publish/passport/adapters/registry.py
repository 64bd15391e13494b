"""Which adapters look at a checkpoint: the built-in ones, and those that other packages bring.

A package adds one as an entry point of the group `watchkeeper.passport`: a function that takes the
checkpoint's folder, a `Path`, and returns fields of the passport as nested mappings. Marks may lie
in `field_sources`; a field without one counts as inferred. It must run nothing of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from watchkeeper.core.errors import Problem
from watchkeeper.publish.passport.adapters import (
    config_files,
    hugging_face,
    lora,
    model_card,
    statistics,
    torchtune,
    weights,
)
from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint, facts_from
from watchkeeper.publish.passport.document import MEASURED, Facts, facts_of

GROUP = "watchkeeper.passport"

Adapter = Callable[[Path], Mapping[str, Any]]
"""An adapter of another package: a checkpoint's folder → fields of its passport."""

_PICKLED = frozenset([".pt", ".pth", ".bin", ".ckpt", ".pkl"])


def _plain(checkpoint: Checkpoint) -> Facts:
    """The stack of weights that no library's own files lie beside: pickles are PyTorch's. {} for
    others; any other adapter that knows more overwrites it.
    """
    names = [file.path for file in checkpoint.inventory.files]
    if any(Path(name).suffix in _PICKLED for name in names):
        return facts_from("inferred", {"stack": "pytorch"})
    return {}


# A later one has the last word on a field.
BUILT_IN: tuple[Callable[[Checkpoint], Facts], ...] = (
    _plain,
    weights.facts,
    statistics.facts,
    config_files.facts,
    model_card.facts,
    hugging_face.facts,
    lora.facts,
    torchtune.facts,
)


def facts_by_adapters(
    checkpoint: Checkpoint, added: Iterable[EntryPoint] | None = None
) -> tuple[Facts, list[Problem]]:
    """What all adapters say, and which added ones failed. `added` are the entry points; None: those
    that are installed.
    """
    facts: Facts = {}
    for adapter in BUILT_IN:
        facts.update(adapter(checkpoint))
    problems: list[Problem] = []
    for point in _installed() if added is None else added:
        try:
            facts.update(_added(point, checkpoint.root))
        except Exception as error:  # another package's code may raise anything
            problems.append(_failed(point, error))
    return facts, problems


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """The adapters that other packages brought when this process first looked: looking reads the
    metadata of every package.
    """
    return tuple(entry_points(group=GROUP))


def _added(point: EntryPoint, root: Path) -> Facts:
    """What an added adapter says, without what is only measured. Raises whatever the adapter
    raises.
    """
    adapter: Adapter = point.load()
    facts = facts_of(dict(adapter(root)), "inferred")
    return {path: fact for path, fact in facts.items() if path not in MEASURED}


def _failed(point: EntryPoint, error: Exception) -> Problem:
    """That an added adapter raised an error: its fields are left out, the others stay."""
    return Problem(
        where=f"{GROUP}: {point.name}",
        message=f"the adapter {point.value} failed: {error!r}",
        hint="its fields are left out of the passport",
        severity="warning",
        code="adapter-failed",
    )
