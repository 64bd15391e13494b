"""What comes of the checks of a checkpoint."""

from __future__ import annotations

import pytest

from watchkeeper.publish.checks import Check, exit_code, verdict


def check(status: str) -> Check:
    """A check with this status."""
    return Check(category="provenance", name="commit", status=status, message="")


@pytest.mark.parametrize(
    ("statuses", "worst", "code"),
    [
        ([], "not_checked", 0),
        (["not_checked"], "not_checked", 0),
        (["not_checked", "pass"], "pass", 0),
        (["pass", "soft_signal", "not_checked"], "soft_signal", 0),
        (["soft_signal", "fail", "pass"], "fail", 1),
    ],
)
def test_the_gravest_status_is_the_verdict(statuses, worst, code):
    """One failure fails all, a soft signal ends with 0, and what was not checked says nothing."""
    assert verdict(map(check, statuses)) == worst
    assert exit_code(worst) == code
