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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from watchkeeper.core.collector import collector_paused
from watchkeeper.core.events import (
    AnyEvent,
    Assessed,
    CancelAsked,
    Decided,
    Doubted,
    Event,
    ExitRecord,
    Halted,
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
    Vouched,
)
from watchkeeper.core.journal import Journal

T = TypeVar("T", bound=Event)
Fact = TypeVar("Fact", bound="Event | Seen")
Word = TypeVar("Word", bound="Event | ExitRecord")
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
    `vouched`: the path of a checkpoint → what was last said of it.
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
    vouched: dict[str, Vouched] = {}

    @property
    def yields(self) -> bool:
        """Its verdict says that nobody knows, or that its node was lost: later evidence outweighs
        it.
        """
        return self.judged is not None and self.judged.state in _UNSEEN_ENDS

    @property
    def active(self) -> bool:
        """It was handed to a scheduler and has no verdict yet: it waits, or runs, or nobody has
        looked at its end so far.
        """
        return bool(self.submissions) and self.judged is None

    @property
    def unresolved(self) -> bool:
        """Somebody meant to submit it, and the journal does not say what became of that. A refusal
        settles it, unless an earlier try left a doubt.
        """
        if self.submissions or self.judged is not None:
            return False
        return self.rejected is None or self.doubted is not None

    @property
    def may_have_job(self) -> bool:
        """Of an unresolved attempt, whether the scheduler may have a job of it all the same."""
        return self.doubted is not None or self.asked > self.postponed

    @property
    def closed(self) -> bool:
        """No job of it runs or can still come: the next attempt may begin."""
        if self.judged is not None:
            return True
        return self.rejected is not None and not self.submissions and not self.unresolved

    @property
    def id(self) -> AttemptId:
        """Its run's key and its number."""
        return self.key, self.number

    @property
    def facts(self) -> SchedulerFacts | None:
        """What the scheduler last said of its job; None: nothing yet."""
        if self.seen is None:
            return None
        return self.seen.facts

    @property
    def array(self) -> str:
        """The tasks that it was submitted with, as `--array` names them; "": it is no array."""
        if self.intended is None:
            return ""
        return self.intended.array

    @property
    def job_id(self) -> str:
        """The job to follow: the one last seen, else the first submitted; "" for none."""
        if self.seen is not None:
            return self.seen.job_id
        return next(iter(self.submissions), "")

    @property
    def state(self) -> str:
        """The scheduler's last word; before it has one, PENDING, and "" before a submission."""
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
        submitted = [number for number, one in self.attempts.items() if one.submissions]
        return self.redo_from > max(submitted, default=0)


class State(msgspec.Struct, dict=True):
    """An experiment as its journal describes it. `planned` is what the last execution read, that of
    the highest lease; `unknown_kinds`: kind → events of it that this version does not know;
    `halted`: the phases of which nothing more is submitted. It is made once and not changed.
    """

    runs: dict[str, RunState] = {}
    planned: Planned | None = None
    zone: str = "UTC"
    unknown_kinds: dict[str, int] = {}
    halted: dict[Phase, Halted] = {}

    def run(self, key: str) -> RunState:
        """The state of one piece of work; an empty one if the journal does not know it."""
        return self.runs.get(key) or RunState(key)

    @cached_property
    def active(self) -> list[Attempt]:
        """Every attempt that was handed over and has no verdict."""
        return [attempt for attempt in self.attempts() if attempt.active]

    @cached_property
    def unresolved(self) -> list[Attempt]:
        """Every attempt that somebody meant to submit, where no event says what became of that."""
        return [attempt for attempt in self.attempts() if attempt.unresolved]

    @cached_property
    def yielding(self) -> list[Attempt]:
        """Every run's last attempt whose end nobody saw: evidence of it may still come."""
        latest = [run.latest for run in self.runs.values()]
        return [attempt for attempt in latest if attempt is not None and attempt.yields]

    @cached_property
    def judged(self) -> list[Attempt]:
        """Every run's last attempt, of those that have a verdict."""
        latest = [run.latest for run in self.runs.values()]
        return [attempt for attempt in latest if attempt is not None and attempt.judged is not None]

    @cached_property
    def handed_over(self) -> list[Attempt]:
        """The active attempts, as they were submitted."""
        return sorted(self.active, key=_handed_over)

    def attempts(self) -> Iterator[Attempt]:
        """Every attempt of every run."""
        for run in self.runs.values():
            yield from run.attempts.values()


