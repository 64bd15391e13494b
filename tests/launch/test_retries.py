"""What is tried again by itself: decided by the cause, the attempts before, and what the job
allows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.events import Cause, Intended, Judged, Opened, Submitted
from watchkeeper.core.state import Attempt, fold
from watchkeeper.launch.retries import WORDS, Means, Refusal, Retry, Rules, asked_for, chain, decide
from watchkeeper.reading.tool_calls import Batch

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
RULES = Rules(limit=2)
BATCH = Means(batch=Batch(size=16, accumulation=2))
GOES_ON = Means(
    checkpoint="one/artifacts/epoch_0",
    gained=True,
    resumes=True,
    how="goes on from one/artifacts/epoch_0",
)


def attempts(*causes: str, outcome: str = "failed", **last: Any) -> list[Attempt]:
    """The first as a person asked for it, the others made by themselves; `last` are fields of the
    last one's `intended`.
    """
    events: list[Any] = [
        Opened(time=NOW, writer="w", seq=0, schema=1, software="", purpose="", zone="UTC")
    ]
    for number, cause in enumerate(causes, 1):
        common: dict[str, Any] = {
            "time": NOW,
            "writer": "w",
            "key": "one",
            "phase": "preparation",
            "attempt": number,
        }
        more = last if number == len(causes) else {}
        fields: dict[str, Any] = {
            "token": "t",
            "script": "x",
            "script_sha256": "",
            "automatic": number > 1,
        } | more
        events.append(Intended(**common, seq=len(events), **fields))
        events.append(
            Submitted(**common, seq=len(events), job_id=str(number), scheduler="local", command="c")
        )
        events.append(
            Judged(**common, seq=len(events), outcome=outcome, state="FAILED", cause=cause)
        )
    return list(fold({"w": events}).run("one").attempts.values())


@pytest.mark.parametrize("cause", [cause for cause in get_args(Cause) if cause not in WORDS])
def test_what_a_person_did_or_must_mend_is_never_tried_again(cause: str) -> None:
    """User errors, bad configurations, missing packages, full disks, cancellations and the unknown
    are left alone.
    """
    assert decide(attempts(cause), GOES_ON, RULES) == Refusal()


@pytest.mark.parametrize(
    "outcome", ["cancelled", "unknown", "invalid", "failed but good", "done", "not run"]
)
def test_only_a_bad_end_that_somebody_saw_is_tried_again(outcome: str) -> None:
    """Whatever the output says, an attempt that was cancelled, is unknown, or left what it promised
    is not repeated.
    """
    assert decide(attempts("node", outcome=outcome), GOES_ON, RULES) == Refusal()


@pytest.mark.parametrize("cause", sorted(WORDS))
def test_nothing_is_tried_again_where_retries_are_off(cause: str) -> None:
    """`retries = 0` switches all of it off."""
    assert decide(attempts(cause), GOES_ON, Rules(limit=0)) == Refusal()


@pytest.mark.parametrize("cause", ["memory gpu", "memory host"])
def test_out_of_memory_halves_the_batch_and_keeps_the_effective_one(cause: str) -> None:
    """Half the batch, twice the accumulation; the words say both, and which retry it is."""
    found = decide(attempts(cause), BATCH, RULES)
    assert isinstance(found, Retry) and found.change == {
        "batch_size": "8",
        "gradient_accumulation_steps": "4",
    }
    assert (
        "batch_size 16 → 8, gradient_accumulation_steps 2 → 4 (effective batch 32, as before)"
        in found.detail
    )
    assert "retry 1 of at most 2" in found.detail


def test_a_second_halving_goes_on_from_the_first() -> None:
    """The batch of the attempt that ran out of memory is halved, not the script's."""
    change = {"batch_size": "8", "gradient_accumulation_steps": "4"}
    found = decide(attempts("memory gpu", "memory gpu", change=change), BATCH, RULES)
    assert isinstance(found, Retry) and found.change == {
        "batch_size": "4",
        "gradient_accumulation_steps": "8",
    }


def test_a_node_that_fails_after_a_halving_does_not_undo_it() -> None:
    """What an attempt was given stays with those that follow it."""
    change = {"batch_size": "8", "gradient_accumulation_steps": "4"}
    found = decide(attempts("memory gpu", "node", change=change), BATCH, RULES)
    assert isinstance(found, Retry) and found.change == change


@pytest.mark.parametrize(
    ("means", "why"),
    [
        (Means(batch=Batch(size=1, accumulation=32)), "one row already (effective batch 32)"),
        (Means(batch=Batch(size=8), no_batch="its script does not say"), "its script does not say"),
        (Means(), "nothing says its batch"),
    ],
)
def test_a_batch_that_cannot_be_halved_is_not_tried_again_and_it_is_said_why(
    means: Means, why: str
) -> None:
    """At one row, or where the script does not follow, out of memory is not repeated as it was."""
    found = decide(attempts("memory gpu"), means, RULES)
    assert isinstance(found, Refusal) and why in found.why


