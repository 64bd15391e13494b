"""The fold: the same state for any order of the same files; who had read the other wins, whatever
the clocks say.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.events import (
    AnyEvent,
    Assessed,
    CancelAsked,
    Change,
    Decided,
    Decision,
    Doubted,
    ExitRecord,
    Halted,
    Intended,
    Judged,
    Leased,
    Opened,
    Planned,
    Polled,
    Postponed,
    Rejected,
    SchedulerFacts,
    Submitted,
    Unknown,
    Vouched,
)
from watchkeeper.core.state import Attempt, Fold, RunState, State, fold

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
KEY = {"key": "r8", "phase": "preparation", "attempt": 1}


def opened(writer: str, saw: dict[str, int] | None = None, time: datetime = NOW) -> Opened:
    return Opened(
        time=time,
        writer=writer,
        seq=0,
        schema=1,
        software="w",
        purpose="run",
        zone="UTC",
        saw=saw or {},
    )


def event(kind: type, writer: str, seq: int, time: datetime = NOW, **fields: Any) -> Any:
    return kind(time=time, writer=writer, seq=seq, **fields)


def submitted(writer: str, seq: int, job_id: str = "7") -> AnyEvent:
    return event(Submitted, writer, seq, **KEY, job_id=job_id, scheduler="local", command="bash x")


def polled(writer: str, seq: int, state: str, time: datetime = NOW) -> AnyEvent:
    facts = SchedulerFacts(state=state)
    change = Change(
        key="r8", phase="preparation", attempt=1, job_id="7", before="", after=state, facts=facts
    )
    return event(
        Polled, writer, seq, time, phase="preparation", query="q", interval_s=1.0, changes=(change,)
    )


def shown(state: State) -> Any:
    return {
        key: (
            run.redo_from,
            {
                n: (a.state, a.job_id, sorted(a.submissions), a.active, a.closed)
                for n, a in run.attempts.items()
            },
        )
        for key, run in state.runs.items()
    }


WRITERS = {
    "a": [
        opened("a"),
        event(Intended, "a", 1, **KEY, token="t", script="s", script_sha256="h"),
        submitted("a", 2),
        polled("a", 3, "RUNNING"),
    ],
    "b": [
        opened("b", {"a": 4}),
        polled("b", 1, "COMPLETED", NOW - timedelta(days=1)),
        submitted("b", 2, "8"),
    ],
    "c": [opened("c"), polled("c", 1, "PENDING", NOW + timedelta(days=1))],
    "d": [
        opened("d", {"a": 2, "b": 2}),
        event(Judged, "d", 1, **KEY, outcome="failed", state="FAILED"),
    ],
}


@given(st.permutations(list(WRITERS)), st.randoms())
def test_any_interleaving_of_the_same_files_folds_to_the_same_state(
    order: list[str], random: Any
) -> None:
    """However the lines of the files arrive, in whatever pieces, and whoever asks in between, the
    state is the same.
    """
    folded = Fold()
    rest = {writer: list(WRITERS[writer]) for writer in order}
    while any(rest.values()):
        writer = random.choice([w for w in rest if rest[w]])
        number = random.randint(1, len(rest[writer]))
        folded.update({writer: rest[writer][:number]})
        rest[writer] = rest[writer][number:]
        if random.random() < 0.5:
            folded.state()
    assert folded.state() == fold(WRITERS)
    assert shown(folded.state()) == shown(fold(WRITERS))


def test_who_had_read_the_other_wins_whatever_the_clocks_say() -> None:
    """A restarted watcher's COMPLETED beats an older RUNNING though its clock is a day behind."""
    two = {"a": WRITERS["a"], "b": WRITERS["b"]}
    assert fold(two).run("r8").attempts[1].state == "COMPLETED"
    later = {
        "a": [*WRITERS["a"][:3], polled("a", 3, "COMPLETED")],
        "b": [opened("b", {"a": 4}), polled("b", 1, "RUNNING")],
    }
    assert fold(later).run("r8").attempts[1].state == "RUNNING", (
        "a requeue seen by who knew of the end is the newer fact"
    )


