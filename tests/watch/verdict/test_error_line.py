"""The line of output that says why a job failed."""

from __future__ import annotations

import pytest

from watchkeeper.core.events import Judged
from watchkeeper.core.journal import utc_now
from watchkeeper.watch.verdict.causes import named
from watchkeeper.watch.verdict.endings import End
from watchkeeper.watch.verdict.judge import error_of, judge

FAILED = End(state="FAILED", exit_code=1)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("a\nModuleNotFoundError: No module named 'x'", "ModuleNotFoundError: No module named 'x'"),
        ("Traceback (most recent call last):\n  File\nValueError: odd\nbye", "ValueError: odd"),
        ("step 1\nCUDA out of memory. Tried\nsrun: error", "CUDA out of memory. Tried"),
        ("it went wrong", "it went wrong"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_verdict_keeps_the_line_that_says_why(output, line):
    """The line that names the cause, else the last one; and an older verdict, without that field,
    says the same by its reasons.
    """
    last = output.rstrip().rpartition("\n")[2]
    verdict = judge(FAILED, [], last, cause=named(FAILED, output))
    assert verdict.error == line
    old = Judged(
        time=utc_now(), writer="w", seq=1, key="a", phase="evaluation", attempt=1,
        outcome="failed", state="FAILED", why=verdict.why,
    )  # fmt: skip
    assert error_of(old) == line


def test_what_was_printed_before_a_time_limit_is_no_error():
    """A cause that the scheduler names has no line of output."""
    end = End(state="TIMEOUT", exit_code=143)
    verdict = judge(end, [], "step 12", cause=named(end, "step 12"))
    assert verdict.error == "" and verdict.cause == "walltime"


def test_a_good_end_has_no_error():
    """What a job that ended well printed last is no error."""
    end = End(state="COMPLETED", exit_code=0)
    assert judge(end, [], "bye", cause=named(end, "bye")).error == ""
