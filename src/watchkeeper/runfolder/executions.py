"""Which metric rows of a run count, where it was executed more than once. Pure.

A later execution that continues the training supersedes, metric by metric, the earlier rows at or
after its own first step of that metric. One that begins at or before the first step of an earlier
execution began anew, and supersedes all rows of that one. Evaluations, other pipelines, and
executions that ran at the same time supersede nothing; ranks, forks and workers are no executions
of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.runfolder.losses import TRAIN_LOSS, loss_of

TOLERANCE = 0.02
"""Of the larger of two losses of one step: by more a resumed training that repeats its steps may
not differ. Kernels that add in another order differ by less than a thousandth, other data by ten
percent and more.
"""
OTHER_CLOCK_S = 60.0
"""By how much the clocks of two machines may differ."""
_MEASURED = lazy.pattern(
    r"(?:val|valid|validation|eval|evaluation|test|dev|holdout|predict|benchmark)(?:[/_. -].*)?"
    r"|accuracy|acc|f1|em|exact_match|bleu|rouge\w*|perplexity|ppl|wer|cer|auc|precision|recall|pass@\d+|score|samples",
    re.DOTALL,
)
_NEUTRAL = lazy.pattern(r"epoch|time|runtime|duration|elapsed|step|seconds?|\w+_per_second|\w+_s")


class Row(NamedTuple):
    """One row: its training step (None: it has none) and its figures by name, such as
    `{"loss": 0.5, "lr": 1e-4}`; texts are not among them.
    """

    step: float | None
    metrics: Mapping[str, float]


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one process tree, in the order written. `began` and `ended` (its last row) are in
    seconds since 1970, None where nobody knows; `boot` names the machine since its start, `attempt`
    the attempt that it worked for.
    """

    rows: Sequence[Row]
    pipeline: str = ""
    began: float | None = None
    ended: float | None = None
    boot: str = ""
    attempt: str = ""


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that a later execution did again. `difference` is the largest of the training loss, at
    step `at`, `before` and `after` are the two losses there; None where no step was logged by both.
    `anew`: it did not resume, it began again.
    """

    first: float
    last: float
    difference: float | None = None
    at: float | None = None
    before: float | None = None
    after: float | None = None
    anew: bool = False

    @property
    def is_faithful(self) -> bool:
        """Whether what was done again came out the same, within the tolerance.

        True as well where it cannot be said (no step was logged by both), and after a new start,
        which has other random numbers and may differ. A NaN beside a number differs by more than
        any tolerance.
        """
        if self.anew:
            return True
        if not self.difference or self.before is None or self.after is None:
            return True
        larger = max(abs(self.before), abs(self.after))
        return self.difference <= TOLERANCE * larger


def is_measured(metric: str) -> bool:
    """Whether a metric's name is that of an evaluation's figure: `val_loss`, `eval/loss`,
    `accuracy`, `test`. The name counts in any case of letters.
    """
    return _MEASURED.fullmatch(metric.casefold()) is not None


def is_of_training(metric: str) -> bool:
    """Whether a metric's name shows that its row is a training's: `loss`, `lr`, `grad_norm`.

    `val_loss` is an evaluation's; `epoch`, `runtime` and `tokens_per_second` may be of either, and
    show nothing.
    """
    name = metric.casefold()
    is_neutral = _NEUTRAL.fullmatch(name) is not None
    return not is_neutral and _MEASURED.fullmatch(name) is None


def standing(executions: Sequence[Execution]) -> list[list[Row]]:
    """The rows that count, execution by execution; a row keeps the metrics that count.

    `executions` must come in the order in which they began. One that logged steps 1 to 900, and
    another that resumed and logged steps 801 to 1000, give the rows 1 to 800 and 801 to 1000.
    """
    counting = []
    for cut, execution in zip(cuts(executions), executions, strict=True):
        counting.append(list(cut.apply(execution.rows)))
    return counting


def cuts(executions: Sequence[Execution]) -> list[Cut]:
    """What later executions supersede of each execution, in their order: that in which they began.

    A cut is much smaller than the rows: whoever reads a run's rows in pieces needs no more.
    """
    marks = list(map(_Marks, executions))
    of_each = []
    for number, mark in enumerate(marks):
        later = marks[number + 1 :]
        of_each.append(_cut(mark, later))
    return of_each


class Cut(NamedTuple):
    """What counts no more of one execution: all of it (`anew`: a later one began again); else of
    each metric in `of_metric` what is at or after that step; and of what no figure names (rows
    without metrics, texts) what is at or after `end`.
    """

    anew: bool
    end: float
    of_metric: Mapping[str, float]

    def apply(self, rows: Sequence[Row]) -> Iterator[Row]:
        """The rows that count, each with the metrics that count.

            of_metric = {"loss": 801}
            step 800: loss, lr      both count
            step 801: loss, lr      `lr` counts: no later execution logged it

        A row without a step counts always, as nothing says what would supersede it. A row of which
        no metric counts is left out.
        """
        if self.anew:
            return
        for row in rows:
            if row.step is None:
                yield row
                continue
            if not row.metrics and row.step < self.end:
                yield row
                continue
            metrics = _before(row.step, row.metrics, self.of_metric)
            if metrics:
                yield Row(row.step, metrics)

    def keeps(self, step: float | None, metric: str, *, is_figure: bool) -> bool:
        """Whether a metric of a row counts. `is_figure` is False for a text.

        `step` None: the row has none, and counts unless the whole execution was superseded.
        """
        if self.anew:
            return False
        if step is None:
            return True
        if not is_figure:
            return step < self.end
        return step < self.of_metric.get(metric, math.inf)


def final_step(rows: Sequence[Row]) -> float | None:
    """The last step that was trained: of the rows of training, where there are any, else of all.

        step 12000: loss        the last step that was trained
        step 50000: accuracy    an evaluation, which counts its batches as steps

    None: no row has a step.
    """
    trained = []
    others = []
    for row in rows:
        if row.step is None:
            continue
        if any(map(is_of_training, row.metrics)):
            trained.append(row.step)
        else:
            others.append(row.step)
    return max(trained or others, default=None)


def repeats(executions: Sequence[Execution]) -> list[Repeat]:
    """The steps that were done again, one for each execution that did some again.

    `executions` come in the order in which they began. Of one that resumed at step 801 after
    another that had reached 900: steps 801 to 900. Empty: no step was done twice.
    """
    marks = list(map(_Marks, executions))
    repeated: list[Repeat] = []
    for number, mark in enumerate(marks):
        superseded = [before.execution for before in marks[:number] if _supersedes(before, mark)]
        if not superseded:
            continue
        repeat = _repeat(superseded, mark.execution)
        if repeat is not None:
            repeated.append(repeat)
    return repeated


class _Marks:
    """What of an execution decides: the first step of all and of each metric, and whether it
    trains.

    `first` None: no row has a finite step. Then it supersedes nothing. The rows are looked at once
    for this, whatever the number of executions that they are compared with.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.of_metric: dict[str, float] = {}
        self.first: float | None = None
        for row in execution.rows:
            step = row.step
            if step is None or not math.isfinite(step):
                continue
            if self.first is None or step < self.first:
                self.first = step
            for name in row.metrics:
                self.of_metric[name] = min(step, self.of_metric.get(name, step))
        self.trains = any(map(is_of_training, self.of_metric))


