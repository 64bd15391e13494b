"""Why a job waits, in words: what Slurm's reason means where a job does not start by itself, and
what to do. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache

from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.base import number_of

_RELEASE = "`scontrol release {id}` lets it start"
_AGAIN = "`watchkeeper cancel` it, correct the script, then `watchkeeper run --retry-failed`"
# Slurm's words (squeue(1), JOB REASON CODES) → what they mean, what to do. The first that is found
# counts.
_NEVER = (
    ("SPECIAL_EXIT|REQUEUE_HOLD|JobHoldMaxRequeue|requeued.held", ("held by Slurm after its "
        "last execution"), _RELEASE),
    ("JobHeldUser", "held by its user", _RELEASE),
    ("JobHeldAdmin|RESV_DEL_HOLD", ("held by an "
        "administrator"), "ask them; only they can release it"),
    ("DependencyNeverSatisfied", "what it depends on can never be met", _AGAIN),
    (
        r"BadConstraints|Invalid(?:Account|QOS)|(?:Account|QOS)NotAllowed|Partition(?:Time|Node)Limit"
        r"|\w*Max(?:Wall\w*|\w+PerJob\w*)|QOSMin\w+",
        "it asks for what the site does not allow",
        _AGAIN,
    ),
)  # fmt: skip


def stuck(facts: SchedulerFacts, job_id: str) -> str:
    """Why a waiting job does not start by itself, and what to do; "" where it may."""
    if facts.state != "PENDING":
        return ""
    found = _never(facts.reason)
    if found is None:
        return ""
    meaning, what = found
    return f"{meaning}, and does not start by itself: {what.format(id=number_of(job_id))}"


@lru_cache(maxsize=256)
def _never(reason: str) -> tuple[str, str] | None:
    """What a reason means of a job that does not start by itself, and what to do; None: it may."""
    for words, meaning, what in _NEVER:
        if re.search(words, reason):
            return meaning, what
    return None


def words(facts: SchedulerFacts, job_id: str) -> str:
    """All there is to say of a waiting job in one line; "" of another, or if nothing is known."""
    if facts.state != "PENDING":
        return ""
    if facts.expected:
        expected = f"expected to start at {facts.expected:%Y-%m-%d %H:%M} UTC"
    else:
        expected = ""
    why = stuck(facts, job_id)
    return "; ".join(filter(None, [facts.reason, why, "" if why else expected]))
