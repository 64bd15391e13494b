"""A checkpoint as its adapters see it: the files, the tensors, and small JSON files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.publish.documents import DocumentError, read_document
from watchkeeper.publish.manifest.safe import UnsafePathError, inside
from watchkeeper.publish.passport.document import Fact, Facts, Source, path_of
from watchkeeper.publish.passport.tensors.inventory import Inventory

MOST_CONFIG_BYTES = 64 * 2**20


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint's folder; `sizes` maps the path of each file, relative to it, to its bytes."""

    root: Path
    sizes: Mapping[str, int]
    inventory: Inventory

    def read_json(self, path: str) -> dict[str, Any]:
        """The object in a JSON file of the checkpoint; {}: there is none, or it cannot be read,
        which is a check's to say.

        Files of more than 64 MiB, and paths that leave the checkpoint, are not read.
        """
        if path not in self.sizes:
            return {}
        try:
            return read_document(inside(self.root, path), MOST_CONFIG_BYTES)
        except (DocumentError, UnsafePathError, OSError):
            return {}

    def sha256(self, path: str) -> str:
        """The hash of a small file; "": it is larger than 64 MiB, or cannot be read."""
        try:
            data = read_whole(inside(self.root, path), MOST_CONFIG_BYTES)
        except (UnsafePathError, OSError):
            return ""
        return hashlib.sha256(data).hexdigest()


def facts_from(source: Source, fields: Mapping[str, Any]) -> Facts:
    """Facts of one source, path → value; without those whose value is None.

    None is what an adapter has for a field of which its files say nothing.
    """
    facts: Facts = {}
    for path, value in fields.items():
        if value is not None:
            facts[path] = Fact(value, source)
    return facts


def below(prefix: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """Members of a mapping as fields below a path: `a.b` and `{"c": 1}` → `{"a.b.c": 1}`."""
    return {f"{prefix}.{path_of([name])}": value for name, value in members.items()}


def text(value: object) -> str | None:
    """The value if it is a text that is not empty."""
    if isinstance(value, str) and value:
        return value
    return None


def whole(value: object) -> int | None:
    """The value if it is a whole number that somebody meant.

    A tokenizer without a limit states 10³⁰ tokens as its `model_max_length`.
    """
    if type(value) is int and 0 <= value < 10**15:
        return value
    return None


def texts(value: object) -> list[str] | None:
    """The value if it is a list of texts that is not empty."""
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(one, str) for one in value):
        return None
    return value