def _cut(mine: _Marks, later: Sequence[_Marks]) -> Cut:
    """What the later executions supersede of one: of each metric what is at or after the first step
    of any of them.

    Of a first one with `loss` and `val_loss`, a second with `loss` from step 801 supersedes the
    losses from there on, and leaves the validation losses.
    """
    of_metric: dict[str, float] = {}
    end = math.inf
    for other in later:
        if other.first is None or not _supersedes(mine, other):
            continue
        if _begins_anew(mine, other):
            return Cut(anew=True, end=-math.inf, of_metric={})
        end = min(end, other.first)
        for name, first in other.of_metric.items():
            of_metric[name] = min(first, of_metric.get(name, first))
    return Cut(anew=False, end=end, of_metric=of_metric)


def _before(
    step: float, metrics: Mapping[str, float], cuts: Mapping[str, float]
) -> dict[str, float]:
    """The metrics of a row at this step that no cut takes away. `cuts`: metric → the step from
    which it counts no more.
    """
    kept = {}
    for name, value in metrics.items():
        if step < cuts.get(name, math.inf):
            kept[name] = value
    return kept


def _begins_anew(earlier: _Marks, later: _Marks) -> bool:
    """Whether the later one did the earlier one's work again from its beginning: it logged a metric
    of the earlier one, from the same or an earlier step on.

    A training and an evaluation share metrics now and then, and are never the same work.
    """
    if earlier.trains != later.trains:
        return False
    if earlier.first is None or later.first is None:
        return False
    if later.first > earlier.first:
        return False
    return not earlier.of_metric.keys().isdisjoint(later.of_metric)


