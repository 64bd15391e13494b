"""Action logs that other tools, and people, wrote: which jobs they name as submitted. Pure.

Two dialects are in use. In the older one, a submission's block ends with `Result: Job ID 1234567`;
the newer one has a line `Job ID: 1234567` and then `Result: success`. Damage costs only its own
block: a block ends where the next one's head begins, however badly that is written, so that a
failed submission never takes the job of the next.
"""

from __future__ import annotations

import re

import msgspec

from watchkeeper.core.text import lazy

_HEAD = lazy.pattern(
    r"\s*\W{0,3}(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d\S*)?\W*"
    r"(?P<action>[A-Z][A-Z]+(?:_[A-Z]+)*)?(?:\s*:\s*(?P<subject>.*?))?\s*"
)
_STARTS = lazy.pattern(
    r"\s*\W{0,3}(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d|[A-Z]{2,}_[A-Z_]+\b(?=\s*(?::|$)))"
)
_JOB = lazy.pattern(
    r"\s*(?:Result\s*:\s*)?(?:Job\s*ID\s*:?|Submitted batch job)\s*(\d+(?:_\d+)?)\b.*",
    re.IGNORECASE,
)
_STATE = lazy.pattern(r"\s*Details\s*:.*?(?:→|->|=>)\s*([A-Z_]+)\b.*", re.IGNORECASE)
_NO_HEAD = ("Details", "Result")  # how a line of a block begins, and never its first
_MATTERS = lazy.pattern(r"SUBMIT|RETRY|STATE_CHANGE|ALL_COMPLETE")
_SUBMITS = lazy.pattern(r"SUBMIT|RETRY")
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
    """A job that a log names as submitted: for which run ("": damaged), on which line, and whether
    the log says later that it ended.
    """

    line: int
    subject: str
    job_id: str
    ended: bool = False


def submitted(text: str) -> list[Named]:
    """Read the jobs that a log names as submitted, in its order, each once.

        [2026-02-20 10:00:00] SUBMIT_JOB: r8      the head of a block: action, subject
        Details: sbatch finetune.slurm
        Result: Job ID 1234567                    or `Job ID: 1234567`, `Submitted batch job …`
        [2026-02-20 12:00:00] STATE_CHANGE: r8    by the subject, or by the id
        Details: RUNNING → COMPLETED              1234567 has ended

    Any text may be given. Empty: it names no job.
    """
    if not _SUBMITS.search(text):
        return []  # in a log of many megabytes, no block of a submission
    jobs = _Jobs()
    action = subject = ""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if not action and line.startswith(_NO_HEAD):
            continue
        if _STARTS.match(line):
            action, subject = _read_head(line)
            if action == "ALL_COMPLETE":
                jobs.end_all()
        elif _SUBMITS.search(action) and (job := _JOB.fullmatch(line)):
            jobs.add(Named(line=number, subject=subject, job_id=job[1]))
        elif action == "STATE_CHANGE" and _ends(line):
            jobs.end(subject)
    return jobs.named()


class _Jobs:
    """The jobs named so far, and those of them whose end is not logged."""

    def __init__(self) -> None:
        self._named: dict[str, Named] = {}
        # Subject → the jobs submitted for it that have not ended.
        self._open: dict[str, list[str]] = {}
        self._ended: set[str] = set()

    def add(self, job: Named) -> None:
        """Take a job as submitted. One that is named again, by a log that was copied together,
        is known.
        """
        if job.job_id not in self._named:
            self._named[job.job_id] = job
            self._open.setdefault(job.subject, []).append(job.job_id)

    def end(self, name: str) -> None:
        """The job of this id has ended, or the jobs submitted for this subject.

        A name that is neither is of a job that another log submitted.
        """
        self._ended.update(self._open.pop(name, ()))
        if name in self._named:
            self._ended.add(name)

    def end_all(self) -> None:
        """Each job so far has ended: `ALL_COMPLETE` says so, without naming them."""
        for job_ids in self._open.values():
            self._ended.update(job_ids)
        self._open.clear()

    def named(self) -> list[Named]:
        """All of them, in the order of their submissions, with whether they have ended."""
        jobs = []
        for job_id, job in self._named.items():
            has_ended = job_id in self._ended
            jobs.append(msgspec.structs.replace(job, ended=has_ended))
        return jobs


def _read_head(line: str) -> tuple[str, str]:
    """Read (action, subject) from a block's first line; "": damaged, or of no action that matters
    here, as most are in a long log.

    `[2026-02-20 10:00:00] SUBMIT_JOB: r8` gives both. Of a head without an action no job is taken.
    """
    if not _MATTERS.search(line):
        return "", ""
    head = _HEAD.fullmatch(line)
    if head is None:
        return "", ""
    return head["action"] or "", head["subject"] or ""


def _ends(line: str) -> bool:
    """Whether a line says that a job reached a final state: `Details: RUNNING -> COMPLETED`."""
    state = _STATE.fullmatch(line)
    if state is None:
        return False
    return state[1].upper() in _ENDS