def _handed_over(attempt: Attempt) -> tuple[datetime, int]:
    first = next(iter(attempt.submissions.values()))
    return first.time, first.seq


class WriterState:
    """One writer's events, folded alone. `update` adds to what was folded before."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.opened: Opened | None = None
        self.leases: list[Leased] = []
        self.planned: Planned | None = None
        self.attempts: dict[AttemptId, Attempt] = {}
        self.judged: dict[AttemptId, Judged] = {}
        self.redo_from: dict[str, int] = {}
        self.unknown_kinds: dict[str, int] = {}
        self.halted: dict[Phase, Halted] = {}
        self.ends_halts = False
        """Whether it began an execution that ends the halts of those before it."""
        self.touched: set[AttemptId] = set()
        """The attempts that it has spoken of since they were last joined."""
        self.has_read_more = True
        """Whether what it had read of others has changed since."""

    def update(self, events: Iterable[AnyEvent | Unknown]) -> None:
        """Fold more of the same writer's events, in their order."""
        handlers = _HANDLERS
        for event in events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(self, event)

    def knew(self, other: str, at: int) -> int:
        """How many events of another writer this one had read when it wrote its event `at`."""
        reads = [lease.saw for lease in self.leases if lease.seq <= at]
        if self.opened is not None:
            reads.append(self.opened.saw)
        return max((saw.get(other, 0) for saw in reads), default=0)

    def _attempt(
        self,
        event: Intended
        | Submitted
        | Rejected
        | Doubted
        | Postponed
        | Assessed
        | Judged
        | CancelAsked
        | Vouched,
    ) -> Attempt:
        """The attempt that an event is about."""
        return self._attempt_of(event.key, event.attempt, event.phase)

    def _attempt_of(self, key: str, number: int, phase: Phase) -> Attempt:
        """An attempt as this writer knows it, begun where it is new, and marked as touched."""
        self.touched.add((key, number))
        attempt = self.attempts.get((key, number))
        if attempt is None:
            attempt = self.attempts[key, number] = Attempt(key, number, phase)
        return attempt

    # One method for each kind of event. An event alone changes only what its own writer says.

    def _on_opened(self, event: Opened) -> None:
        """The file's first event: what its writer had read of the others as it began."""
        self.opened = event
        self.has_read_more = True

    def _on_leased(self, event: Leased) -> None:
        """It took or renewed the lead, and has read more of the others by now."""
        self.leases.append(event)
        self.has_read_more = True

    def _on_planned(self, event: Planned) -> None:
        """What an execution read of the experiment. The plan of one phase adds nothing to it."""
        if event.phase is not None:
            return
        self.planned = event
        if not event.keeps_halts:
            self.halted.clear()
            self.ends_halts = True

    def _on_halted(self, event: Halted) -> None:
        """Nothing more of this phase is submitted, until an execution begins that ends halts."""
        self.halted[event.phase] = event

    def _on_decided(self, event: Decided) -> None:
        """Of what was decided only this counts: the results of attempts before are stale."""
        for decision in event.decisions:
            if decision.stale:
                self.redo_from[decision.key] = max(
                    decision.attempt, self.redo_from.get(decision.key, 0)
                )

    def _on_intended(self, event: Intended) -> None:
        """It is about to be handed over: from here on a job of it may exist."""
        attempt = self._attempt(event)
        attempt.intended = event
        attempt.asked += 1

    def _on_postponed(self, event: Postponed) -> None:
        """The scheduler certainly made no job, and is asked again later."""
        attempt = self._attempt(event)
        attempt.postponed += 1
        attempt.put_off = event
        attempt.refusals = _later([attempt.refusals, (event.time, event.time)])

    def _on_submitted(self, event: Submitted) -> None:
        """The scheduler took it, or a job of it was found. Of one job the first word stays."""
        attempt = self._attempt(event)
        attempt.submissions.setdefault(event.job_id, event)
        _sight(attempt, event)

    def _on_rejected(self, event: Rejected) -> None:
        """A final refusal: the row of refusals before it is over."""
        attempt = self._attempt(event)
        attempt.rejected = event
        attempt.refusals = None

    def _on_doubted(self, event: Doubted) -> None:
        """Whether there is a job is not known. A scheduler that was not reached counts as a refusal
        in the row of such answers.
        """
        attempt = self._attempt(event)
        attempt.doubted = _graver(attempt.doubted, event)
        if event.unreached:
            attempt.refusals = _later([attempt.refusals, (event.time, event.time)])

    def _on_cancel_asked(self, event: CancelAsked) -> None:
        """A person asked for its end."""
        self._attempt(event).cancel_asked = True

    def _on_judged(self, event: Judged) -> None:
        """The verdict on it, which a later sighting may withdraw."""
        self._attempt(event).judged = event

    def _on_vouched(self, event: Vouched) -> None:
        """Who vouched for a checkpoint that it made."""
        self._attempt(event).vouched[event.path] = event

    def _on_assessed(self, event: Assessed) -> None:
        """The last word on its health."""
        self._attempt(event).assessed = event

    def _on_polled(self, event: Polled) -> None:
        """What a look at the scheduler showed: a change for each job that is not as it was. A job
        whose state is unknown was not seen.
        """
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
        """An event of a newer version: it is counted, and `status` names its kind."""
        self.unknown_kinds[event.kind] = self.unknown_kinds.get(event.kind, 0) + 1


