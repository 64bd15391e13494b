"""The same history twice: the rows of a recorded run against those that W&B kept beside it, value
by value. Each execution is held against the segments that ran while it ran, and against no others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import Problem
from watchkeeper.publish.wandb.belonging import ids_of, segments_of
from watchkeeper.publish.wandb.offline import Segment, overlap, read_segment
from watchkeeper.publish.wandb.records import Row, flat_values, training_step_of
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS
from watchkeeper.runfolder.metric_rows import ExecutionFiles, execution_files, value_of
from watchkeeper.runfolder.rows import read_file

Curves = dict[str, dict[float, float]]
"""Metric → step → its value; of several at one step the last."""

MOST_NAMED = 10
"""How many differences of one run are named; all are counted."""
TOLERANCE = 1e-6
"""By how much of the larger two values may differ: a figure of 32 bits is spelled in two ways."""
_ALIASES = {"loss": TRAIN_LOSS, "val_loss": VAL_LOSS}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A metric at a step, with our value and W&B's."""

    step: float
    metric: str
    ours: float
    theirs: float


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a comparison: how many values both have, which of them differ, the metrics that
    both have by our name and W&B's, and for each the steps that one side lacks.
    """

    compared: int
    differences: tuple[Difference, ...]
    pairs: dict[str, str]
    we_lack: dict[str, int]
    they_lack: dict[str, int]


def compare(ours: Curves, theirs: Curves) -> Agreement:
    """Hold both histories against each other, metric by metric and step by step.

        ours:   loss        1: 0.5   2: 0.4
        theirs: train/loss  1: 0.5   2: 0.39   3: 0.3
        → 2 compared, of which step 2 differs; we lack `loss` at 1 step

    A metric that only one of them has is not compared.
    """
    pairs = pair_names(ours, theirs)
    differences: list[Difference] = []
    compared = 0
    we_lack: dict[str, int] = {}
    they_lack: dict[str, int] = {}
    for name, other in pairs.items():
        mine = ours[name]
        its = theirs[other]
        common = sorted(mine.keys() & its.keys())
        compared += len(common)
        for step in common:
            if _is_same(mine[step], its[step]):
                continue
            difference = Difference(step=step, metric=name, ours=mine[step], theirs=its[step])
            differences.append(difference)
        we_lack[name] = len(its) - len(common)
        they_lack[name] = len(mine) - len(common)
    return Agreement(
        compared=compared,
        differences=tuple(sorted(differences, key=lambda one: (one.step, one.metric))),
        pairs=pairs,
        we_lack={name: count for name, count in we_lack.items() if count},
        they_lack={name: count for name, count in they_lack.items() if count},
    )


def _is_same(one: float, other: float) -> bool:
    """Whether two values are one, but for how many digits were written: 0.1 and 0.10000000149 are.
    NaN is NaN.
    """
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=0.0)


def pair_names(ours: Iterable[str], theirs: Iterable[str]) -> dict[str, str]:
    """Which of our metrics is which of W&B's: by the same name; by the name without the folder that
    transformers puts before it (`train/loss`, `eval/loss`); losses by any of their names.

        ours lr, eval_loss, loss; theirs lr, eval/loss, train/loss
        → {"lr": "lr", "eval_loss": "eval/loss", "loss": "train/loss"}

    Each of W&B's names is given to one of ours; ours without one is left out.
    """
    left = dict.fromkeys(theirs)
    pairs = {name: name for name in ours if name in left}
    for name in pairs:
        del left[name]
    by_plain_name = {_plain(other): other for other in left}
    for name in ours:
        if name in pairs:
            continue
        known = (name, *_ALIASES.get(name, ()))
        other = next((by_plain_name[one] for one in known if one in by_plain_name), None)
        if other is not None and other not in pairs.values():
            pairs[name] = other
    return pairs


def _plain(name: str) -> str:
    """`eval/loss` → `eval_loss`, `train/loss` → `loss`, as transformers itself calls them."""
    folder, _, rest = name.partition("/")
    if not rest:
        return name
    if folder == "train":
        return rest
    if folder in ("eval", "test"):
        return f"{folder}_{rest}"
    return name


def curves_of(rows: Iterable[tuple[object, Mapping[str, object]]]) -> Curves:
    """The figures of rows, each a step and its values. A row without a step is passed over, and so
    is a value that is no figure.

        (1, {"loss": 0.5, "note": "warm"}), (2, {"loss": 0.4}) → {"loss": {1.0: 0.5, 2.0: 0.4}}
    """
    curves: Curves = {}
    for step, values in rows:
        at = value_of(step)
        if at is None or not math.isfinite(at):
            continue
        for name, figure in values.items():
            value = value_of(figure)
            if value is not None:
                curves.setdefault(name, {})[at] = value
    return curves


def compare_with_segments(ours: Curves, segments: Sequence[Segment]) -> Agreement:
    """Hold our history against W&B's rows. Their step is the training step where a library logged
    it. Lightning counts its steps from 0, and our logger for it from 1: the count is taken in which
    more steps are those of both.

    Raises:
        UsageError, OSError: a file cannot be read any more.
    """
    rows: list[Row] = []
    for segment in segments:
        read_segment(segment.path, rows.append)
    values = [(row, flat_values(row.values)) for row in rows]
    by_count = [compare(ours, _counted_from(first, values)) for first in (0, 1)]
    return max(by_count, key=lambda agreement: agreement.compared)


def _counted_from(first: int, rows: Iterable[tuple[Row, Mapping[str, object]]]) -> Curves:
    """The figures of W&B's rows; `first` is the number of Lightning's first step."""
    return curves_of((training_step_of(row, own, first=first), own) for row, own in rows)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What `check --wandb` says of a recorded run: in words what was verified, what is wrong, and
    what cannot be known.
    """

    verified: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    unverified: tuple[Problem, ...] = ()


