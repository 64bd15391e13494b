"""Why a job waits: what never ends by itself is told with what to do, and nothing else is called
so.
"""

from datetime import UTC, datetime

import pytest

from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.waiting import stuck, words

NEVER = {
    "JobHeldUser": "scontrol release 17",
    "SPECIAL_EXIT: JobHeldUser": "after its last execution",
    "REQUEUE_HOLD: JobHeldUser": "after its last execution",
    "launch failed requeued held": "after its last execution",
    "launch_failed_requeued_held": "after its last execution",
    "JobHeldAdmin": "administrator",
    "DependencyNeverSatisfied": "never be met",
    "PartitionTimeLimit": "does not allow",
    "PartitionNodeLimit": "does not allow",
    "BadConstraints": "does not allow",
    "QOSMaxWallDurationPerJobLimit": "does not allow",
    "AssocMaxCpuPerJobLimit": "does not allow",
    "InvalidAccount": "does not allow",
}
MAY = [
    "",
    "Priority",
    "Resources",
    "Dependency",
    "BeginTime",
    "QOSMaxJobsPerUserLimit",
    "AssocGrpCpuLimit",
    "ReqNodeNotAvail",
]


@pytest.mark.parametrize("reason", NEVER)
def test_what_never_starts_by_itself_is_told_with_what_to_do(reason):
    """A person reads Slurm's own reason, what it means, and what to type."""
    facts = SchedulerFacts(state="PENDING", reason=reason)
    assert NEVER[reason] in stuck(facts, "17;two") and "not start by itself" in stuck(facts, "17")
    assert words(facts, "17").startswith(reason)
    assert not stuck(SchedulerFacts(state="RUNNING", reason=reason), "17"), "it runs"


@pytest.mark.parametrize("reason", MAY)
def test_what_may_start_is_not_called_stuck(reason):
    """A place in the queue, or a limit that others' ends lift, is no reason to do anything; Slurm's
    guess is shown.
    """
    facts = SchedulerFacts(
        state="PENDING", reason=reason, expected=datetime(2026, 11, 28, 7, 5, tzinfo=UTC)
    )
    assert not stuck(facts, "17")
    assert words(facts, "17") == "; ".join(
        filter(None, [reason, "expected to start at 2026-11-28 07:05 UTC"])
    )
    assert words(SchedulerFacts(state="COMPLETED", reason=reason), "17") == ""