def test_between_writers_that_knew_nothing_of_each_other_an_end_wins() -> None:
    """Concurrent observations: an end is newer than RUNNING, and RUNNING newer than PENDING."""
    for one, other in (("COMPLETED", "RUNNING"), ("RUNNING", "PENDING"), ("PENDING", "UNKNOWN")):
        state = fold(
            {"a": [opened("a"), polled("a", 1, one)], "b": [opened("b"), polled("b", 1, other)]}
        )
        assert state.run("r8").attempts[1].state == one


def test_an_attempt_is_closed_only_by_a_verdict_or_a_refusal() -> None:
    """Intended, doubted and submitted attempts are open; refused and judged ones are closed."""
    intended = event(Intended, "a", 1, **KEY, token="t", script="s", script_sha256="h")
    rejected = event(Rejected, "a", 2, **KEY, command="c", message="no")
    doubted = event(Doubted, "a", 2, **KEY, command="c", message="?")
    judged = event(Judged, "a", 3, **KEY, outcome="done", state="COMPLETED")
    cases = [
        ([], False, True),
        ([rejected], True, False),
        ([doubted], False, True),
        ([submitted("a", 2)], False, False),
        ([submitted("a", 2), judged], True, False),
    ]
    for more, closed, unresolved in cases:
        attempt = fold({"a": [opened("a"), intended, *more]}).run("r8").attempts[1]
        assert (attempt.closed, attempt.unresolved) == (closed, unresolved), more


def test_a_stale_result_stays_stale_until_a_new_attempt_is_submitted() -> None:
    """What was declared stale is made again, also by an execution that begins after a crash."""
    decision = Decision(
        key="r8", phase="preparation", action="wait", reason="r", attempt=2, stale=True
    )
    decided = event(Decided, "a", 3, phase="preparation", decisions=(decision,))
    before = [
        opened("a"),
        submitted("a", 1),
        event(Judged, "a", 2, **KEY, outcome="done", state="COMPLETED"),
        decided,
    ]
    assert fold({"a": before}).run("r8").stale
    again = msgspec.structs.replace(submitted("a", 4, "9"), attempt=2)
    assert not fold({"a": [*before, again]}).run("r8").stale


def judged(writer: str, seq: int, state: str = "UNKNOWN", outcome: str = "unknown") -> AnyEvent:
    return event(Judged, writer, seq, **KEY, outcome=outcome, state=state)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("UNKNOWN", "unknown"), ("NODE_FAIL", "lost"), ("UNKNOWN", "failed but good")],
)
def test_a_verdict_without_evidence_yields_to_whoever_saw_the_job_afterwards(
    state: str, outcome: str
) -> None:
    """A sighting or an adoption by who had read the verdict withdraws it, in the same file or
    another; the next verdict stands.
    """
    first = [opened("a"), submitted("a", 1), judged("a", 2, state, outcome)]
    for sight in (polled("a", 3, "RUNNING"), submitted("a", 3, "8"), polled("a", 3, "COMPLETED")):
        attempt = fold({"a": [*first, sight]}).run("r8").attempts[1]
        assert attempt.active and attempt.judged is None
        other = [opened("b", {"a": 3}), msgspec.structs.replace(sight, writer="b", seq=1)]
        assert fold({"a": first, "b": other}).run("r8").attempts[1].active
        end = judged("b", 2, "COMPLETED", "done")
        verdict = fold({"a": first, "b": [*other, end]}).run("r8").attempts[1].judged
        assert verdict is not None and verdict.outcome == "done"