def _graver(first: Doubted | None, second: Doubted | None) -> Doubted | None:
    """The doubt that says less about what became of the job; the first, where both say the same."""
    if first is None or second is None:
        return first or second
    if first.unreached and not second.unreached:
        return second
    return first


def _later(rows: Iterable[Row | None]) -> Row | None:
    """The last row that these make together. A day without an answer ends a row, and so does a
    clock that was set back by a day. The times are of several hosts, whose clocks differ by less
    than a day.
    """
    last_row: Row | None = None
    for begin, end in sorted(filter(None, rows)):
        if last_row is not None and abs(begin - last_row[1]) <= ROW_ENDS_AFTER:
            last_row = (last_row[0], max(last_row[1], end))
        else:
            last_row = (begin, end)
    return last_row


def _sight(attempt: Attempt, sight: Submitted | Seen) -> None:
    """There is a job of the attempt after all: a verdict on an end that nobody saw is withdrawn."""
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
    Halted: WriterState._on_halted,
    Vouched: WriterState._on_vouched,
    Polled: WriterState._on_polled,
    Unknown: WriterState._on_unknown,
}


def _last_plan(ordered: Sequence[WriterState]) -> Planned | None:
    """The plan of the writer with the highest lease; of those without one only if nobody else has
    planned.
    """
    planned = None
    for writer in sorted(ordered, key=_highest_lease):
        planned = writer.planned or planned
    return planned


def _halts(ordered: Sequence[WriterState]) -> dict[Phase, Halted]:
    """The halts that no later lease's execution has ended."""
    halted: dict[Phase, Halted] = {}
    for writer in sorted(ordered, key=_highest_lease):
        if writer.ends_halts:
            halted.clear()
        halted |= writer.halted
    return halted


def _highest_lease(writer: WriterState) -> int:
    """The writer's highest lease; -1: it never held one."""
    return max((lease.lease for lease in writer.leases), default=-1)


def _zone(ordered: Sequence[WriterState]) -> str:
    """The zone of the first lease's holder, whose clock the views follow; before any lease, of the
    first writer.
    """
    leases = [(lease.lease, writer.writer) for writer in ordered for lease in writer.leases]
    holders = [name for _, name in sorted(leases)]
    openings = {writer.writer: writer.opened for writer in ordered}
    for name in holders or openings:
        opening = openings[name]
        if opening is not None:
            return opening.zone
    return "UTC"


def _add_unknown_kinds(state: State, writer: WriterState) -> None:
    """Add one writer's counts of events that this version does not know."""
    for kind, number in writer.unknown_kinds.items():
        state.unknown_kinds[kind] = state.unknown_kinds.get(kind, 0) + number


# ── one attempt, of which several writers speak