@given(st.integers(1, 4096), st.integers(1, 64))
def test_halving_ends_at_one_row_and_never_changes_the_effective_batch(
    size: int, accumulation: int
) -> None:
    """Any batch comes down to 1 in steps of at most half, and batch × accumulation stays what it
    was.
    """
    batch: Batch | None = Batch(size=size, accumulation=accumulation)
    last = batch
    while batch is not None:
        last = batch
        smaller = batch.halved()
        assert smaller is None or (
            smaller.effective == size * accumulation and 1 <= smaller.size <= batch.size // 2
        )
        batch = smaller
    assert last is not None and last.size == 1


@pytest.mark.parametrize(
    ("batch", "halved"),
    [
        ((16, 1), (8, 2)),
        ((6, 1), (3, 2)),
        ((5, 1), (1, 5)),
        ((7, 2), (2, 7)),
        ((3, 2), (1, 6)),
        ((9, 4), (4, 9)),
    ],
)
def test_an_odd_batch_takes_the_largest_divisor_of_the_effective_one(
    batch: tuple[int, int], halved: tuple[int, int]
) -> None:
    """Half of 7 × 2 is 2 × 7: the next batch that divides 14."""
    found = Batch(size=batch[0], accumulation=batch[1]).halved()
    assert found is not None and (found.size, found.accumulation) == halved


@pytest.mark.parametrize("cause", ["node", "preempted"])
def test_a_lost_node_and_a_preemption_go_on_from_the_last_complete_checkpoint(cause: str) -> None:
    """With a checkpoint the next attempt is given it; without one it begins anew, and says so."""
    found = decide(attempts(cause), GOES_ON, RULES)
    assert (
        isinstance(found, Retry)
        and found.resume_from == "one/artifacts/epoch_0"
        and GOES_ON.how in found.detail
    )
    found = decide(attempts(cause), Means(how="no complete checkpoint: from the beginning"), RULES)
    assert (
        isinstance(found, Retry)
        and found.resume_from == ""
        and "from the beginning" in found.detail
    )


def test_a_cause_that_comes_back_with_nothing_gained_is_not_tried_again() -> None:
    """Preempted twice without a newer checkpoint is enough; with one, it goes on."""
    twice = attempts("preempted", "preempted")
    found = decide(twice, Means(), RULES)
    assert isinstance(found, Refusal) and "no newer checkpoint" in found.why
    assert isinstance(decide(twice, GOES_ON, RULES), Retry)
    assert isinstance(decide(attempts("preempted", "node"), Means(), RULES), Retry)


@pytest.mark.parametrize(
    ("means", "why"),
    [
        (Means(), "no complete checkpoint"),
        (Means(checkpoint="e", gained=True), "let it read WATCHKEEPER_RESUME_FROM"),
        (Means(checkpoint="e", resumes=True), "no newer checkpoint"),
    ],
)
def test_a_time_limit_is_begun_again_only_where_it_can_go_on(means: Means, why: str) -> None:
    """Without a newer checkpoint, or a script that reads it, the same time ends the same way: it is
    said what to do.
    """
    found = decide(attempts("walltime"), means, RULES)
    assert isinstance(found, Refusal) and why in found.why
    assert isinstance(decide(attempts("walltime"), GOES_ON, RULES), Retry)


@pytest.mark.parametrize("cause", sorted(WORDS))
def test_the_bound_holds_whatever_is_gained(cause: str) -> None:
    """After `limit` attempts by itself nothing more is tried, and it is said how often."""
    means = Means(
        batch=Batch(size=64), checkpoint="e", gained=True, resumes=True, how="goes on from e"
    )
    told = decide(attempts(cause, cause, cause), means, RULES)
    assert told == Refusal(why="it was tried again twice (retries = 2)")


def test_an_array_is_left_to_a_person() -> None:
    """What one task ran into says nothing of the others."""
    found = decide(attempts("node", array="0-3"), Means(), RULES)
    assert isinstance(found, Refusal) and "array" in found.why


def test_a_persons_own_retry_begins_the_count_anew_and_takes_the_script_as_it_stands() -> None:
    """`--retry-failed` after the bound: no change is carried over; the checkpoint is, unless a
    mistake ended it.
    """
    history = attempts("node", "node", "node", automatic=False)
    assert [attempt.number for attempt in chain(history)] == [3]
    assert isinstance(decide(history, GOES_ON, RULES), Retry)
    own = asked_for(attempts("memory gpu", change={"batch_size": "8"}), GOES_ON)
    assert isinstance(own, Retry)
    assert own.change == {} and own.resume_from == "one/artifacts/epoch_0"
    after_mistake = asked_for(attempts("user error"), GOES_ON)
    assert isinstance(after_mistake, Retry) and after_mistake.resume_from == ""


@pytest.mark.parametrize("cause", sorted(WORDS))
def test_nothing_is_tried_again_while_the_disk_hides_how(cause: str) -> None:
    """Where a file of the job cannot be read, neither a rule nor a person begins it from the start
    unawares.
    """
    means = Means(unreadable="could not read one/train.py")
    refusal = Refusal(why="could not read one/train.py")
    assert decide(attempts(cause), means, RULES) == refusal
    assert asked_for(attempts(cause), means) == refusal
