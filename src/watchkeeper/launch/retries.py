"""What is tried again automatically, and how: a pure function of the attempts so far and of what
their job allows.

Out of memory halves the batch and keeps the effective batch; a lost node and a preemption begin
again from the last complete checkpoint; a time limit only where there is a newer one to continue
from. What a person did, or must fix, is never tried again. There are never more than `limit` of
these attempts in a row, and none for a cause that came back with nothing gained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from watchkeeper.core.events import Cause
from watchkeeper.core.settings import Settings
from watchkeeper.core.state import Attempt
from watchkeeper.reading.tool_calls import ACCUMULATION, BATCH, Batch
from watchkeeper.schedulers.wrapper.render import RESUME_VARIABLE

MEMORY: tuple[Cause, ...] = ("memory gpu", "memory host")
# What may be tried again, in words.
WORDS: Mapping[Cause, str] = {
    "memory gpu": "out of memory on the GPU",
    "memory host": "out of memory on the host",
    "node": "its node failed",
    "preempted": "it was preempted",
    "walltime": "its time limit was over",
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a person allows. `limit`: the most automatic attempts in a row (0: none).
    `resume_variable`: the variable that this cluster's scripts read a checkpoint's path from,
    beside WATCHKEEPER_RESUME_FROM; "" for none. `resumes`: what a person tries again continues from
    its newest complete checkpoint, whatever ended it.
    """

    limit: int = 0
    resume_variable: str = ""
    resumes: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """The settings' rules, with the profile of the cluster that they name."""
        profile = settings.clusters.get(settings.cluster or "")
        return cls(
            limit=settings.retries, resume_variable=profile.resume_variable if profile else ""
        )

    @property
    def resume_variables(self) -> tuple[str, ...]:
        """Every variable that holds the checkpoint's path."""
        return tuple(dict.fromkeys(filter(None, (RESUME_VARIABLE, self.resume_variable))))


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a job allows. `batch` is the one that its script and configuration say (None: they do
    not), `no_batch` why it cannot be changed ("": it can). `checkpoint` is the last complete one
    that these attempts made ("" for none), `gained` whether the last attempt made it, `resumes`
    whether the job continues from it, `how` in words. `unreadable`: why nothing is known of all
    this ("": it is), since the disk refused a file.
    """

    batch: Batch | None = None
    no_batch: str = ""
    checkpoint: str = ""
    gained: bool = False
    resumes: bool = False
    how: str = ""
    unreadable: str = ""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt to make, and why. `change` and `resume_from` are as in `intended`; `detail` is for
    a person.
    """

    reason: str
    detail: str
    change: dict[str, str] = {}
    resume_from: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is tried again. `why` is for a person; "": no retry is to be expected."""

    why: str = ""


def chain(attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """Of a run's attempts in their order, those that had a job, from the last one that a person
    asked for: later ones were automatic.
    """
    ran: list[Attempt] = []
    for attempt in attempts:
        was_run = attempt.judged is None or attempt.judged.outcome != "not run"
        if attempt.submissions and was_run:
            ran.append(attempt)
    first = 0
    for index, attempt in enumerate(ran):
        if attempt.intended is None or not attempt.intended.automatic:
            first = index
    return ran[first:]


def may_be_tried(attempt: Attempt) -> bool:
    """Whether the attempt's end is of a kind that may be tried again automatically."""
    judged = attempt.judged
    if judged is None or judged.outcome not in ("failed", "lost") or attempt.cancel_asked:
        return False
    return judged.cause in WORDS


def decide(attempts: Sequence[Attempt], means: Means, rules: Rules) -> Retry | Refusal:
    """Whether another attempt follows the last of a run's attempts (all, in their order)
    automatically, and with what.
    """
    own = chain(attempts)
    if not own or not may_be_tried(own[-1]) or rules.limit <= 0:
        return Refusal()
    last = own[-1]
    cause = _cause_of(last)
    assert cause is not None
    if refusal := _refusal(own, means, rules):
        return Refusal(why=refusal)
    change = dict(last.intended.change) if last.intended else {}
    details = [means.how, f"retry {len(own)} of at most {rules.limit}"]
    if cause in MEMORY:
        smaller = _smaller_batch(Batch.of(change) or means.batch, means)
        if isinstance(smaller, Refusal):
            return smaller
        change |= smaller.change
        details.insert(0, smaller.detail)
    return Retry(
        reason=WORDS[cause],
        detail="; ".join(filter(None, details)),
        change=change,
        resume_from=means.checkpoint,
    )


def _refusal(own: Sequence[Attempt], means: Means, rules: Rules) -> str:
    """Why the last of these attempts is not tried again, whatever its batch; "": it may be."""
    last = own[-1]
    cause = _cause_of(last)
    made = len(own) - 1
    if means.unreadable:
        return means.unreadable
    if last.intended is not None and last.intended.array:
        return "an array is not tried again by itself"
    if made >= rules.limit:
        return f"it was tried again {_times(made)} (retries = {rules.limit})"
    if cause == "walltime":
        return _beyond_time(means)
    if cause is None or cause in MEMORY or not made or means.gained:
        return ""
    if _cause_of(own[-2]) == cause:
        return f"{WORDS[cause]} again, and no newer checkpoint was made in between"
    return ""


def _cause_of(attempt: Attempt) -> Cause | None:
    """Why the attempt ended; None: it has no verdict."""
    return attempt.judged.cause if attempt.judged is not None else None


class _SmallerBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Half the batch: what it changes, and that in words."""

    change: dict[str, str]
    detail: str


def _smaller_batch(batch: Batch | None, means: Means) -> _SmallerBatch | Refusal:
    """Half the batch at the same effective batch, where the job allows it."""
    if batch is None or means.no_batch:
        return Refusal(why=means.no_batch or "nothing says its batch")
    smaller = batch.halved()
    if smaller is None:
        why = (
            f"its batch is one row already (effective batch {batch.effective}): it cannot be halved"
        )
        return Refusal(why=why)
    return _SmallerBatch(change=smaller.change(), detail=_smaller_words(batch, smaller))


def asked_for(
    attempts: Sequence[Attempt], means: Means, *, resumes: bool = False
) -> Retry | Refusal:
    """What a person's own retry is given: the script as it is now, and the last complete checkpoint
    where the job continues from it, and the cause is not one that a person must fix, or the person
    says that it `resumes` all the same. Refused where nobody can know whether it continues.
    """
    if means.unreadable:
        return Refusal(why=means.unreadable)
    own = chain(attempts)
    starts_over = not own or not (resumes or may_be_tried(own[-1]))
    if starts_over or not means.resumes:
        return Retry(reason="asked for", detail="")
    return Retry(reason="asked for", detail=means.how, resume_from=means.checkpoint)


def _smaller_words(before: Batch, after: Batch) -> str:
    return (
        f"{BATCH} {before.size} → {after.size}, {ACCUMULATION} {before.accumulation} → "
        f"{after.accumulation} "
        f"(effective batch {after.effective}, as before)"
    )


def _beyond_time(means: Means) -> str:
    """Why a job at its time limit is not started again; "": it is."""
    if not means.checkpoint:
        return "there is no complete checkpoint to go on from: give it more time (#SBATCH --time)"
    if not means.resumes:
        return (
            f"{means.checkpoint} is complete, and its script does not go on from one: let it "
            f"read {RESUME_VARIABLE}"
        )
    if not means.gained:
        return (
            "it made no newer checkpoint in its time: give it more (#SBATCH --time), or save "
            "more often"
        )
    return ""


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