def _join_attempt(parts: Sequence[Attempt], writers: Mapping[str, WriterState]) -> Attempt:
    """The attempt as its writers describe it together. `parts`: one of each writer, by its name."""
    if len(parts) == 1:
        return parts[0]
    rejected = _newest([part.rejected for part in parts], writers)
    return Attempt(
        parts[0].key,
        parts[0].number,
        parts[0].phase,
        intended=_first(part.intended for part in parts),
        asked=sum(part.asked for part in parts),
        postponed=sum(part.postponed for part in parts),
        submissions=_submissions(parts),
        rejected=rejected,
        doubted=_gravest(parts),
        seen=_last_seen(parts, writers),
        exit_record=_first(part.exit_record for part in parts),
        judged=_verdict(parts, writers),
        cancel_asked=any(part.cancel_asked for part in parts),
        assessed=_newest([part.assessed for part in parts], writers),
        sighted=_last_sighting(parts),
        put_off=_newest([part.put_off for part in parts], writers),
        refusals=_refusals_after(rejected, parts),
        vouched=_vouched(parts, writers),
    )


def _vouched(parts: Sequence[Attempt], writers: Mapping[str, WriterState]) -> dict[str, Vouched]:
    """The path of a checkpoint → the newest of what several writers say of it."""
    said: dict[str, list[Vouched]] = {}
    for part in parts:
        for path, event in part.vouched.items():
            said.setdefault(path, []).append(event)
    newest = {path: _newest(events, writers) for path, events in sorted(said.items())}
    return {path: event for path, event in newest.items() if event is not None}


def _first(words: Iterable[Word | None]) -> Word | None:
    """The first of these that somebody said."""
    return next(filter(None, words), None)


def _submissions(parts: Sequence[Attempt]) -> dict[str, Submitted]:
    """Job id → its submission, in the writers' order; of one job, the first writer's."""
    submissions: dict[str, Submitted] = {}
    for part in parts:
        for job_id, submitted in part.submissions.items():
            submissions.setdefault(job_id, submitted)
    return submissions


def _gravest(parts: Sequence[Attempt]) -> Doubted | None:
    """The doubt of all writers that says least about what became of the job; None: none doubts."""
    doubted = None
    for part in parts:
        doubted = _graver(doubted, part.doubted)
    return doubted


def _refusals_after(rejected: Rejected | None, parts: Sequence[Attempt]) -> Row | None:
    """The last row of refusals; what came before a final refusal is over."""
    rows = [part.refusals for part in parts if part.refusals]
    if rejected is not None:
        rows = [row for row in rows if row[1] > rejected.time]
    return _later(rows)


def _last_seen(parts: Sequence[Attempt], writers: Mapping[str, WriterState]) -> Seen | None:
    """The newest look at its job; of looks that knew nothing of each other, the one that is further
    along.
    """
    newest = _not_outdated([part.seen for part in parts if part.seen], writers)
    return max(newest, key=lambda seen: (_rank(seen.state), seen.writer), default=None)


def _last_sighting(parts: Sequence[Attempt]) -> Submitted | Seen | None:
    """One sighting of all writers; whichever it is, there is a job."""
    sightings = [part.sighted for part in parts if part.sighted]
    return max(sightings, key=lambda sight: (sight.writer, sight.seq), default=None)


def _verdict(parts: Sequence[Attempt], writers: Mapping[str, WriterState]) -> Judged | None:
    """The newest verdict that stands; of verdicts that knew nothing of each other, one that rests
    on evidence.
    """
    sightings = [part.sighted for part in parts if part.sighted]
    standing: list[Judged] = []
    for part in parts:
        if part.judged is None:
            continue
        if part.yields and _is_outdated(part.judged, sightings, writers):
            continue
        standing.append(part.judged)
    return max(
        _not_outdated(standing, writers),
        key=lambda judged: (judged.state not in _UNSEEN_ENDS, judged.writer),
        default=None,
    )


def _rank(state: str) -> int:
    """How far along a state is, from 0 for UNKNOWN to 4 for every end."""
    return _RANK.get(state, _ENDED_RANK)


def _newest(events: Sequence[T | None], writers: Mapping[str, WriterState]) -> T | None:
    """The event that no other's writer had read; of several such the one of the last writer by
    name, so that every reader chooses the same. None: there is none.
    """
    present = [event for event in events if event is not None]
    return max(_not_outdated(present, writers), key=lambda event: event.writer, default=None)


def _not_outdated(events: Sequence[Fact], writers: Mapping[str, WriterState]) -> list[Fact]:
    """Those of which no other's writer had read: each may be the newest."""
    return [event for event in events if not _is_outdated(event, events, writers)]