def test_a_verdict_stands_against_what_was_seen_before_it() -> None:
    """Who had not read the verdict withdraws nothing, nor does another look that knows nothing; a
    verdict on evidence never yields, and of two that knew nothing of each other it is the one that
    counts.
    """
    first = [opened("a"), submitted("a", 1), judged("a", 2)]
    for other in (
        [opened("b"), polled("b", 1, "RUNNING")],
        [opened("b", {"a": 3}), polled("b", 1, "UNKNOWN")],
    ):
        assert not fold({"a": first, "b": other}).run("r8").attempts[1].active
    failed = [opened("a"), submitted("a", 1), judged("a", 2, "FAILED", "failed")]
    assert (
        not fold({"a": failed, "b": [opened("b", {"a": 3}), polled("b", 1, "RUNNING")]})
        .run("r8")
        .attempts[1]
        .active
    )
    for names in (("a", "z"), ("z", "a")):
        unknown, done = names
        both = {
            unknown: [opened(unknown), judged(unknown, 1)],
            done: [opened(done), judged(done, 1, "COMPLETED", "done")],
        }
        verdict = fold(both).run("r8").attempts[1].judged
        assert verdict is not None and verdict.outcome == "done"


def test_what_several_writers_asked_of_one_attempt_adds_up() -> None:
    """An attempt that two processes were about to hand over was asked for twice: one certain no
    leaves the other in doubt.
    """
    intended = {**KEY, "token": "t", "script": "x", "script_sha256": ""}
    refused = {**KEY, "message": "busy"}
    events = {
        "a": [
            opened("a"),
            event(Intended, "a", 1, **intended),
            event(Postponed, "a", 2, **refused),
        ],
        "b": [opened("b", saw={"a": 3}), event(Intended, "b", 1, **intended)],
    }
    attempt = fold(events).runs["r8"].attempts[1]
    assert (attempt.asked, attempt.postponed) == (2, 1)
    events["b"].append(event(Postponed, "b", 2, **refused))
    attempt = fold(events).runs["r8"].attempts[1]
    assert (attempt.asked, attempt.postponed) == (2, 2)


# ── each fact of an attempt by itself

INTENDED = {**KEY, "token": "t", "script": "s", "script_sha256": "h"}
REFUSED = {**KEY, "command": "c", "message": "no"}
BUSY = {**KEY, "message": "busy"}
HOUR = timedelta(hours=1)


def attempt_of(*writers: list[AnyEvent]) -> Attempt:
    """The one attempt of these writers' files."""
    return fold({events[0].writer: events for events in writers}).run("r8").attempts[1]


def leased(writer: str, seq: int, lease: int, saw: dict[str, int] | None = None) -> AnyEvent:
    return event(Leased, writer, seq, lease=lease, saw=saw or {})


def planned(writer: str, seq: int, name: str, phase: Any = None) -> AnyEvent:
    return event(Planned, writer, seq, phase=phase, experiment=name, folder="/e", summary="")


@pytest.mark.parametrize(
    ("events", "may_have_job"),
    [
        ([event(Intended, "a", 1, **INTENDED)], True),
        ([event(Intended, "a", 1, **INTENDED), event(Postponed, "a", 2, **BUSY)], False),
        (
            [
                event(Intended, "a", 1, **INTENDED),
                event(Postponed, "a", 2, **BUSY),
                event(Doubted, "a", 3, **REFUSED),
            ],
            True,
        ),
        ([event(Postponed, "a", 1, **BUSY)], False),
    ],
)
def test_an_attempt_may_have_a_job_unless_every_try_certainly_made_none(
    events: list[AnyEvent], may_have_job: bool
) -> None:
    """A doubt, or a try of which nothing is known, leaves a job possible."""
    assert attempt_of([opened("a"), *events]).may_have_job is may_have_job


def test_a_submission_outranks_a_refusal() -> None:
    """An attempt that has a job is not closed by somebody else's refusal, nor by nothing at all."""
    refused = event(Rejected, "a", 1, **REFUSED)
    assert attempt_of([opened("a"), refused]).closed
    assert not attempt_of([opened("a"), refused, submitted("a", 2)]).closed
    assert not attempt_of([opened("a"), event(Intended, "a", 1, **INTENDED)]).closed
    assert not Attempt("r8", 1, "preparation").closed