def _supersedes(earlier: _Marks, later: _Marks) -> bool:
    """Whether the later of two executions continues the work of the earlier.

    Not where they are of two pipelines, and not where the later one measures only: an evaluation
    continues no training. One that logged no figure at all, as it died at once, takes nothing from
    the one before.
    """
    one, other = earlier.execution, later.execution
    if one.pipeline and other.pipeline and one.pipeline != other.pipeline:
        return False
    if not later.of_metric:
        return False
    if earlier.trains and not later.trains:
        return False
    return _follows(one, other)


def _follows(earlier: Execution, later: Execution) -> bool:
    """Whether the later one began after the earlier had written its last row. Two attempts never
    run at once, whatever the clocks say.

        ended 15:00, began 15:02, one machine        yes
        ended 15:00, began 14:50, one machine        no: side by side, such as two seeds
        ended 15:00:30, began 15:00, two machines    yes: their clocks may differ by `OTHER_CLOCK_S`

    Where a time is not known they are taken to follow one another. A machine that was started again
    counts as another one.
    """
    if earlier.attempt and later.attempt and earlier.attempt != later.attempt:
        return True
    if earlier.ended is None or later.began is None:
        return True
    slack = OTHER_CLOCK_S
    if earlier.boot == later.boot:
        slack = 0.0
    return earlier.ended <= later.began + slack


def _losses(rows: Sequence[Row]) -> dict[float, float]:
    """The training loss by step, of the rows that have both; of one step the last row counts, as
    when a loop logs a step twice.
    """
    losses = {}
    for row in rows:
        loss = loss_of(row.metrics, TRAIN_LOSS)
        if row.step is not None and loss is not None:
            losses[row.step] = loss
    return losses


def _repeat(earlier: Sequence[Execution], later: Execution) -> Repeat | None:
    """The steps of the earlier executions that the later one did again, by their training losses.

        before    801: 0.35   802: 0.34   …   900: 0.30
        after     801: 0.35   802: 0.36   …   1000: 0.28

    repeat 801 to 900, with the largest difference, 0.02, at 802. None: one of the two sides has no
    training loss, or the later one began where they had ended.
    """
    rows: list[Row] = []
    for counting in standing(earlier):
        rows += counting
    before = _losses(rows)
    after = _losses(later.rows)
    if not before or not after:
        return None
    if min(after) > max(before):
        return None
    first, last = min(after), min(max(before), max(after))
    anew = first <= min(before)
    common = [step for step in after if step in before]
    if not common:
        return Repeat(first=first, last=last, anew=anew)
    at = max(common, key=lambda step: _difference(before[step], after[step]))
    difference = _difference(before[at], after[at])
    return Repeat(
        first=first,
        last=last,
        difference=difference,
        at=at,
        before=before[at],
        after=after[at],
        anew=anew,
    )


def _difference(one: float, other: float) -> float:
    """By how much two losses differ, from 0: by nothing where both are NaN or the same infinity, by
    infinitely much where one of two different ones is not finite.

    A training that resumed and now gives NaN differs by more than any tolerance.
    """
    if one == other:
        return 0.0
    if math.isnan(one) and math.isnan(other):
        return 0.0
    if math.isfinite(one) and math.isfinite(other):
        return abs(one - other)
    return math.inf
