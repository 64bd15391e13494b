"""The events of runs that come from other tools."""

from __future__ import annotations

from typing import Literal

from watchkeeper.core.events.base import Event, FilePath, FreeText, Host


class Imported(Event, frozen=True, kw_only=True, omit_defaults=True, tag="imported"):
    """What this writer wrote before was taken from a file of another tool, by its name there `id`.
    `source` is that file, with its size and sha256 when it was read; `rows` of it are metric rows.
    `media` counts the objects that stay in the source only, by the name they were logged under.
    `damaged` records of it could not be read; `torn`: it ends within one. `host` is where the run
    ran, and `version` what wrote the source.
    """

    tool: Literal["wandb"]
    id: FreeText
    source: FilePath
    bytes: int
    sha256: str
    rows: int
    version: FreeText = ""
    entity: FreeText = ""
    project: FreeText = ""
    group: FreeText = ""
    job_type: FreeText = ""
    host: Host = ""
    media: dict[str, int] = {}
    damaged: int = 0
    torn: bool = False
