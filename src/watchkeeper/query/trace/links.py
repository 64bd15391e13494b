"""The links of a chain that leads from a figure back to what it was made of, and whether each still
holds today.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core import criteria
from watchkeeper.core.code import git
from watchkeeper.core.events import Intended, Number, RunStarted
from watchkeeper.launch.reproduce import part_fault

Holds = Literal["holds", "changed", "missing", "unknown"]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link. `what`: result, evaluation, checkpoint, training, script, config, file (of the
    code), code (the commit), changes, environment, data; of a recorded run also rows, output and
    run. `holds`: whether it is today what it was;
    `unknown` where nothing recorded could tell. `facts` are in words, by name.
    """

    what: str
    name: str
    holds: Holds
    why: str = ""
    facts: Mapping[str, str] = {}
    metrics: Mapping[str, Number] = {}


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The chain, from the figure back. `experiment` is the folder of the experiment, or of the
    recorded run, whose `key` is "". `sound`: no link is broken. `expected`: of an evaluation, the
    criteria that were stated.
    """

    experiment: str
    key: str
    links: list[Link]
    expected: list[criteria.Standing] = []

    @property
    def sound(self) -> bool:
        """Whether no link has changed or is missing."""
        return not any(link.holds in ("changed", "missing") for link in self.links)


# Whether the repository has a commit (None: no repository can say) → what that means for its link.
_COMMIT: Mapping[bool | None, tuple[Holds, str]] = {
    None: ("unknown", "no repository is here that could say"),
    True: ("holds", ""),
    False: ("missing", "the repository has it no more"),
}


def commit_link(start: Intended | RunStarted, folder: Path) -> Link:
    """The commit that was checked out: it holds while the repository around `folder` has it.

    `start` is the submission or the start that noted the commit. Unknown: it noted none, or there
    is no repository here to ask.
    """
    if not start.git_sha:
        why = start.git_fault or "no Git repository was there at the time"
        return Link(what="code", name="no commit", holds="unknown", why=why)
    holds, why = _COMMIT[git.has_commit(folder, start.git_sha)]
    facts = {"branch": start.git_branch, "not in it": ", ".join(start.uncommitted)}
    return Link(what="code", name=start.git_sha, holds=holds, why=why, facts=not_empty(facts))


def kept_link(what: str, name: str, sha256: str, objects: Path) -> Link:
    """A kept object: it holds while its bytes are those it was named after. `objects` is the folder
    that keeps it, `sha256` its name there; `what` and `name` are those of the link. A file that
    cannot be read counts as missing.
    """
    fault = part_fault(objects / sha256)
    holds: Holds = "holds"
    if fault:
        holds = "changed"
    if fault.startswith("missing"):
        holds = "missing"
    return Link(what=what, name=name, holds=holds, why=fault, facts={"sha256": sha256})


def not_empty(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts that say something."""
    return {name: text for name, text in facts.items() if text}
