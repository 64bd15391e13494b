"""The figures that W&B kept of a run and nothing of ours has, and runs that only W&B kept: for
`compare`, without an import. Each stands under a name that says where it is from: `W&B loss`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from watchkeeper.core.errors import Problem
from watchkeeper.core.events import Number
from watchkeeper.publish.wandb.belonging import Kept, Leftovers, ids_of
from watchkeeper.publish.wandb.importing import without_secrets
from watchkeeper.publish.wandb.offline import (
    SUFFIX,
    Segment,
    grouped,
    overlap,
    runs_of,
    wandb_files,
)
from watchkeeper.query.wandb.agreement import pair_names
from watchkeeper.reading import settings as flatten
from watchkeeper.report.compare.sides import Side

PREFIX = "W&B "
_OUR_LOSSES = {
    "end_train_loss": "loss",
    "end_val_loss": "val_loss",
    f"{PREFIX}train_loss": "loss",
    f"{PREFIX}val_loss": "val_loss",
}


class WandbFigures:
    """Reads what W&B left beside the runs that are compared, each file once."""

    def __init__(self) -> None:
        self._leftovers = Leftovers()

    def beside(self, run: Path, writer: str, ours: Collection[str]) -> dict[str, Number]:
        """The last figure of each metric that only W&B kept of one execution of a recorded run,
        that of `writer`: {"W&B grad_norm": 0.8}. `ours` are the names of our own figures.

        {}: no run of W&B ran beside it, or several did, and nothing says which is its own.
        """
        segments = self._leftovers.segments_of(run).get(writer, [])
        is_of_one_run = len(ids_of(segments)) == 1
        if not is_of_one_run or overlap(segments):
            return {}
        return self._named([segment.path for segment in segments], ours)

    def of_folders(self, folders: Iterable[Path], ours: Collection[str]) -> dict[str, Number]:
        """The same of the W&B run whose segments lie in these folders, the oldest first. W&B makes
        such a folder for each start of a run: `offline-run-20260311_…-ID`.
        """
        paths: list[Path] = []
        for folder in folders:
            paths += sorted(folder.glob(f"*{SUFFIX}"))
        return self._named(paths, ours)

    def sides_in(self, path: Path, problems: list[Problem]) -> list[Side]:
        """The runs that W&B kept in a folder, each as one to compare. What cannot be read is added
        to `problems`.

        Raises:
            UsageError: there are none.
        """
        runs, faults = grouped(wandb_files(path))
        problems += faults
        sides: list[Side] = []
        for segments in runs.values():
            # One id may be that of several runs, one after the other.
            sides += map(self._side, runs_of(segments))
        return sides

    def _named(self, paths: Iterable[Path], ours: Collection[str]) -> dict[str, Number]:
        """The last figures of these files under W&B's name, without those that we have as well.

            files: loss 0.5, lr 1e-4; ours: end_train_loss → {"W&B lr": 1e-4}

        Of a metric in several files, that of the last file counts.
        """
        last: dict[str, Number] = {}
        for kept in self._kept_in(paths):
            last |= kept.last
        names = [_OUR_LOSSES.get(name, name) for name in ours]
        known = set(pair_names(names, last).values())
        return {f"{PREFIX}{name}": last[name] for name in last if name not in known}

    def _kept_in(self, paths: Iterable[Path]) -> list[Kept]:
        """What is kept of W&B's runs in these folders, as far as anything is."""
        kept = map(self._leftovers.kept_in, paths)
        return [one for one in kept if one is not None]

    def _side(self, segments: Sequence[Segment]) -> Side:
        """A run of W&B as a side of a comparison, from its last part; its figures are those of all
        parts.
        """
        last = segments[-1]
        config: Mapping[str, object] = without_secrets(last.config)
        return Side(
            name=last.begin.name or last.begin.run_id,
            where=str(last.path),
            state=_state_of(last),
            settings=flatten.of_value(config),
            commit=last.begin.commit,
            host=last.machine.host or last.begin.host,
            metrics=self._named([segment.path for segment in segments], ()),
            origin="wandb",
        )


def _state_of(segment: Segment) -> str:
    """How the run ended, as an import of it would say."""
    if segment.end is None:
        return "not ended"
    if segment.end.code:
        return "failed"
    return "finished"
