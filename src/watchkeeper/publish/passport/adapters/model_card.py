"""What the head of a model card says: the base model and the data. It is somebody's text, so that
all of it counts as inferred.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from watchkeeper.core.disk.files import read_whole
from watchkeeper.publish import names
from watchkeeper.publish.manifest.safe import UnsafePathError, inside
from watchkeeper.publish.passport.adapters import torchtune
from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint, facts_from, text
from watchkeeper.publish.passport.document import Facts

_HEAD = re.compile(rb"---\r?\n(?P<head>.*?)^---\s*$", re.DOTALL | re.MULTILINE)


def facts(checkpoint: Checkpoint) -> Facts:
    """What README.md's YAML head says; {} where there is none."""
    head = _head(checkpoint)
    inferred: dict[str, Any] = {
        "provenance.parent_checkpoint": _only(head.get("base_model")),
        "input_contract.training_datasets": _datasets(head.get("datasets")),
    }
    return facts_from("inferred", inferred)


def _head(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """The metadata of the card; {}: there is no card, it cannot be read, or it has none.

    They stand between two lines `---` at its begin, as the Hub reads them.
    """
    if names.README not in checkpoint.sizes:
        return {}
    try:
        data = read_whole(inside(checkpoint.root, names.README))
    except (UnsafePathError, OSError):
        return {}
    match = _HEAD.match(data)
    if match is None:
        return {}
    return torchtune.parse(match["head"])


def _only(value: object) -> str | None:
    """The one base model; of a merge of several, none is the parent.

    The Hub takes `base_model: org/model` and a list of names.
    """
    if isinstance(value, list) and len(value) == 1:
        return text(value[0])
    return text(value)


def _datasets(value: object) -> list[dict[str, Any]] | None:
    """The data, one name or a list of them; None: none is named. A card states no commit."""
    listed = value if isinstance(value, list) else [value]
    datasets: list[dict[str, Any]] = []
    for one in listed:
        repo = text(one)
        if repo is not None:
            datasets.append({"repo": repo, "commit": None})
    return datasets or None
