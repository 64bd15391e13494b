"""Whether a job of the attempt before may still run."""

from pathlib import Path

import pytest

from watchkeeper.launch.predecessor import Remains, may_still_run
from watchkeeper.schedulers.wrapper.claims import Claim

FOLDER = Path("/exp/.watchkeeper/runs/r8/%31")
JOB = Claim(scheduler="slurm", job_id="7", nonce="a", host="node1")
OURS = Claim(scheduler="slurm", job_id="", nonce="b")

UNREADABLE = f"attempt 1 may still run: {FOLDER}/claim.1 cannot be read"
UNSEEN = "attempt 1 may still run: job 7 claimed it on node1, and its end was not seen"


@pytest.mark.parametrize(
    ("claims", "task_ends", "is_over", "reason"),
    [
        ([], {}, False, UNREADABLE),
        ([], {}, True, UNREADABLE),
        ([JOB], {}, False, UNSEEN),
        ([JOB], {}, True, ""),
        ([JOB, OURS], {}, False, ""),
        ([JOB], {0: True, 1: True}, False, ""),
        ([JOB], {0: True, 1: False}, False, UNSEEN),
        ([JOB], {0: False}, True, UNSEEN),
    ],
    ids=[
        "no claim to read",
        "no claim to read, though its scheduler saw an end",
        "a job without an end",
        "a job that ended",
        "closed by a submitter",
        "an array whose tasks all ended",
        "an array with a task left",
        "an array is judged by its tasks alone",
    ],
)
def test_an_attempt_is_over_only_on_evidence(
    claims: list[Claim], task_ends: dict[int, bool], is_over: bool, reason: str
) -> None:
    """The next attempt may begin only when no job of the one before runs or can start."""
    remains = Remains(attempt=1, folder=FOLDER, claims=claims, task_ends=task_ends, is_over=is_over)
    assert may_still_run(remains).partition(";")[0] == reason
