"""The fold: from a journal's events to the state of an experiment.

Each writer's events are folded alone, in their order; the results are then joined, so that every
interleaving of the same files gives the same state. Where two writers say different things of one
attempt, the one that had read the other wins (`saw`), whatever their clocks say; between writers
that knew nothing of each other an end beats a beginning.

A verdict that nobody knew, or that the node was lost, yields to evidence (law 7): whoever had read
it and saw the job nevertheless withdraws it, and the attempt is under way again until its next
verdict.

Facts from different sources stay apart: the scheduler's word, the wrapper's exit record, the
verdict.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from watchkeeper.core.events import (
    AnyEvent,
    Assessed,
    CancelAsked,
    Decided,
    Doubted,
    Event,
    ExitRecord,
    Intended,
    Judged,
    Leased,
    Opened,
    Phase,
    Planned,
    Polled,
    Postponed,
    Rejected,
    SchedulerFacts,
    Submitted,
    Unknown,
)

T = TypeVar("T", bound=Event)
AttemptId = tuple[str, int]
# The first and the last time of answers that follow each other.
Row = tuple[datetime, datetime]
ROW_ENDS_AFTER = timedelta(days=1)
# Between writers that knew nothing of each other: what is further along is the newer fact.
_RANK = {"UNKNOWN": 0, "PENDING": 1, "RUNNING": 2, "COMPLETING": 3}
_ENDED_RANK = 4
# Ends that nobody saw: the verdict on one is a guess.
_UNSEEN_ENDS = ("UNKNOWN", "NODE_FAIL", "BOOT_FAIL")


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What one writer last saw of an attempt's job: `facts` is the scheduler's word, `state` what
    that and the exit record say together.
    """

    writer: str
    seq: int
    job_id: str
    state: str
    facts: SchedulerFacts
    exit_record: ExitRecord | None


class Attempt(msgspec.Struct):
    """One try at a run. Every field is what the journal says; None and empty mean that nobody said.
    `asked`: how often it was about to be handed over; `postponed`: how often that certainly made no
    job; `assessed`: the last word on its health. `sighted`: the last word that there is a job,
    whatever its state; `put_off`: why the scheduler did not take it when it was last asked;
    `refusals`: the first and the last time of a row of such answers, None after a final one.
    """

    key: str
    number: int
    phase: Phase
    intended: Intended | None = None
    asked: int = 0
    postponed: int = 0
    submissions: dict[str, Submitted] = {}
    rejected: Rejected | None = None
    doubted: Doubted | None = None
    seen: Seen | None = None
    exit_record: ExitRecord | None = None
    judged: Judged | None = None
    cancel_asked: bool = False
    assessed: Assessed | None = None
    sighted: Submitted | Seen | None = None
    put_off: Postponed | None = None
    refusals: Row | None = None

    @property
    def yields(self) -> bool:
        """Its verdict says that nobody knows, or that its node was lost: later evidence outweighs
        it.
        """
        return self.judged is not None and self.judged.state in _UNSEEN_ENDS

    @property
    def active(self) -> bool:
        """It was handed to a scheduler and has no verdict yet."""
        return bool(self.submissions) and self.judged is None

    @property
    def unresolved(self) -> bool:
        """Somebody meant to submit it, and the journal does not say what became of that."""
        return (
            not self.submissions
            and self.judged is None
            and (self.rejected is None or self.doubted is not None)
        )

    @property
    def may_have_job(self) -> bool:
        """Of an unresolved attempt, whether the scheduler may have a job of it all the same."""
        return self.doubted is not None or self.asked > self.postponed

    @property
    def closed(self) -> bool:
        """No job of it runs or can still come: the next attempt may begin."""
        return self.judged is not None or (
            self.rejected is not None and not self.submissions and not self.unresolved
        )

    @property
    def job_id(self) -> str:
        """The job to follow: the one last seen, else the first submitted; "" for none."""
        if self.seen is not None:
            return self.seen.job_id
        return next(iter(self.submissions), "")

    @property
    def state(self) -> str:
        """The scheduler's last word, or what stands for it: PENDING after a submission, "" before."""
        if self.judged is not None:
            return self.judged.state
        if self.seen is not None:
            return self.seen.state
        if self.submissions:
            return "PENDING"
        return ""


