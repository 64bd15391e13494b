"""The gate: a checkpoint from elsewhere is used only where somebody has vouched for it.

From elsewhere is a checkpoint that an evaluation of an eval-only run names in its script or its
arguments, and that lies outside the experiment. The base model of a control is not gated: it is
what the others began from. Where no summary says what is a control, nothing is.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

import msgspec

from watchkeeper.core.code.shell_text import commands, variables, words_of
from watchkeeper.core.disk.files import read_start_if_any
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import RunItem
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.publish import names
from watchkeeper.publish.manifest.hashing import hash_each
from watchkeeper.publish.signoff import files
from watchkeeper.publish.signoff.validate import judge, read_papers, worst

_SCRIPT_BYTES = 2**20
_UNPLAIN = frozenset("$`*?[]{}~")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody has vouched for a checkpoint; `why` says what is wrong, "" for nothing."""

    root: Path
    why: str = ""

    @property
    def is_signed(self) -> bool:
        """Whether a sign-off is there, and fits."""
        return not self.why

    @property
    def refusal(self) -> str:
        """Why the checkpoint is not used, and the command that would sign it."""
        root = shlex.quote(str(self.root))
        return (
            f"the checkpoint {self.root} comes from elsewhere, and is not signed: {self.why}; look "
            f"at it and sign it: watchkeeper checkpoint passport {root}, then watchkeeper "
            f"checkpoint sign {root}; or use it all the same: --allow-unsigned"
        )


def standing_of(root: Path, *, clock: Clock = utc_now) -> Standing:
    """Whether a sign-off of a checkpoint is there and fits. No weights are hashed: they are
    compared by their names and sizes, and the documents by their hashes.
    """
    try:
        papers = read_papers(root, require_signoff=True)
        documents = [path for path in papers.paths if names.is_document(path)]
        records, unread = files.parted(hash_each(root, documents))
        faults = worst([*judge(root, papers, records, now=clock()), *unread], "fail")
    except (UsageError, OSError) as error:
        return Standing(root=root, why=str(error))
    if not faults:
        return Standing(root=root)
    first = faults[0]
    if papers.signoff is None and papers.faults:
        first = papers.faults[0]
    return Standing(root=root, why=first.message)


def from_elsewhere(experiment: Experiment, item: RunItem) -> list[Path]:
    """The folders of the checkpoints from elsewhere that a piece of work names; empty for all but
    an evaluation of an eval-only run.
    """
    if item.phase != "evaluation" or item.run not in experiment.eval_only or not item.script:
        return []
    workdir = experiment.workdir_of(item)
    roots = (_root_of(workdir, word) for word in _words(experiment, item))
    named = dict.fromkeys(root for root in roots if root is not None)
    return [root for root in named if not root.is_relative_to(experiment.folder)]


def _words(experiment: Experiment, item: RunItem) -> Iterator[str]:
    """The plain words of a script and its arguments; of `name=value` the value."""
    source = read_start_if_any(experiment.folder / item.script, _SCRIPT_BYTES) or b""
    text = source.decode("utf-8", "replace")
    values = variables(text)
    for _, command in commands(text):
        for word in words_of(command):
            yield _plain(word, values)
    invocation = experiment.invocations.get(item.key)
    if invocation is not None:
        yield from invocation.args or ()


def _plain(word: str, values: Mapping[str, str]) -> str:
    return Template(word).safe_substitute(values).rpartition("=")[2]


def _root_of(workdir: Path, word: str) -> Path | None:
    """The folder of the checkpoint that a word names; None: it names none."""
    if "/" not in word or not _UNPLAIN.isdisjoint(word):
        return None
    path = Path(os.path.normpath(workdir / word))
    try:
        if path.is_file():
            return path.parent if names.is_weights(path.name) else None
        with os.scandir(path) as entries:
            holds_weights = any(names.is_weights(entry.name) for entry in entries)
    except (OSError, ValueError):
        return None
    return path if holds_weights else None