def _is_outdated(
    event: Event | Seen, others: Iterable[Event | Seen], writers: Mapping[str, WriterState]
) -> bool:
    """Whether one of the others was written by who had read this one."""
    return any(_knew(other, event, writers) for other in others)


def _knew(later: Event | Seen, earlier: Event | Seen, writers: Mapping[str, WriterState]) -> bool:
    """Whether the writer of `later` had read `earlier` when it wrote."""
    if later.writer == earlier.writer:
        return later.seq > earlier.seq
    return writers[later.writer].knew(earlier.writer, later.seq) > earlier.seq


class Fold:
    """A fold that can be continued: feed it what `Journal.refresh` returns. What several writers
    say of an attempt is joined again only where one of them has said more.
    """

    def __init__(self) -> None:
        self.writers: dict[str, WriterState] = {}
        self._runs: dict[str, RunState] = {}

    def update(self, new: Mapping[str, Iterable[AnyEvent | Unknown]]) -> None:
        """Fold new events, by writer."""
        with collector_paused():
            for writer, events in new.items():
                self.writers.setdefault(writer, WriterState(writer)).update(events)

    def state(self) -> State:
        """The state so far: that of the writers' files together, in whatever order they come."""
        with collector_paused():
            ordered = sorted(self.writers.values(), key=lambda writer: writer.writer)
            self._join_attempts(ordered)
            self._add_stale_results(ordered)
        state = State(
            runs=dict(self._runs),
            planned=_last_plan(ordered),
            zone=_zone(ordered),
            halted=_halts(ordered),
        )
        for writer in ordered:
            _add_unknown_kinds(state, writer)
        return state

    def _join_attempts(self, ordered: Sequence[WriterState]) -> None:
        """Join again what several writers say of the attempts that were touched since."""
        by_name = {writer.writer: writer for writer in ordered}
        attempts: dict[str, list[Attempt]] = {}
        for key, number in sorted(_to_join(ordered)):
            parts = [w.attempts[key, number] for w in ordered if (key, number) in w.attempts]
            attempts.setdefault(key, []).append(_join_attempt(parts, by_name))
        for key, joined in attempts.items():
            before = self._runs.get(key, RunState(key))
            numbered = before.attempts | {attempt.number: attempt for attempt in joined}
            self._put(RunState(key, dict(sorted(numbered.items())), before.redo_from))
        for writer in ordered:
            writer.touched.clear()
            writer.has_read_more = False

    def _add_stale_results(self, ordered: Sequence[WriterState]) -> None:
        """Take over which results are stale: once declared so, they stay it until made again."""
        for writer in ordered:
            for key, number in writer.redo_from.items():
                run = self._runs.get(key, RunState(key))
                if number > run.redo_from:
                    self._put(RunState(key, run.attempts, number))

    def _put(self, run: RunState) -> None:
        """Keep a run; the keys stay in their order."""
        is_last = not self._runs or run.key > next(reversed(self._runs))
        is_known = run.key in self._runs
        self._runs[run.key] = run
        if not is_last and not is_known:
            self._runs = dict(sorted(self._runs.items()))


def _to_join(ordered: Sequence[WriterState]) -> set[AttemptId]:
    """The attempts of which somebody has said more; all, where somebody has read more of others."""
    if any(writer.has_read_more for writer in ordered):
        return {attempt_id for writer in ordered for attempt_id in writer.attempts}
    return {attempt_id for writer in ordered for attempt_id in writer.touched}


class Replay:
    """A journal as far as it was read, and the state that it tells: both continue together."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the journal's, which is read at once.

        Raises:
            NewerJournalError: a file is of a newer schema.
        """
        self.journal = Journal(folder)
        self.fold = Fold()
        self._state: State | None = None
        self.refresh()

    @property
    def state(self) -> State:
        """The state that everything read so far tells."""
        if self._state is None:
            self._state = self.fold.state()
        return self._state

    def refresh(self) -> Mapping[str, list[AnyEvent | Unknown]]:
        """Read what was added since; returns the new events by writer.

        Raises:
            NewerJournalError: a file is of a newer schema.
        """
        new = self.journal.refresh()
        if new:
            self.fold.update(new)
            self._state = None
        return new


def fold(events: Mapping[str, Iterable[AnyEvent | Unknown]]) -> State:
    """The state after these events, by writer."""
    whole = Fold()
    whole.update(events)
    return whole.state()