def check_run(run: Path) -> Checked:
    """Hold a recorded run against the W&B runs that ran while it ran, execution by execution. Of an
    execution beside which none ran, or several did, nothing can be said.

    Raises:
        UsageError, OSError: a file cannot be read any more.
    """
    events = journal.read(run / layout.JOURNAL).events
    by_writer = segments_of(run)
    verified: list[str] = []
    problems: list[Problem] = []
    unverified: list[Problem] = []
    for execution in execution_files(run, events):
        segments = _segments(execution, by_writer)
        doubt = _doubt(segments)
        if doubt:
            unverified.append(_unknown(run, doubt))
            continue
        agreement = compare_with_segments(_ours(execution), segments)
        name = segments[0].begin.run_id
        if not agreement.compared:
            unverified.append(_unknown(run, f"no value is both here and in W&B's {name}"))
        verified.append(f"{agreement.compared:,} values beside W&B's {name}")
        problems += _problems(run, name, agreement)
    return Checked(verified=tuple(verified), problems=tuple(problems), unverified=tuple(unverified))


def _segments(
    execution: ExecutionFiles, by_writer: Mapping[str, Sequence[Segment]]
) -> Sequence[Segment]:
    """The parts of W&B's history that an execution wrote; () for one that nobody knows."""
    if execution.started is None:
        return ()
    return by_writer.get(execution.started.writer, ())


def _doubt(segments: Sequence[Segment]) -> str:
    """Why there is nothing to compare with, "" if there is."""
    ids = ids_of(segments)
    if not ids:
        return "no run of W&B ran beside it"
    if len(ids) > 1:
        return f"several runs of W&B ran beside it: {', '.join(ids[:5])}"
    if overlap(segments):
        return f"two runs of W&B with the id {ids[0]} ran beside it at once"
    return ""


def _unknown(run: Path, doubt: str) -> Problem:
    """That it could not be found which run of W&B is this run's, and where it was looked for."""
    hint = (
        "its folder is looked for in `wandb/` beside the run, above it, and where WANDB_DIR pointed"
    )
    return Problem(where=str(run), message=doubt, hint=hint, code="wandb-unknown")


def _ours(execution: ExecutionFiles) -> Curves:
    """Our figures. A damaged line is named by `check` itself."""
    rows = [row for path in execution.files for row in read_file(path)[0]]
    return curves_of((row.step, row.metrics) for row in rows)


def _problems(run: Path, name: str, agreement: Agreement) -> list[Problem]:
    """What differs between both histories: single values, and metrics that one of them lacks at
    some steps.
    """
    problems = [
        Problem(
            where=f"{run}: step {one.step:g}, {one.metric}",
            message=f"{one.ours!r} here, {one.theirs!r} in W&B's {name}",
            hint="one of the two was logged otherwise, or its file was changed",
            code="wandb-differs",
        )
        for one in agreement.differences[:MOST_NAMED]
    ]
    more = len(agreement.differences) - len(problems)
    if more > 0:
        message = f"{more:,} more values differ from W&B's {name}"
        problems.append(Problem(where=str(run), message=message, code="wandb-differs"))
    for metric, count in agreement.they_lack.items():
        problems.append(_lack(run, f"W&B's {name} lacks {metric} at {_steps(count)}"))
    for metric, count in agreement.we_lack.items():
        problems.append(_lack(run, f"{metric} is at {_steps(count)} in W&B's {name} alone"))
    return problems


def _steps(count: int) -> str:
    """`1 step`, `1,200 steps`."""
    if count == 1:
        return "1 step"
    return f"{count:,} steps"


def _lack(run: Path, message: str) -> Problem:
    """That one of the two lacks values that the other has."""
    hint = "the two may log at other steps; a file that lost rows looks the same"
    return Problem(
        where=str(run), message=message, hint=hint, severity="warning", code="wandb-lacks"
    )