def test_the_state_names_the_last_word() -> None:
    """The verdict, else the last look, else PENDING for a submission, else nothing."""
    own = [opened("a"), event(Intended, "a", 1, **INTENDED)]
    assert (attempt_of(own).state, attempt_of(own).job_id) == ("", "")
    own.append(submitted("a", 2, "9"))
    assert (attempt_of(own).state, attempt_of(own).job_id) == ("PENDING", "9")
    own.append(polled("a", 3, "RUNNING"))
    assert (attempt_of(own).state, attempt_of(own).job_id) == ("RUNNING", "7")
    own.append(judged("a", 4, "FAILED", "failed"))
    assert attempt_of(own).state == "FAILED"


def test_the_latest_attempt_has_the_highest_number() -> None:
    """Of no attempts there is none; the order of the journal does not matter."""
    untouched = RunState("r8")
    assert untouched.latest is None and untouched.redo_from == 0 and not untouched.stale
    second = msgspec.structs.replace(submitted("a", 1), attempt=2)
    latest = fold({"a": [opened("a"), second, submitted("a", 2)]}).run("r8").latest
    assert latest is not None and latest.number == 2


def test_a_run_is_stale_until_an_attempt_that_is_new_enough_is_submitted() -> None:
    """The highest number of all writers counts; a decision without `stale` says nothing."""

    def decided(writer: str, seq: int, number: int, *, stale: bool = True) -> AnyEvent:
        decision = Decision(
            key="r8", phase="preparation", action="wait", reason="r", attempt=number, stale=stale
        )
        return event(Decided, writer, seq, phase="preparation", decisions=(decision,))

    assert not fold({"a": [opened("a"), decided("a", 1, 1, stale=False)]}).run("r8").stale
    assert not fold({"a": [opened("a"), decided("a", 1, 0)]}).run("r8").stale
    both = {
        "a": [opened("a"), submitted("a", 1), decided("a", 2, 1)],
        "b": [opened("b"), decided("b", 1, 2), decided("b", 2, 1)],
    }
    assert fold(both).run("r8").redo_from == 2 and fold(both).run("r8").stale
    assert not fold({"a": both["a"]}).run("r8").stale
    assert fold({"a": [opened("a"), decided("a", 1, 1)]}).run("r8").stale


def test_a_state_lists_attempts_by_what_is_known_of_them() -> None:
    """Under way, unresolved, and the last ones whose end nobody saw."""

    def numbered(number: int, fact: AnyEvent) -> AnyEvent:
        return msgspec.structs.replace(fact, attempt=number)

    events = [
        opened("a"),
        *(submitted("a", 1), judged("a", 2)),
        *(numbered(2, submitted("a", 3)), numbered(2, judged("a", 4, "NODE_FAIL", "lost"))),
        msgspec.structs.replace(submitted("a", 5), key="r9"),
        event(Intended, "a", 6, **{**INTENDED, "key": "r10"}),
    ]
    state = fold({"a": events})
    assert [(one.key, one.number) for one in state.active] == [("r9", 1)]
    assert [one.key for one in state.unresolved] == ["r10"]
    assert [(one.key, one.number) for one in state.yielding] == [("r8", 2)]
    done = numbered(2, judged("a", 7, "COMPLETED", "done"))
    assert fold({"a": [*events, done]}).yielding == []
    assert list(state.runs) == ["r10", "r8", "r9"]
    assert state.run("r11") == RunState("r11")


