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
        """Whether what was done again came out the same, within the tolerance. True as well where
        nothing can be compared: no step was logged twice, or the later one began again.
        """
        if self.anew or not self.difference or self.before is None or self.after is None:
            return True
        return self.difference <= TOLERANCE * max(abs(self.before), abs(self.after))


def is_measured(metric: str) -> bool:
    """Whether a metric's name is that of an evaluation's figure: `val_loss`, `eval/accuracy`, `f1`;
    not `loss`, `train/accuracy` or `lr`.
    """
    return _MEASURED.fullmatch(metric.casefold()) is not None


def is_of_training(metric: str) -> bool:
    """Whether a metric's name shows that its row is a training's: `loss`, `lr`, `grad_norm`. A name
    that rows of either kind have, such as `epoch` or `tokens_per_second`, shows nothing.
    """
    name = metric.casefold()
    return _MEASURED.fullmatch(name) is None and _NEUTRAL.fullmatch(name) is None


def standing(executions: Sequence[Execution]) -> list[list[Row]]:
    """The rows that count, execution by execution, in the order in which they began; a row keeps
    the metrics that count.

    A training that logged steps 1 to 10, was killed, and resumed from its checkpoint at step 8 to
    log 9 to 20: of the first execution steps 1 to 8 count, of the second all.
    """
    return [
        list(cut.apply(execution.rows))
        for cut, execution in zip(cuts(executions), executions, strict=True)
    ]


def cuts(executions: Sequence[Execution]) -> list[Cut]:
    """What later executions supersede of each execution, in the same order."""
    marks = list(map(_Marks, executions))
    return [_cut(mark, marks[number + 1 :]) for number, mark in enumerate(marks)]


class Cut(NamedTuple):
    """What counts no more of one execution: all of it (`anew`: a later one began again); else of
    each metric in `of_metric` what is at or after that step; and of what no figure names (rows
    without metrics, texts) what is at or after `end`.
    """

    anew: bool
    end: float
    of_metric: Mapping[str, float]

    def apply(self, rows: Sequence[Row]) -> Iterator[Row]:
        """The rows that count, each with the metrics that count."""
        if self.anew:
            return
        for row in rows:
            if row.step is None or (not row.metrics and row.step < self.end):
                yield row
                continue
            metrics = _before(row.step, row.metrics, self.of_metric)
            if metrics:
                yield Row(row.step, metrics)

    def keeps(self, step: float | None, metric: str, *, is_figure: bool) -> bool:
        """Whether a metric of a row counts. `is_figure` is False for a text."""
        if self.anew:
            return False
        if step is None:
            return True
        if is_figure:
            return step < self.of_metric.get(metric, math.inf)
        return step < self.end


def final_step(rows: Sequence[Row]) -> float | None:
    """The last step that was trained: of the rows of training, where there are any. None: no row
    has a step.
    """
    steps: list[float] = []
    trained: list[float] = []
    for row in rows:
        if row.step is None:
            continue
        steps.append(row.step)
        if any(map(is_of_training, row.metrics)):
            trained.append(row.step)
    return max(trained or steps, default=None)


def repeats(executions: Sequence[Execution]) -> list[Repeat]:
    """The steps that were done again, one for each execution that did some again."""
    marks = list(map(_Marks, executions))
    repeated: list[Repeat] = []
    for number, mark in enumerate(marks):
        superseded = [before for before in marks[:number] if _supersedes(before, mark)]
        if not superseded:
            continue
        repeat = _repeat([before.execution for before in superseded], mark.execution)
        if repeat is not None:
            repeated.append(repeat)
    return repeated


class _Marks:
    """What of an execution decides: the first step of all (None: no row has a finite one) and of
    each metric, and whether it trains.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.of_metric: dict[str, float] = {}
        self.first: float | None = None
        for row in execution.rows:
            if row.step is None or not math.isfinite(row.step):
                continue
            if self.first is None or row.step < self.first:
                self.first = row.step
            for name in row.metrics:
                self.of_metric[name] = min(row.step, self.of_metric.get(name, row.step))
        self.trains = any(map(is_of_training, self.of_metric))


def _cut(mine: _Marks, later: Sequence[_Marks]) -> Cut:
    """What the later executions supersede of one: of each metric, everything from the earliest step
    on at which one of them logged it.
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
    """The metrics of a row at this step that no cut takes away."""
    return {name: value for name, value in metrics.items() if step < cuts.get(name, math.inf)}


def _begins_anew(earlier: _Marks, later: _Marks) -> bool:
    """Whether the later one did the earlier one's work again from its beginning."""
    if earlier.trains != later.trains or earlier.first is None or later.first is None:
        return False
    return later.first <= earlier.first and not earlier.of_metric.keys().isdisjoint(later.of_metric)


def _supersedes(earlier: _Marks, later: _Marks) -> bool:
    """Whether the later of two executions continues the work of the earlier. An evaluation
    continues no training.
    """
    one, other = earlier.execution, later.execution
    if one.pipeline and other.pipeline and one.pipeline != other.pipeline:
        return False
    if not later.of_metric or (earlier.trains and not later.trains):
        return False
    return _follows(one, other)


def _follows(earlier: Execution, later: Execution) -> bool:
    """Whether the later one began after the earlier had written its last row. Two attempts never
    run at once.
    """
    if earlier.attempt and later.attempt and earlier.attempt != later.attempt:
        return True
    if earlier.ended is None or later.began is None:
        return True
    if earlier.boot == later.boot:
        slack = 0.0
    else:
        slack = OTHER_CLOCK_S
    return earlier.ended <= later.began + slack


def _losses(rows: Sequence[Row]) -> dict[float, float]:
    """Step → training loss, as logged last; a row without either is left out."""
    losses = {}
    for row in rows:
        loss = loss_of(row.metrics, TRAIN_LOSS)
        if row.step is not None and loss is not None:
            losses[row.step] = loss
    return losses


def _repeat(earlier: Sequence[Execution], later: Execution) -> Repeat | None:
    """The steps of the earlier executions that the later one did again; None: it did none again, or
    the training loss of one of them was not logged.
    """
    before = _losses([row for rows in standing(earlier) for row in rows])
    after = _losses(later.rows)
    if not before or not after or min(after) > max(before):
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
    """Between two losses: none between two that are no numbers, and no end to that between such a
    one and a number.
    """
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if math.isfinite(one) and math.isfinite(other):
        return abs(one - other)
    return math.inf
