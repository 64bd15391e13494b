"""Criteria: what somebody expected of the evaluations, and whether they said so before. Pure.

A criterion counts only where the journal shows that it came before the first evaluation was
submitted. Clocks play no role: what counts is the order of one writer's events, and between two
writers what the one had read of the other.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import get_args

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import (
    AnyEvent,
    Expected,
    Intended,
    Judged,
    Leased,
    Number,
    Opened,
    Relation,
    Unknown,
)
from watchkeeper.core.events.choose import Events, of_kind
from watchkeeper.core.text import lazy

_CRITERION = lazy.pattern(
    r"\s*(?P<metric>[A-Za-z_][\w./:@%-]*?)\s*(?P<relation><=|>=|==|<|>)\s*"
    r"(?P<value>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*",
    re.ASCII,
)
_RELATIONS: Mapping[Relation, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_MOST_CHARACTERS = 200
_MOST_NAMED = 4
_JUDGED_BY = (Opened, Leased, Expected, Intended, Judged)


class Criterion(msgspec.Struct, frozen=True):
    """A metric, and what it is to be: `accuracy`, `>=`, 0.9."""

    metric: str
    relation: Relation
    value: float

    @property
    def words(self) -> str:
        """As it is written: `accuracy >= 0.9`. `parse` makes the same criterion of it."""
        return f"{self.metric} {self.relation} {self.value:.15g}"

    def holds(self, value: Number) -> bool:
        """Whether a value of the metric meets it; NaN meets nothing."""
        return _RELATIONS[self.relation](float(value), self.value)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A criterion and what came of it. `source` is `--expect`, or the name of the summary.
    `before`: the journal shows that it was stated before the first evaluation was submitted; else
    it does not count. `met` and `missed` map evaluations to their value of the metric; both are
    empty where none has reported it, and `reported` then names what was reported instead.
    """

    criterion: str
    source: str
    before: bool
    met: dict[str, Number] = {}
    missed: dict[str, Number] = {}
    reported: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """In one line, with how many evaluations met it, and which met and missed it.

        accuracy >= 0.9: met by 1 of 2: r8/clean/epoch0 (0.91); missed by r8/clean/epoch1 (0.88); …
        """
        if not self.before:
            return f"{self.criterion}: added after an evaluation was submitted, and does not count"
        stated = "stated before the first evaluation"
        if self.met and self.missed:
            count = len(self.met) + len(self.missed)
            return (
                f"{self.criterion}: met by {len(self.met)} of {count}: {_named(self.met)}; "
                f"missed by {_named(self.missed)}; {stated}"
            )
        if self.missed:
            return f"{self.criterion}: missed by {_named(self.missed)}; {stated}"
        if self.met:
            return f"{self.criterion}: met by {_named(self.met)}; {stated}"
        if self.reported:
            others = ", ".join(self.reported[:_MOST_NAMED])
            return f"{self.criterion}: never reported (reported: {others}); {stated}"
        return f"{self.criterion}: no evaluation has reported yet; {stated}"

    def of(self, keys: Collection[str]) -> Standing:
        """The same, of these evaluations alone. `keys` are theirs, `r8/clean/epoch0`."""
        met = {key: value for key, value in self.met.items() if key in keys}
        missed = {key: value for key, value in self.missed.items() if key in keys}
        return msgspec.structs.replace(self, met=met, missed=missed)

    @property
    def verdict(self) -> str:
        """`met`, `missed`, `open` while no evaluation has reported the metric, and `does not
        count` for one that was added after. One evaluation that missed it is enough for `missed`.
        """
        if not self.before:
            return "does not count"
        if self.missed:
            return "missed"
        if self.met:
            return "met"
        return "open"


def parse(text: str) -> Criterion:
    """The criterion that a text states: METRIC RELATION NUMBER, as `accuracy >= 0.9` or
    `eval/loss<2.5e-1`. Relations are `<`, `<=`, `>`, `>=` and `==`.

    Raises:
        UsageError: it states none.
    """
    match = _CRITERION.fullmatch(text[: _MOST_CHARACTERS + 1])
    if match is None or len(text) > _MOST_CHARACTERS:
        relations = ", ".join(get_args(Relation))
        raise UsageError(
            f"{text[:_MOST_CHARACTERS]!r} states no criterion",
            hint=f"write METRIC RELATION NUMBER, as 'accuracy >= 0.9'; relations: {relations}",
        )
    value = float(match["value"])
    if math.isinf(value):
        raise UsageError(f"{text!r}: {match['value']} is too large", hint="write a smaller number")
    relation = next(one for one in _RELATIONS if one == match["relation"])
    return Criterion(match["metric"], relation, value)


def criterion_of(event: Expected) -> Criterion:
    """The criterion that an event states."""
    return Criterion(event.metric, event.relation, event.value)


def unstated(criteria: Iterable[Criterion], events: Events) -> list[Criterion]:
    """Those of these criteria that no event states yet, each once, in their order."""
    known = {criterion_of(event) for event in of_kind(events, Expected)}
    new: list[Criterion] = []
    for criterion in criteria:
        if criterion not in known:
            known.add(criterion)
            new.append(criterion)
    return new


