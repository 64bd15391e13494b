"""What experiments, runs and checkpoints below folders take on the disk, the largest first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import Problem, UsageError, WatchkeeperError
from watchkeeper.core.journal import Clock
from watchkeeper.core.state import fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.query.disk.checkpoints import (
    Judgement,
    Words,
    of_experiment,
    of_recording,
    signed_by_people,
)
from watchkeeper.query.disk.measure import Amount, Measure, Tree, sums
from watchkeeper.query.usage.hours import Found, GpuHours, gpu_hours, users_of
from watchkeeper.runfolder.search import may_be_run

Kind = Literal["experiment", "run", "checkpoint", "weights", "trash"]
_PUT_AWAY = "`watchkeeper rm` put it away"
_UNSAID = "no journal below the folders says whose it is"


class DiskRow(msgspec.Struct, frozen=True, kw_only=True):
    """One folder or file with what lies below it, at an absolute `path`. A run's row includes its
    checkpoints, an experiment's its runs. `bytes` are those held on the disk, `files` is the number
    of inodes that are no folders; `shared_bytes` are held by files that have further names.
    `weights` are files that look like a model's, of which no journal speaks. `needed`: whether a
    resume, an evaluation or a sign-off needs it, null where that is not known, and of rows that are
    no checkpoint; `why` says for what, or why not. `run` is the name of the run that it belongs to,
    "" for none.
    """

    kind: Kind
    path: str
    bytes: int
    files: int
    shared_bytes: int = 0
    run: str = ""
    needed: bool | None = None
    why: str = ""


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """What lies below the folders. `bytes` and `files` are those of all of them together;
    `unneeded_bytes` is what the rows that nothing needs hold alone, so that it is what their
    removal would free at least. `rows` come the largest first. `gpu_hours` are those of the
    experiments below.
    """

    bytes: int
    files: int
    unneeded_bytes: int
    rows: list[DiskRow]
    gpu_hours: list[GpuHours]
    problems: list[Problem]


class _Finds:
    """What is found below the folders: rows to be measured, words on checkpoints, problems."""

    def __init__(self) -> None:
        self.words = Words()
        self.units: dict[str, tuple[Kind, str]] = {}
        self.experiments: list[Found] = []
        self.problems: list[Problem] = []

    def read(self, folder: str, *, is_below: bool) -> None:
        """Read a folder that holds state of ours. `is_below`: it gets a row; a folder above those
        that were named is read only for what it says of checkpoints.

        A folder may be both an experiment and a run. One that cannot be read is a problem, and no
        more is known of its checkpoints.
        """
        path = Path(folder)
        try:
            if is_experiment(path):
                self._read_experiment(path, is_below=is_below)
            if may_be_run(path):
                of_recording(path, self.words)
                if is_below:
                    self.units.setdefault(folder, ("run", path.name))
        except (WatchkeeperError, OSError) as error:
            message = f"cannot be read, so nothing is known of its checkpoints: {error}"
            self.problems.append(
                Problem(where=folder, message=message, severity="warning", code="unreadable")
            )

    def _read_experiment(self, path: Path, *, is_below: bool) -> None:
        """Read an experiment's plan and journal. `is_below`: it, and the folders in which its
        trainings work, get rows, and its GPU-hours count.

        Raises:
            WatchkeeperError, OSError: it cannot be read.
        """
        if is_below:
            self.units[str(path)] = ("experiment", path.name)
        experiment = experiments.read(path)
        read = journal.read(path / layout.JOURNAL)
        state = fold(read.events)
        of_experiment(experiment, state, self.words)
        if not is_below:
            return
        self.experiments.append(Found(path, state, users_of(read.events)))
        for item in experiment.items:
            workdir = os.path.realpath(experiment.workdir_of(item))
            if item.phase == "preparation" and workdir != str(path):
                self.units.setdefault(workdir, ("run", item.run))


def disk_of(paths: Sequence[Path], *, clock: Clock) -> Disk:
    """Measure what lies below these folders, and judge which checkpoints are needed.

    The journals of folders above them are read as well, since an experiment may speak of what lies
    below one of its runs. What `watchkeeper rm` put away is measured, and its journals are not
    read. `clock` says until when jobs under way have used GPUs.

    Raises:
        UsageError: one of them is not there.
    """
    measure = Measure()
    finds = _Finds()
    tops = [Path(os.path.realpath(path)) for path in paths]
    for path, top in zip(paths, tops, strict=True):
        if not top.exists():
            raise UsageError(f"there is no {path}", hint="name a folder that is there")
    trees = [measure.tree(top) for top in tops]
    for folder in _above(tops):
        finds.read(folder, is_below=False)
    for tree in trees:
        for folder in tree.places:
            if not _lies_in_trash(folder):
                finds.read(folder, is_below=True)
    rows = list(_rows(trees, finds))
    rows.sort(key=lambda row: (-row.bytes, row.path))
    whole = Amount()
    for tree in trees:
        for amount in tree.own.values():
            whole.add(amount)
    # A row includes the rows within it: what lies in another unneeded row counts once.
    unneeded = _outermost(row for row in rows if row.needed is False)
    return Disk(
        bytes=whole.bytes,
        files=whole.files,
        unneeded_bytes=sum(row.bytes - row.shared_bytes for row in unneeded),
        rows=rows,
        gpu_hours=gpu_hours(finds.experiments, clock),
        problems=[*measure.problems, *finds.problems],
    )


def _above(tops: Iterable[Path]) -> list[str]:
    """The folders above these that hold state of ours: their journals may name what is below. Each
    comes once; of `/exp/runs/r8` those may be `/exp/runs` and `/exp`.
    """
    found: dict[str, None] = {}
    for top in tops:
        for folder in top.parents:
            if (folder / layout.OURS).is_dir():
                found[str(folder)] = None
    return list(found)


def _lies_in_trash(path: str) -> bool:
    """Whether a path is the folder to which `watchkeeper rm` moves what it puts away, or in one:
    `/data/.watchkeeper-trash/r8` is, `/data/r8` is not.
    """
    return f"/{layout.TRASH}/" in f"{path}/"


def _rows(trees: Sequence[Tree], finds: _Finds) -> Iterator[DiskRow]:
    """A row for each unit, checkpoint, folder of weights and trash, measured.

    A journal may name what lies outside the trees, which nobody asked about: no row. A checkpoint
    in the trash has none either: the trash has one.
    """
    signed = signed_by_people(folder for tree in trees for folder in tree.signoffs)
    judged: list[Judgement] = []
    for judgement in finds.words.judgements(signed):
        if _is_in(judgement.path, trees) and not _lies_in_trash(judgement.path):
            judged.append(judgement)
    trash = _trash(trees)
    checkpoints = [one.path for one in judged]
    weights = _weights(trees, checkpoints)
    folders = frozenset((*finds.units, *trash, *weights, *checkpoints))
    amounts = sums(trees, folders)
    for path, (kind, run) in finds.units.items():
        if _is_in(path, trees):
            yield _row(kind, path, amounts[path], run=run)
    for one in judged:
        amount = amounts[one.path]
        if not amount.files and not amount.bytes:
            # The trees have the amounts of folders; a checkpoint that is one file has none there.
            amount = _amount_of_file(one.path)
        yield _row("checkpoint", one.path, amount, run=one.run, needed=one.needed, why=one.why)
    for path in weights:
        needed = None
        if path in signed:
            needed = True
        yield _row("weights", path, amounts[path], needed=needed, why=signed.get(path, _UNSAID))
    for path in trash:
        yield _row("trash", path, amounts[path], needed=False, why=_PUT_AWAY)


def _trash(trees: Sequence[Tree]) -> list[str]:
    """The folders to which `watchkeeper rm` moved what it put away."""
    found: list[str] = []
    for tree in trees:
        found += [path for path in tree.own if Path(path).name == layout.TRASH]
    return found


def _row(
    kind: Kind,
    path: str,
    amount: Amount,
    *,
    run: str = "",
    needed: bool | None = None,
    why: str = "",
) -> DiskRow:
    """The row of one path that takes this amount; the other fields are as in `DiskRow`."""
    return DiskRow(
        kind=kind,
        path=path,
        bytes=amount.bytes,
        files=amount.files,
        shared_bytes=amount.shared_bytes,
        run=run,
        needed=needed,
        why=why,
    )


def _amount_of_file(path: str) -> Amount:
    """What a checkpoint takes that is one file; nothing where it is gone. It is measured afresh, as
    the tree counted the file within its folder.
    """
    tree = Measure().tree(Path(path))
    return next(iter(tree.own.values()), Amount())


def _is_in(path: str, trees: Sequence[Tree]) -> bool:
    """Whether a path lies in one of the trees, or is its top."""
    for tree in trees:
        if path == tree.top:
            return True
        if path.startswith(f"{tree.top}/"):
            return True
    return False


def _weights(trees: Sequence[Tree], known: Iterable[str]) -> list[str]:
    """The folders with weights that lie in no checkpoint, hold none, and are in no trash. `known`
    are the paths of the checkpoints that journals name.

        known: /exp/out/r8      weights: /exp/out, /exp/out/r8/model, /exp/base → /exp/base
    """
    checkpoints = set(known)
    above: set[str] = set()
    for path in checkpoints:
        above.update(map(str, Path(path).parents))
    found: list[str] = []
    for tree in trees:
        for folder in tree.weights:
            around = (folder, *map(str, Path(folder).parents))
            is_known = folder in above or not checkpoints.isdisjoint(around)
            if not is_known and not _lies_in_trash(folder):
                found.append(folder)
    return found


def _outermost(rows: Iterable[DiskRow]) -> list[DiskRow]:
    """The rows that lie in no other of them: of `/exp/out` and `/exp/out/r8` the first. Where two
    rows have one path, the last of them counts.
    """
    by_path = {row.path: row for row in rows}
    found: list[DiskRow] = []
    for path, row in by_path.items():
        above = map(str, Path(path).parents)
        if by_path.keys().isdisjoint(above):
            found.append(row)
    return found