def test_what_a_lease_holder_had_read_counts_from_its_lease_on() -> None:
    """Reading may continue while a file is written: the lease says what was read then, not what
    was read before.
    """
    first = [opened("a"), polled("a", 1, "COMPLETED")]

    def state_of(*second: AnyEvent) -> str:
        return attempt_of(first, [opened("b"), *second]).state

    assert state_of(polled("b", 1, "RUNNING")) == "COMPLETED"
    assert state_of(leased("b", 1, 1, {"a": 2}), polled("b", 2, "RUNNING")) == "RUNNING"
    assert state_of(leased("b", 1, 1, {"a": 1}), polled("b", 2, "RUNNING")) == "COMPLETED"
    assert state_of(polled("b", 1, "RUNNING"), leased("b", 2, 1, {"a": 2})) == "COMPLETED"
    twice = (leased("b", 1, 1, {"a": 2}), leased("b", 2, 2, {"a": 0}))
    assert state_of(*twice, polled("b", 3, "RUNNING")) == "RUNNING"


def test_the_plan_is_that_of_the_highest_lease() -> None:
    """A holder without a plan takes none away; the plan of one phase is not the execution's."""
    files = {
        "a": [opened("a"), leased("a", 1, 2), planned("a", 2, "newer")],
        "b": [opened("b"), leased("b", 1, 1), planned("b", 2, "older")],
        "c": [opened("c"), leased("c", 1, 3), planned("c", 2, "phase", "evaluation")],
        "d": [opened("d"), planned("d", 1, "without a lease")],
    }
    plan = fold(files).planned
    assert plan is not None and plan.experiment == "newer"
    assert fold({"c": files["c"]}).planned is None
    alone = fold({name: files[name] for name in ("c", "d")}).planned
    assert alone is not None and alone.experiment == "without a lease"
    zero = [opened("e"), leased("e", 1, 0), planned("e", 2, "lease 0")]
    last = [opened("z"), planned("z", 1, "without a lease")]
    plan = fold({"d": files["d"], "e": zero, "z": last}).planned
    assert plan is not None and plan.experiment == "lease 0"


def test_the_zone_is_that_of_the_first_lease() -> None:
    """Before any lease it is the first writer's; where nobody says one, UTC."""

    def opened_in(writer: str, zone: str, *more: AnyEvent) -> list[AnyEvent]:
        return [msgspec.structs.replace(opened(writer), zone=zone), *more]

    first, second = opened_in("a", "Europe/Berlin"), opened_in("b", "Asia/Tokyo")
    assert fold({"b": second, "a": first}).zone == "Europe/Berlin"
    assert fold({"a": first, "b": [*second, leased("b", 1, 1)]}).zone == "Asia/Tokyo"
    late = [*first, leased("a", 1, 2)]
    assert fold({"a": late, "b": [*second, leased("b", 1, 1)]}).zone == "Asia/Tokyo"
    assert fold({"a": [submitted("a", 0)], "b": second}).zone == "Asia/Tokyo"
    assert fold({}).zone == "UTC"


def test_unknown_kinds_are_counted_over_all_writers() -> None:
    """Each event that this version does not know counts once."""

    def unknown(writer: str, seq: int, kind: str) -> Unknown:
        return Unknown(writer=writer, seq=seq, kind=kind, time=NOW, line=b"")

    files: dict[str, Any] = {
        "a": [opened("a"), unknown("a", 1, "x"), unknown("a", 2, "x")],
        "b": [opened("b"), unknown("b", 1, "x"), unknown("b", 2, "y")],
    }
    assert fold(files).unknown_kinds == {"x": 3, "y": 1}