class RunState(msgspec.Struct):
    """One piece of work and its attempts, by number. `redo_from`: results of attempts below it are
    stale (0: none).
    """

    key: str
    attempts: dict[int, Attempt] = {}
    redo_from: int = 0

    @property
    def latest(self) -> Attempt | None:
        """The attempt with the highest number."""
        if self.attempts:
            return self.attempts[max(self.attempts)]
        return None

    @property
    def stale(self) -> bool:
        """Whether what its attempts left was declared stale and has not been made again."""
        return self.redo_from > max(
            (n for n, a in self.attempts.items() if a.submissions), default=0
        )


class State(msgspec.Struct):
    """An experiment as its journal tells it. `planned` is what the last execution read, that of the
    highest lease; `unknown_kinds`: kind → events of it that this version does not know.
    """

    runs: dict[str, RunState] = {}
    planned: Planned | None = None
    zone: str = "UTC"
    unknown_kinds: dict[str, int] = {}

    def run(self, key: str) -> RunState:
        """The state of one piece of work; an empty one if the journal does not know it."""
        return self.runs.get(key) or RunState(key)

    @property
    def active(self) -> list[Attempt]:
        """Every attempt that was handed over and has no verdict."""
        return [
            attempt
            for run in self.runs.values()
            for attempt in run.attempts.values()
            if attempt.active
        ]

    @property
    def unresolved(self) -> list[Attempt]:
        """Every attempt that somebody meant to submit, and of which nobody said what became."""
        return [
            attempt
            for run in self.runs.values()
            for attempt in run.attempts.values()
            if attempt.unresolved
        ]

    @property
    def yielding(self) -> list[Attempt]:
        """Every run's last attempt whose end nobody saw: evidence of it may still come."""
        return [
            run.latest for run in self.runs.values() if run.latest is not None and run.latest.yields
        ]


class WriterState:
    """One writer's events, folded alone. `update` goes on from where it stood."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.opened: Opened | None = None
        self.leases: list[Leased] = []
        self.planned: Planned | None = None
        self.attempts: dict[AttemptId, Attempt] = {}
        self.judged: dict[AttemptId, Judged] = {}
        self.redo_from: dict[str, int] = {}
        self.unknown_kinds: dict[str, int] = {}

    def update(self, events: Iterable[AnyEvent | Unknown]) -> None:
        """Fold more of the same writer's events, in their order."""
        handlers = _HANDLERS
        for event in events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(self, event)

    def knew(self, other: str, at: int) -> int:
        """How many events of another writer this one had read when it wrote its event number `at`."""
        if self.opened:
            known = self.opened.saw.get(other, 0)
        else:
            known = 0
        return max([known, *(lease.saw.get(other, 0) for lease in self.leases if lease.seq <= at)])

    def _attempt(
        self,
        event: Intended
        | Submitted
        | Rejected
        | Doubted
        | Postponed
        | Assessed
        | Judged
        | CancelAsked,
    ) -> Attempt:
        return self._attempt_of(event.key, event.attempt, event.phase)

    def _attempt_of(self, key: str, number: int, phase: Phase) -> Attempt:
        found = self.attempts.get((key, number))
        if found is None:
            found = self.attempts[key, number] = Attempt(key, number, phase)
        return found

    def _on_opened(self, event: Opened) -> None:
        self.opened = event

    def _on_leased(self, event: Leased) -> None:
        self.leases.append(event)

    def _on_planned(self, event: Planned) -> None:
        if event.phase is None:
            self.planned = event

    def _on_decided(self, event: Decided) -> None:
        for decision in event.decisions:
            if decision.stale:
                self.redo_from[decision.key] = max(
                    decision.attempt, self.redo_from.get(decision.key, 0)
                )

    def _on_intended(self, event: Intended) -> None:
        attempt = self._attempt(event)
        attempt.intended = event
        attempt.asked += 1

    def _on_postponed(self, event: Postponed) -> None:
        attempt = self._attempt(event)
        attempt.postponed += 1
        attempt.put_off = event
        attempt.refusals = _later([attempt.refusals, (event.time, event.time)])

    def _on_submitted(self, event: Submitted) -> None:
        attempt = self._attempt(event)
        attempt.submissions.setdefault(event.job_id, event)
        _sight(attempt, event)

    def _on_rejected(self, event: Rejected) -> None:
        attempt = self._attempt(event)
        attempt.rejected = event
        attempt.refusals = None

    def _on_doubted(self, event: Doubted) -> None:
        attempt = self._attempt(event)
        attempt.doubted = _graver(attempt.doubted, event)
        if event.unreached:
            attempt.refusals = _later([attempt.refusals, (event.time, event.time)])

    def _on_cancel_asked(self, event: CancelAsked) -> None:
        self._attempt(event).cancel_asked = True

    def _on_judged(self, event: Judged) -> None:
        self._attempt(event).judged = event

    def _on_assessed(self, event: Assessed) -> None:
        self._attempt(event).assessed = event

    def _on_polled(self, event: Polled) -> None:
        for change in event.changes:
            attempt = self._attempt_of(change.key, change.attempt, change.phase)
            attempt.seen = Seen(
                self.writer,
                event.seq,
                change.job_id,
                change.after,
                change.facts,
                change.exit_record,
            )
            attempt.exit_record = change.exit_record or attempt.exit_record
            if change.after != "UNKNOWN":
                _sight(attempt, attempt.seen)

    def _on_unknown(self, event: Unknown) -> None:
        self.unknown_kinds[event.kind] = self.unknown_kinds.get(event.kind, 0) + 1


