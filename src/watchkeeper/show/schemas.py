"""The JSON Schema of each command's answer, from the structs that it is made of."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from watchkeeper.show.cli import COMMANDS, body_of
from watchkeeper.show.envelope_schema import envelope_schema

ENVELOPE = "envelope"


def schemas() -> dict[str, dict[str, Any]]:
    """Each command's name → the schema of its answer; `envelope` → that of any answer."""
    made = {ENVELOPE: _schema(ENVELOPE, None)}
    for name in COMMANDS:
        module = importlib.import_module(body_of(name))
        made[name] = _schema(name, module.ANSWERS)
    return made


def _schema(name: str, answers: Sequence[type] | None) -> dict[str, Any]:
    """The schema of an envelope whose `data` is one of the structs, or null. None: anything."""
    if answers is None:
        return envelope_schema(name, "The answer of any command with --json", None)
    whole = envelope_schema(name, f"The answer of `watchkeeper {name} --json`", answers)
    whole["properties"]["command"] = {"const": name}
    return whole