def test_a_row_of_refusals_ends_after_a_day_without_one() -> None:
    """Postponements and answers of an unreached scheduler are one row; a refusal for good ends it,
    and so does a day in between.
    """

    def postponed(writer: str, seq: int, hours: float) -> AnyEvent:
        return event(Postponed, writer, seq, NOW + hours * HOUR, **BUSY)

    def unreached(seq: int, hours: float, *, unreached: bool = True) -> AnyEvent:
        return event(Doubted, "a", seq, NOW + hours * HOUR, **REFUSED, unreached=unreached)

    def row(*events: AnyEvent) -> tuple[float, float] | None:
        refusals = attempt_of([opened("a"), *events]).refusals
        return refusals and tuple((time - NOW) / HOUR for time in refusals)

    assert row(event(Intended, "a", 1, **INTENDED)) is None
    assert row(postponed("a", 1, 2)) == (2, 2)
    assert row(postponed("a", 1, 0), unreached(2, 24)) == (0, 24)
    assert row(postponed("a", 1, 0), unreached(2, 25)) == (25, 25)
    assert row(postponed("a", 1, 5), unreached(2, 9, unreached=False)) == (5, 5)
    assert row(postponed("a", 1, 5), event(Rejected, "a", 2, **REFUSED)) is None
    assert row(postponed("a", 1, 5), event(Rejected, "a", 2, **REFUSED), unreached(3, 8)) == (8, 8)
    two = attempt_of(
        [opened("a"), postponed("a", 1, 0)], [opened("b"), postponed("b", 1, 6)]
    ).refusals
    assert two == (NOW, NOW + 6 * HOUR)


def test_a_refusal_for_good_ends_the_rows_of_other_writers_before_it() -> None:
    """What another writer met afterwards begins a new row."""

    def row(hours: float) -> object:
        rejected = event(Rejected, "b", 1, NOW + 2 * HOUR, **REFUSED)
        postponed = event(Postponed, "a", 1, NOW + hours * HOUR, **BUSY)
        return attempt_of([opened("a"), postponed], [opened("b"), rejected]).refusals

    assert row(1) is None and row(2) is None
    assert row(3) == (NOW + 3 * HOUR, NOW + 3 * HOUR)
    rejected = event(Rejected, "b", 1, NOW + 2 * HOUR, **REFUSED)
    across = [event(Postponed, "a", seq, NOW + seq * HOUR, **BUSY) for seq in (1, 3)]
    refusals = attempt_of([opened("a"), *across], [opened("b"), rejected]).refusals
    assert refusals == (NOW + HOUR, NOW + 3 * HOUR)


def test_the_graver_doubt_counts() -> None:
    """A scheduler that was not reached says more than one that may have taken the job; of equal
    doubts the first counts.
    """

    def doubt(writer: str, message: str, *, unreached: bool) -> list[AnyEvent]:
        fields = {**KEY, "command": "c", "message": message, "unreached": unreached}
        return [opened(writer), event(Doubted, writer, 1, **fields)]

    mild, grave = {"unreached": True}, {"unreached": False}
    for first, second, expected in (
        (mild, grave, "second"),
        (grave, mild, "first"),
        (mild, mild, "first"),
        (grave, grave, "first"),
    ):
        doubted = attempt_of(doubt("a", "first", **first), doubt("b", "second", **second)).doubted
        assert doubted is not None and doubted.message == expected


def test_what_several_writers_say_of_one_attempt_is_one_attempt() -> None:
    """The first that knows a fact says it; counts add up; a request to cancel stands whoever made
    it; jobs stand in the order of the writers.
    """
    exit_record = ExitRecord(job_id="7", exit_code=3)
    facts = SchedulerFacts(state="RUNNING")
    change = Change(
        **KEY, job_id="7", before="", after="RUNNING", facts=facts, exit_record=exit_record
    )
    polling = {"phase": "preparation", "query": "q", "interval_s": 1.0, "changes": (change,)}
    assessment = {**KEY, "health": "slow"}
    silent = [opened("a"), event(Postponed, "a", 1, **BUSY)]
    speaking = [
        opened("b"),
        event(Intended, "b", 1, **{**INTENDED, "token": "of b"}),
        submitted("b", 2, "8"),
        event(Polled, "b", 3, **polling),
        event(CancelAsked, "b", 4, **KEY, job_id="8"),
        event(Assessed, "b", 5, **assessment),
    ]
    last = [
        opened("c"),
        event(Intended, "c", 1, **{**INTENDED, "token": "of c"}),
        submitted("c", 2, "9"),
        submitted("c", 3, "8"),
    ]
    whole = attempt_of(silent, speaking, last)
    assert whole.intended is not None and whole.intended.token == "of b"
    assert (whole.asked, whole.postponed, whole.cancel_asked) == (2, 1, True)
    assert list(whole.submissions) == ["8", "9"] and whole.submissions["8"].writer == "b"
    assert whole.exit_record == exit_record
    assert whole.assessed is not None and whole.assessed.health == "slow"
    assert whole.put_off is not None and whole.put_off.writer == "a"
    assert whole.sighted is not None and (whole.sighted.writer, whole.sighted.seq) == ("c", 3)
    assert not attempt_of(silent, last).cancel_asked
    assert attempt_of(speaking, last).cancel_asked and attempt_of(speaking, silent).cancel_asked


