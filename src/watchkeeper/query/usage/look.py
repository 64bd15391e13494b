"""What the jobs of an experiment asked for and used, read from its journal and what they left."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.state import fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.query.usage.nodes import BadNode, bad_nodes
from watchkeeper.query.usage.sizing import Sizing, sizings
from watchkeeper.watch.outcome import compute


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment. `sizing` is what jobs with equal requests asked for and used, and `bad_nodes`
    are the nodes that failed jobs which ran elsewhere.
    """

    experiment: str
    folder: str
    sizing: list[Sizing]
    bad_nodes: list[BadNode]


def usage_of(folder: Path, runs: str | None) -> Usage:
    """The usage of an experiment's jobs that have ended. `runs` is a glob over the names of runs,
    as in `r8_*`; None and "" mean all of them.

    Raises:
        ExperimentError: the folder holds no experiment that can be read.
    """
    experiment = experiments.read(folder)
    state = fold(journal.read(experiment.folder / layout.JOURNAL).events)
    keys = [item.key for item in experiment.items if fnmatchcase(item.run, runs or "*")]
    chosen = frozenset(keys)
    rows = [row for row in compute.read(experiment, state) if row.key in chosen]
    return Usage(
        experiment=experiment.name,
        folder=str(folder),
        sizing=sizings(state, rows),
        bad_nodes=bad_nodes(state, keys),
    )
