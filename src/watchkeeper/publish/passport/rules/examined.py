"""A checkpoint and its passport as the rules see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from watchkeeper.publish.checks import Category, Check, Status
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint
from watchkeeper.publish.passport.document import get


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint, its passport as it was read, the files that were hashed, by path, and the time
    at which it is looked at.
    """

    checkpoint: Checkpoint
    document: Mapping[str, Any]
    records: Mapping[str, FileRecord]
    now: datetime

    def get(self, path: str) -> Any:
        """The value of a field of the passport; None: there is none."""
        return get(self.document, path)

    def mapping(self, path: str) -> Mapping[str, Any]:
        """A mapping of the passport; {} where there is none, or something else."""
        value = self.get(path)
        if not isinstance(value, dict):
            return {}
        return value

    def entries(self, path: str) -> list[dict[str, Any]]:
        """The mappings in a list of the passport; [] where there is none. Entries of another kind
        are passed over.
        """
        value = self.get(path)
        if not isinstance(value, list):
            return []
        return [entry for entry in value if isinstance(entry, dict)]


def finding(
    category: Category, status: Status, name: str, where: str, message: str, *, hint: str = ""
) -> Check:
    """One check, in the order in which it is read.

    `where` is a path inside the checkpoint or a field of the passport, "" for the checkpoint as a
    whole; `hint` says what to do, "" for nothing.
    """
    return Check(
        category=category, name=name, status=status, where=where, message=message, hint=hint
    )


def counted(names: list[str], limit: int = 3) -> str:
    """Names for a message: the first ones, and how many more: `a, b, c and 7 more`."""
    shown = ", ".join(names[:limit])
    rest = len(names) - limit
    if rest <= 0:
        return shown
    return f"{shown} and {rest} more"


def walk(value: Any, above: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every member of every mapping in a value: its place, its key, what it holds.

    `above` is the place of the value itself. `{"files": [{"path": "a.bin"}]}` gives `files` and
    `files[0].path`. The document was read from JSON, so that its depth is bounded.
    """
    waiting: list[tuple[str, Any]] = [(above, value)]
    while waiting:
        place, one = waiting.pop()
        members = one.items() if isinstance(one, dict) else ()
        for key, inner in members:
            yield f"{place}.{key}".lstrip("."), key, inner
        waiting += [(f"{place}.{key}".lstrip("."), inner) for key, inner in members]
        if isinstance(one, list):
            waiting += [(f"{place}[{at}]", inner) for at, inner in enumerate(one)]


def is_number(value: object) -> bool:
    """Whether the value is a number and no truth value, which Python counts among the numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def says_nan(value: object) -> bool:
    """Whether a recorded result speaks of NaN or infinity: true, a count above 0, or a word of it
    that does not deny it.

    `"has_nan": false`, `"nan_count": 0` and `"nan_check": "passed"` deny it; `["layer.3"]` under
    `nan_tensors` does not.
    """
    if isinstance(value, bool):
        return value
    if is_number(value):
        return value != 0
    if isinstance(value, str):
        return value.strip().casefold() in ("nan", "inf", "-inf", "fail", "failed", "true", "yes")
    if isinstance(value, dict):
        return any(says_nan(inner) for inner in value.values())
    if isinstance(value, list):
        return bool(value)
    return False