def test_of_looks_that_knew_nothing_of_each_other_the_last_writers_counts() -> None:
    """The same state seen twice is the look of the writer whose name sorts last; who had read the
    other wins before that.
    """

    def reasons(saw: dict[str, int]) -> str:
        attempt = attempt_of(
            [opened("a", saw), polled("a", 1, "RUNNING")],
            [opened("b"), polled("b", 1, "RUNNING")],
        )
        assert attempt.seen is not None
        return attempt.seen.writer

    assert reasons({}) == "b"
    assert reasons({"b": 2}) == "a"
    assert reasons({"b": 1}) == "b"


def test_the_newest_verdict_of_two_on_evidence_counts() -> None:
    """Who had read the other verdict wins; else the writer whose name sorts last."""

    def outcome(saw: dict[str, int]) -> str:
        verdict = attempt_of(
            [opened("a", saw), judged("a", 1, "FAILED", "failed")],
            [opened("b"), judged("b", 1, "COMPLETED", "done")],
        ).judged
        assert verdict is not None
        return verdict.outcome

    assert outcome({}) == "done"
    assert outcome({"b": 2}) == "failed"
    assert outcome({"b": 1}) == "done"


def began(writer: str, lease: int, *, keeps_halts: bool) -> list[AnyEvent]:
    """A watcher that leads by this lease, and begins an execution."""
    begins = {"phase": None, "experiment": "e", "folder": "/e", "summary": ""}
    return [
        leased(writer, 0, lease),
        event(Planned, writer, 1, **begins, keeps_halts=keeps_halts),
    ]


@pytest.mark.parametrize(("keeps", "halted"), [(True, ["evaluation"]), (False, [])])
def test_a_halt_holds_until_an_execution_ends_it(keeps: bool, halted: list[str]) -> None:
    """A halt outlives its writer, and the watchers that keep it; the next execution ends it."""
    halt = event(Halted, "w2", 2, phase="evaluation", cause="install", why="x", keys=("a",))
    state = fold(
        {
            "w2": [*began("w2", 1, keeps_halts=False), halt],
            "w1": began("w1", 2, keeps_halts=True),
            "w0": began("w0", 3, keeps_halts=keeps),
        }
    )
    assert list(state.halted) == halted


def test_the_newest_word_on_a_checkpoint_counts() -> None:
    """Of two writers the one that had read the other is right, whatever the clocks say; words on
    other checkpoints stay.
    """
    fields = {"key": "a", "phase": "preparation", "attempt": 1, "verdict": "pass"}
    early, late = NOW, NOW + timedelta(hours=9)
    state = fold(
        {
            "w1": [
                event(Vouched, "w1", 0, late, **fields, path="a/epoch_0"),
                event(Vouched, "w1", 1, late, **fields, path="a/epoch_1"),
            ],
            "w0": [
                opened("w0", {"w1": 2}),
                event(Vouched, "w0", 1, early, **fields, path="a/epoch_0", signed=True),
            ],
        }
    )
    said = state.run("a").attempts[1].vouched
    assert {path: word.signed for path, word in said.items()} == {
        "a/epoch_0": True,
        "a/epoch_1": False,
    }
