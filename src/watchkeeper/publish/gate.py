"""The gate: a checkpoint from elsewhere is used only where somebody has vouched for it.

From elsewhere is a checkpoint that an evaluation reads or a training continues, and that no run of
the experiment made. An evaluation of an epoch that a run of the experiment makes is not gated: what
else its script names is the base of its own checkpoint.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import read_start_if_any
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import RunItem
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.state import State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.publish import names
from watchkeeper.publish.elsewhere import Call, checkpoints_of
from watchkeeper.publish.manifest.hashing import hash_each
from watchkeeper.publish.signoff import files
from watchkeeper.publish.signoff.validate import judge, read_papers, worst

_SCRIPT_BYTES = 2**20
_NONE: frozenset[Path] = frozenset()


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


def made_by(experiment: Experiment, state: State) -> frozenset[Path]:
    """The folders of the checkpoints that the runs of an experiment left, by their verdicts.

    A checkpoint that is one file counts with the folder that it lies in.
    """
    made: set[Path] = set()
    for attempt in state.attempts():
        if attempt.judged is None or attempt.judged.learned is None:
            continue
        for path in attempt.judged.learned.kept:
            place = experiment.folder / path
            made.add(place.parent if names.is_weights(place.name) else place)
    return frozenset(made)


def unsigned(
    experiment: Experiment, items: Iterable[RunItem], made: Collection[Path]
) -> dict[str, Standing]:
    """The key of each of these pieces of work that uses a checkpoint from elsewhere for which no
    sign-off holds → that checkpoint.

    {}: all may be submitted. Of several such checkpoints of one piece the first. `made`: as in
    `from_elsewhere`.
    """
    known: dict[Path, Standing] = {}
    refused: dict[str, Standing] = {}
    for item in items:
        for root in from_elsewhere(experiment, item, made):
            if root not in known:
                known[root] = standing_of(root)
            if not known[root].is_signed:
                refused.setdefault(item.key, known[root])
    return refused


def unsigned_of_call(folder: Path, call: Call) -> Standing | None:
    """The first checkpoint outside a folder that a job would use and for which no sign-off holds;
    None: there is none.
    """
    for root in checkpoints_of(call):
        if _lies_in(folder, root):
            continue
        standing = standing_of(root)
        if not standing.is_signed:
            return standing
    return None


def from_elsewhere(
    experiment: Experiment, item: RunItem, made: Collection[Path] = _NONE
) -> list[Path]:
    """The folders of the checkpoints from elsewhere that a piece of work uses; [] for none.

    `made`: those that the runs of the experiment left (`made_by`).
    """
    if experiment.checkpoint_for(item) is not None:
        return []
    roots = named_by(experiment, item)
    return [root for root in roots if root not in made and not _is_own(experiment, root)]


def named_by(experiment: Experiment, item: RunItem) -> list[Path]:
    """The folders of the checkpoints that the script of a piece of work names, to evaluate or to
    continue them.
    """
    if not item.script:
        return []
    return checkpoints_of(_call_of(experiment, item))


def _call_of(experiment: Experiment, item: RunItem) -> Call:
    """How a piece of work begins. Of its script at most 1 MiB is read; "" where it cannot be."""
    source = read_start_if_any(experiment.folder / item.script, _SCRIPT_BYTES) or b""
    invocation = experiment.invocations.get(item.key)
    args = invocation.args if invocation is not None else ()
    return Call(
        name=item.script,
        text=source.decode("utf-8", "replace"),
        workdir=experiment.workdir_of(item),
        args=args or (),
        evaluates=item.phase == "evaluation",
    )


def _is_own(experiment: Experiment, root: Path) -> bool:
    """Whether a checkpoint lies in the experiment, or where one of its runs is to leave one. A link
    inside it that leads out is neither.
    """
    if _lies_in(experiment.folder, root):
        return True
    promises = [*experiment.checkpoints.values()]
    for outputs in experiment.outputs.values():
        promises += outputs
    patterns: list[str] = []
    for promise in promises:
        patterns += promise.patterns
    return any(_lies_at(root, str(experiment.folder / pattern)) for pattern in patterns)


def _lies_in(folder: Path, root: Path) -> bool:
    """Whether a checkpoint lies in a folder, links followed; False where that cannot be seen."""
    try:
        return root.resolve().is_relative_to(folder.resolve())
    except OSError:
        return False


def _lies_at(root: Path, pattern: str) -> bool:
    """Whether a checkpoint is what a pattern names, or lies below it."""
    return fnmatchcase(str(root), pattern) or fnmatchcase(str(root), f"{pattern}/*")
