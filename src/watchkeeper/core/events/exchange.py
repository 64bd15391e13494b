"""The events of runs that come from other tools, and go to them."""

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


class Synced(Event, frozen=True, kw_only=True, omit_defaults=True, tag="synced"):
    """A run of another tool, by its name there `id`, is on a server: the tool has marked it, and
    the server, asked afterwards, held all its `rows`. `folders` are those of its segments that were
    sent, `url` is its page. `key` and `attempt` are the work that left them; "" and 0: the
    journal's own run. `public`: it is a second copy, for everybody.
    """

    tool: Literal["wandb"]
    id: FreeText
    url: FreeText
    folders: tuple[FilePath, ...]
    rows: int
    entity: FreeText = ""
    project: FreeText = ""
    key: str = ""
    attempt: int = 0
    public: bool = False


class Published(Event, frozen=True, kw_only=True, omit_defaults=True, tag="published"):
    """A package made of this work is in a repository of models: the Hub, asked afterwards, listed
    each of its files with its size and hash at `commit`. `url` is the repository's page, and
    `pull_request` that of the proposal ("": the main branch has it). `key` and `attempt` are the
    work; "" and 0: the journal's own run.

    `checkpoints` are the names of those in the package; `is_full`: with the trainer's own state,
    and not the weights alone. `includes` is what lies beside them. `verdict` is that of the
    package's sign-off, and `why` its reason, word for word.
    """

    repo: FreeText
    url: FreeText
    commit: str
    checkpoints: tuple[FreeText, ...]
    includes: tuple[FreeText, ...]
    verdict: str
    why: FreeText = ""
    is_full: bool = False
    private: bool = False
    pull_request: FreeText = ""
    key: str = ""
    attempt: int = 0
