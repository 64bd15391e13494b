"""Which attempt made a checkpoint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from watchkeeper.core.events import Intended, Judged
from watchkeeper.report.compose.lineage import maker, read_from

START = datetime(2026, 1, 1, tzinfo=UTC)


def attempt(number: int, left: str, before: str = "") -> tuple[Intended, Judged]:
    """An attempt that ended in its hour with this fingerprint; `before`: what it found there."""
    common = {"writer": "w", "key": "q", "phase": "preparation", "attempt": number}
    found = {"q/epoch_0": before} if before else {}
    intended = Intended(
        time=START + timedelta(hours=number),
        seq=2 * number,
        token="t",
        script="s",
        script_sha256="h",
        found=found,
        **common,
    )
    ended = START + timedelta(hours=number, minutes=30)
    left_there = {"q/epoch_0": left} if left else {}
    judged = Judged(
        time=ended,
        seq=2 * number + 1,
        outcome="done",
        state="COMPLETED",
        fingerprints=left_there,
        **common,
    )
    return intended, judged


def made(*attempts: tuple[Intended, Judged]) -> tuple[dict[int, Intended], dict[int, Judged]]:
    """Both events of each, by attempt."""
    return {a.attempt: a for a, _ in attempts}, {b.attempt: b for _, b in attempts}


def test_the_maker_is_the_attempt_that_had_not_found_it_there():
    """An attempt that died beside the checkpoint of the one before did not make it."""
    intended, judged = made(
        attempt(1, "aa"), attempt(2, "aa", before="aa"), attempt(3, "bb", before="aa")
    )
    assert maker(intended, judged, "q/epoch_0", "aa") == 1
    assert maker(intended, judged, "q/epoch_0", "bb") == 3
    assert maker(intended, judged, "q/epoch_0", "cc") is None
    assert maker(intended, judged, "q/epoch_0", "") is None


def test_an_evaluation_without_a_fingerprint_belongs_to_what_had_ended_by_then():
    """Where nothing tells which checkpoint was read, the last attempt that had ended when it began
    counts.
    """
    intended, judged = made(attempt(1, ""), attempt(2, ""))
    assert read_from(intended, judged, {}, START + timedelta(hours=1, minutes=40)) == 1
    assert read_from(intended, judged, {}, START + timedelta(hours=5)) == 2
    assert read_from(intended, judged, {}, START) == 1
    assert read_from({}, {}, {}, START) is None
    intended, judged = made(attempt(1, "aa"), attempt(2, "bb"))
    assert read_from(intended, judged, {"q/epoch_0": "aa"}, START + timedelta(hours=5)) == 1


def test_nobody_made_what_everybody_found_there_except_the_first_that_had_it():
    """A checkpoint that was there before the first attempt counts as the first's that had it."""
    intended, judged = made(attempt(1, "aa", before="aa"), attempt(2, "aa", before="aa"))
    assert maker(intended, judged, "q/epoch_0", "aa") == 1


def test_an_unknown_fingerprint_matches_no_attempt():
    """An empty fingerprint is not the same as that of an attempt whose own is empty."""
    intended, judged = made(attempt(1, "aa"))
    judged[1].fingerprints["q/epoch_0"] = ""
    assert maker(intended, judged, "q/epoch_0", "") is None


def test_a_verdict_without_a_purpose_can_be_the_makers():
    """An attempt of which the journal has the verdict alone found nothing there."""
    intended, judged = made(attempt(1, "aa", before="aa"), attempt(2, "aa"))
    del intended[2]
    assert maker(intended, judged, "q/epoch_0", "aa") == 2


def test_an_evaluation_belongs_to_an_attempt_that_ended_as_it_began():
    """An attempt that ended in the very moment had ended."""
    intended, judged = made(attempt(1, ""), attempt(2, ""))
    assert read_from(intended, judged, {}, judged[2].time) == 2
    assert read_from(intended, {}, {"q/epoch_0": "zz"}, START) == 1
