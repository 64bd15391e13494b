"""The verdict on an ended attempt."""

from __future__ import annotations

import pytest

from watchkeeper.tools.promise import Finding
from watchkeeper.watch.verdict.causes import Named
from watchkeeper.watch.verdict.endings import End
from watchkeeper.watch.verdict.judge import judge

GOOD = Finding(subject="r8/epoch_0", path="out/epoch_0", state="good", why="", caution="no adapter")
MISSING = Finding(subject="r8/epoch_1", path="out/epoch_1", state="missing", why="nothing there")
OLD = Finding(subject="r8/epoch_2", path="out/epoch_2", state="good", why="")


@pytest.mark.parametrize(
    ("state", "exit_code", "findings", "outcome", "why"),
    [
        ("COMPLETED", 0, [], "done", ""),
        ("COMPLETED", 0, [GOOD], "done", "no adapter"),
        ("COMPLETED", 0, [GOOD, MISSING], "invalid", "nothing there"),
        ("COMPLETED", 0, [OLD], "invalid", "out/epoch_2 is older than the attempt"),
        ("FAILED", 1, [], "failed", "exit code 1; out of memory; last line: Killed"),
        (
            "FAILED",
            1,
            [GOOD],
            "failed but good",
            "exit code 1; out of memory; last line: Killed; no adapter",
        ),
        (
            "FAILED",
            1,
            [GOOD, MISSING],
            "failed",
            "exit code 1; out of memory; last line: Killed; nothing there",
        ),
        ("NODE_FAIL", None, [MISSING], "lost", "out of memory; last line: Killed; nothing there"),
        ("CANCELLED", None, [], "cancelled", "out of memory; last line: Killed"),
    ],
)
def test_a_verdict_rests_on_what_the_attempt_left(
    state: str, exit_code: int | None, findings: list[Finding], outcome: str, why: str
) -> None:
    """Only new results that are good count; the end's own words come before the faults."""
    end = End(state=state, exit_code=exit_code)
    cause = Named(words="out of memory")
    verdict = judge(end, findings, "Killed", [OLD.subject], cause=cause)
    assert (verdict.outcome, verdict.why) == (outcome, why)


def test_advice_is_said_once() -> None:
    """What else there is to know of several bad findings stands once, behind their faults."""
    bad = [
        Finding(subject=f"r8/epoch_{n}", path="", state="empty", why=f"no {n}", advice="add it")
        for n in range(2)
    ]
    assert judge(End(state="COMPLETED", exit_code=0), bad).why == "no 0; no 1; add it"


def test_of_an_array_good_results_of_other_tasks_excuse_nothing() -> None:
    """A failed array stays failed, whatever its other tasks left."""
    end = End(state="FAILED", exit_code=1)
    assert judge(end, [GOOD], array=True).outcome == "failed"
    assert judge(end, [GOOD]).outcome == "failed but good"