def _graver(one: Doubted | None, other: Doubted | None) -> Doubted | None:
    """Of two doubts the one that says less of what became of the job; the first of two that say the
    same.
    """
    if one is None or other is None:
        return one or other
    if one.unreached and not other.unreached:
        return other
    return one


def _later(rows: Iterable[Row | None]) -> Row | None:
    """The last row that these make together: a day without an answer ends one, as does a clock that
    was set back by a day. Times of several hosts are compared; a day is longer than their clocks
    differ.
    """
    whole: Row | None = None
    for first, last in sorted(filter(None, rows)):
        joins = whole is not None and abs(first - whole[1]) <= ROW_ENDS_AFTER
        if whole is not None and joins:
            whole = (whole[0], max(whole[1], last))
        else:
            whole = (first, last)
    return whole


def _sight(attempt: Attempt, sight: Submitted | Seen) -> None:
    attempt.sighted = sight
    if attempt.yields:
        attempt.judged = None


_HANDLERS: dict[type, Callable[[WriterState, Any], None]] = {
    Opened: WriterState._on_opened,
    Leased: WriterState._on_leased,
    Planned: WriterState._on_planned,
    Decided: WriterState._on_decided,
    Intended: WriterState._on_intended,
    Submitted: WriterState._on_submitted,
    Rejected: WriterState._on_rejected,
    Doubted: WriterState._on_doubted,
    Postponed: WriterState._on_postponed,
    CancelAsked: WriterState._on_cancel_asked,
    Judged: WriterState._on_judged,
    Assessed: WriterState._on_assessed,
    Polled: WriterState._on_polled,
    Unknown: WriterState._on_unknown,
}


def join(writers: Iterable[WriterState]) -> State:
    """The state that the writers' files tell together, in whatever order they come."""
    ordered = sorted(writers, key=lambda one: one.writer)
    by_name = {one.writer: one for one in ordered}
    state = State()
    for one in sorted(
        ordered, key=lambda one: max((lease.lease for lease in one.leases), default=-1)
    ):
        state.planned = one.planned or state.planned
    for one in ordered:
        for kind, number in one.unknown_kinds.items():
            state.unknown_kinds[kind] = state.unknown_kinds.get(kind, 0) + number
        for key, number in one.redo_from.items():
            run = state.runs.setdefault(key, RunState(key))
            run.redo_from = max(run.redo_from, number)
    told: dict[AttemptId, list[Attempt]] = {}
    for one in ordered:
        for found, attempt in one.attempts.items():
            told.setdefault(found, []).append(attempt)
    for found in sorted(told):
        if found[0] not in state.runs:
            state.runs[found[0]] = RunState(found[0])
        state.runs[found[0]].attempts[found[1]] = _join_attempt(told[found], by_name)
    state.zone = _zone(ordered)
    return state