def standings(events: Events) -> list[Standing]:
    """Each criterion that was stated, in the order of the writers, beside what the evaluations have
    reported. Of a criterion that was stated twice the one before the first evaluation counts.
    """
    values = values_of(events)
    stated: dict[Criterion, Expected] = {}
    for event in of_kind(events, Expected):
        one = criterion_of(event)
        if one not in stated or (_is_first(event, events) and not _is_first(stated[one], events)):
            stated[one] = event
    return [_standing(one, event, events, values) for one, event in stated.items()]


def foreseen(criteria: Collection[tuple[str, Criterion]], events: Events) -> list[Standing]:
    """The standings as they would be if these criteria, each with its source, were stated now:
    those that are stated already, and then the new ones. A new one counts only while no evaluation
    was submitted.

    A criterion is (`--expect`, the criterion) here, or has the summary's name as its source.
    """
    submissions = [one for one in of_kind(events, Intended) if one.phase == "evaluation"]
    new = unstated([one for _, one in criteria], events)
    sources = {one: source for source, one in criteria}
    values = values_of(events)
    coming = [_valued(one, sources[one], values, before=not submissions) for one in new]
    return [*standings(events), *coming]


class Ledger:
    """What came of the criteria, of a journal that grows. Feed it every event, once."""

    def __init__(self) -> None:
        self._events: dict[str, list[AnyEvent | Unknown]] = {}
        self._is_any = False  # whether a criterion was stated
        self._standings: list[Standing] | None = []  # None: to be made again

    def feed(self, event: AnyEvent | Unknown) -> None:
        """One more event, of any kind. The kinds that say nothing of criteria are not kept."""
        if isinstance(event, _JUDGED_BY):
            self._events.setdefault(event.writer, []).append(event)
            self._is_any = self._is_any or isinstance(event, Expected)
            if self._is_any:
                self._standings = None

    def standings(self, keys: Collection[str]) -> list[Standing]:
        """Each criterion, and what came of it in these evaluations. Asked again before the next
        event that matters, it answers from memory.
        """
        if self._standings is None:
            self._standings = standings(self._events)
        return [one.of(keys) for one in self._standings]


def values_of(events: Events) -> dict[str, Mapping[str, Number]]:
    """Evaluation → the metrics of its newest attempt that ended well. An evaluation of which no
    attempt did is not there: `{"r8/clean/epoch0": {"accuracy": 0.91}}`.
    """
    newest: dict[str, Judged] = {}
    for event in of_kind(events, Judged):
        if event.phase != "evaluation" or event.outcome not in ("done", "failed but good"):
            continue
        before = newest.get(event.key)
        if before is None or event.attempt >= before.attempt:
            newest[event.key] = event
    return {key: judged.metrics for key, judged in newest.items()}


def _standing(
    criterion: Criterion,
    event: Expected,
    events: Events,
    values: Mapping[str, Mapping[str, Number]],
) -> Standing:
    """What came of a criterion that this event stated. `values`: evaluation → its metrics."""
    return _valued(criterion, event.source, values, before=_is_first(event, events))


def _valued(
    criterion: Criterion,
    source: str,
    values: Mapping[str, Mapping[str, Number]],
    *,
    before: bool,
) -> Standing:
    """What came of a criterion. `values`: evaluation → its metrics; `before`: it was stated before
    the first evaluation was submitted. An evaluation without the metric neither met nor missed it.
    """
    met: dict[str, Number] = {}
    missed: dict[str, Number] = {}
    for key, metrics in values.items():
        if criterion.metric not in metrics:
            continue
        value = metrics[criterion.metric]
        if criterion.holds(value):
            met[key] = value
        else:
            missed[key] = value
    # What was reported instead shows a name that is spelt differently.
    others: tuple[str, ...] = ()
    if not met and not missed:
        names = {name for metrics in values.values() for name in metrics}
        others = tuple(sorted(names))
    return Standing(
        criterion=criterion.words,
        source=source,
        before=before,
        met=met,
        missed=missed,
        reported=others,
    )


def _named(values: Mapping[str, Number]) -> str:
    """`r8/clean/epoch0 (0.91)` of each, the first few by name, then `and 3 more`."""
    named = [f"{key} ({value})" for key, value in sorted(values.items())[:_MOST_NAMED]]
    if len(values) > _MOST_NAMED:
        named.append(f"and {len(values) - _MOST_NAMED} more")
    return ", ".join(named)


def _is_first(event: Expected, events: Events) -> bool:
    """Whether every submission of an evaluation knew of the criterion. True while there is none."""
    submissions = [one for one in of_kind(events, Intended) if one.phase == "evaluation"]
    return all(_knew(submission, event, events) for submission in submissions)


def _knew(submission: Intended, event: Expected, events: Events) -> bool:
    """Whether who submitted had read the criterion before: written it earlier, or seen it in the
    other writer's file.

    A process reads the others' files when it opens the journal, and when it takes the lease. `saw`
    is the number of events that it had read then: it had read event 4, the fifth, where that is 5
    or more.
    """
    if submission.writer == event.writer:
        return event.seq < submission.seq
    for read in events.get(submission.writer, ()):
        if not isinstance(read, Opened | Leased):
            continue
        had_read = read.saw.get(event.writer, 0) > event.seq
        if had_read and read.seq < submission.seq:
            return True
    return False
