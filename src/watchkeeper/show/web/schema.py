"""The JSON Schema of what the API answers, from the structs that it is made of."""

from __future__ import annotations

from typing import Any

import msgspec

from watchkeeper.query.views import pages
from watchkeeper.show.envelope_schema import envelope_schema
from watchkeeper.show.web.answers import COMMAND

PAGES: dict[str, type] = {
    "overview": pages.Overview,
    "experiment": pages.Experiment,
    "run": pages.Run,
    "series": pages.Series,
    "telemetry": pages.Telemetry,
    "examples": pages.Examples,
    "text": pages.Text,
    "compare": pages.Compare,
}
"""A page → the struct that its `data` is."""


def schema_document() -> bytes:
    """One schema for each page's answer, by its name, as JSON."""
    return msgspec.json.encode({name: schema_of(name) for name in PAGES})


def schema_of(page: str) -> dict[str, Any]:
    """The schema of the answer whose data is a page's object, or null where it failed."""
    title = f"The answer of `watchkeeper serve` at /api/1/{page}"
    schema = envelope_schema(f"{COMMAND}:{page}", title, [PAGES[page]])
    schema["properties"]["command"] = {"const": COMMAND}
    schema["properties"]["rev"] = {
        "type": "string",
        "description": "The state of the data: the same while that is the same.",
    }
    schema["required"] = [*schema["required"], "rev"]
    return schema