def _zone(ordered: Sequence[WriterState]) -> str:
    """The zone of the first lease's holder, whose clock the views follow; before any lease, of the
    first writer.
    """
    holders = sorted((lease.lease, one.writer) for one in ordered for lease in one.leases)
    names = [writer for _, writer in holders] or [one.writer for one in ordered]
    opened = {one.writer: one.opened for one in ordered}
    return next((found.zone for name in names if (found := opened[name]) is not None), "UTC")


def _join_attempt(told: Sequence[Attempt], writers: Mapping[str, WriterState]) -> Attempt:
    if len(told) == 1:
        return told[0]
    first = told[0]
    whole = Attempt(first.key, first.number, first.phase)
    for one in told:
        whole.intended = whole.intended or one.intended
        whole.doubted = _graver(whole.doubted, one.doubted)
        whole.asked += one.asked
        whole.postponed += one.postponed
        whole.exit_record = whole.exit_record or one.exit_record
        whole.cancel_asked = whole.cancel_asked or one.cancel_asked
        for job_id, submitted in one.submissions.items():
            whole.submissions.setdefault(job_id, submitted)
    whole.rejected = _newest([one.rejected for one in told if one.rejected], writers)
    whole.judged = _verdict(told, writers)
    whole.put_off = _newest([one.put_off for one in told if one.put_off], writers)
    if whole.rejected:
        refused_at = whole.rejected.time
    else:
        refused_at = None
    rows = [one.refusals for one in told if one.refusals]
    whole.refusals = _later(row for row in rows if refused_at is None or row[1] > refused_at)
    whole.assessed = _newest([one.assessed for one in told if one.assessed], writers)
    seen = [one.seen for one in told if one.seen]
    undominated = [one for one in seen if not any(_knew(other, one, writers) for other in seen)]
    whole.seen = max(undominated, key=lambda one: (_rank(one.state), one.writer), default=None)
    whole.sighted = max(
        (one.sighted for one in told if one.sighted),
        key=lambda one: (one.writer, one.seq),
        default=None,
    )
    return whole


def _verdict(told: Sequence[Attempt], writers: Mapping[str, WriterState]) -> Judged | None:
    """The newest verdict that stands; of several that knew nothing of each other, one that rests on
    evidence.
    """
    stands = [
        one.judged
        for one in told
        if one.judged is not None
        and not (
            one.yields
            and any(other.sighted and _knew(other.sighted, one.judged, writers) for other in told)
        )
    ]
    undominated = [one for one in stands if not any(_knew(other, one, writers) for other in stands)]
    return max(
        undominated, key=lambda one: (one.state not in _UNSEEN_ENDS, one.writer), default=None
    )


def _rank(state: str) -> int:
    return _RANK.get(state, _ENDED_RANK)


def _knew(later: Event | Seen, earlier: Event | Seen, writers: Mapping[str, WriterState]) -> bool:
    """Whether the writer of `later` had read `earlier` when it wrote."""
    if later.writer == earlier.writer:
        return later.seq > earlier.seq
    return writers[later.writer].knew(earlier.writer, later.seq) > earlier.seq


def _newest(events: Sequence[T], writers: Mapping[str, WriterState]) -> T | None:
    undominated = [one for one in events if not any(_knew(other, one, writers) for other in events)]
    return max(undominated, key=lambda one: one.writer, default=None)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Events and attempts form no cycles: a collector that walks a million of them again and again
    finds nothing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Fold:
    """A fold that goes on: feed it what `Journal.refresh` returns."""

    def __init__(self) -> None:
        self.writers: dict[str, WriterState] = {}

    def update(self, new: Mapping[str, Iterable[AnyEvent | Unknown]]) -> None:
        """Fold new events, by writer."""
        with _collector_paused():
            for writer, events in new.items():
                self.writers.setdefault(writer, WriterState(writer)).update(events)

    def state(self) -> State:
        """The state so far."""
        with _collector_paused():
            return join(self.writers.values())


def fold(events: Mapping[str, Iterable[AnyEvent | Unknown]]) -> State:
    """The state that these events tell, by writer."""
    whole = Fold()
    whole.update(events)
    return whole.state()
