"""Action logs that other tools, and people, have written: which jobs they name as submitted. Pure.

Two dialects are in use. Of the older one a submission's block ends with `Result: Job ID 1234567`;
the newer one has a line `Job ID: 1234567` and then `Result: success`. What is damaged costs its own
block: a block ends where the next one's head begins, however badly that is written, so that a
failed submission never takes the job of the next.
"""

from __future__ import annotations

import re

import msgspec

_HEAD = re.compile(
    r"\s*\W{0,3}(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d\S*)?\W*"
    r"(?P<action>[A-Z][A-Z]+(?:_[A-Z]+)*)?(?:\s*:\s*(?P<subject>.*?))?\s*"
)
_STARTS = re.compile(
    r"\s*\W{0,3}(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d|[A-Z]{2,}_[A-Z_]+\b(?=\s*(?::|$)))"
)
_JOB = re.compile(
    r"\s*(?:Result\s*:\s*)?(?:Job\s*ID\s*:?|Submitted batch job)\s*(\d+(?:_\d+)?)\b.*",
    re.IGNORECASE,
)
_STATE = re.compile(r"\s*Details\s*:.*?(?:→|->|=>)\s*([A-Z_]+)\b.*", re.IGNORECASE)
_SUBMITS = re.compile(r"SUBMIT|RETRY")
_ENDS = frozenset(
    {
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "TIMEOUT",
        "OUT_OF_MEMORY",
        "NODE_FAIL",
        "BOOT_FAIL",
        "DEADLINE",
    }
)


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a log names as submitted: for whom ("" where that is damaged), on which line, and
    whether the log says later that it came to an end.
    """

    line: int
    subject: str
    job_id: str
    ended: bool = False


def submitted(text: str) -> list[Named]:
    """The jobs that a log names as submitted, in its order, each once."""
    found: dict[str, Named] = {}
    action = subject = ""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if _STARTS.match(line):
            head = _HEAD.fullmatch(line)
            action, subject = (head["action"] or "", head["subject"] or "") if head else ("", "")
            if action == "ALL_COMPLETE":
                found = {
                    job: msgspec.structs.replace(named, ended=True) for job, named in found.items()
                }
        elif _SUBMITS.search(action) and (job := _JOB.fullmatch(line)):
            found.setdefault(job[1], Named(line=number, subject=subject, job_id=job[1]))
        elif (
            action == "STATE_CHANGE"
            and (state := _STATE.fullmatch(line))
            and state[1].upper() in _ENDS
        ):
            for job_id, named in found.items():
                if subject in (named.subject, job_id):
                    found[job_id] = msgspec.structs.replace(named, ended=True)
    return list(found.values())
