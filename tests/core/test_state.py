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
    Change,
    Decided,
    Decision,
    Doubted,
    Intended,
    Judged,
    Opened,
    Polled,
    Postponed,
    Rejected,
    SchedulerFacts,
    Submitted,
)
from watchkeeper.core.state import Fold, State, fold

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
    """However the lines of the files arrive, in whatever pieces, the state is the same."""
    folded = Fold()
    rest = {writer: list(WRITERS[writer]) for writer in order}
    while any(rest.values()):
        writer = random.choice([w for w in rest if rest[w]])
        number = random.randint(1, len(rest[writer]))
        folded.update({writer: rest[writer][:number]})
        rest[writer] = rest[writer][number:]
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
