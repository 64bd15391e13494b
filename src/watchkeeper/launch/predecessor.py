"""The attempt before: whether a job of it may still run, and its end, before the next begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.journal import Clock
from watchkeeper.core.state import Attempt
from watchkeeper.launch.hold import HeldByAnotherError
from watchkeeper.schedulers.base import TERMINAL, number_of
from watchkeeper.schedulers.wrapper.claims import (
    Claim,
    close_attempt,
    executions,
    last_end,
    read_claims,
    read_task_ends,
    void_claim,
)
from watchkeeper.schedulers.wrapper.heartbeat import silent_s, stale_s

# These states do not mean that a job's processes are gone: its node may only be cut off.
_NODE_LOST = ("NODE_FAIL", "BOOT_FAIL")


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt left in its folder. `task_ends`: whether each task of an array has ended, by
    number; empty: it is no array, and `is_over` says whether its last execution has ended.
    """

    attempt: int
    folder: Path
    claims: Sequence[Claim]
    task_ends: Mapping[int, bool]
    is_over: bool = False

    @property
    def is_void(self) -> bool:
        """Whether the last claim is ours: no job can take it."""
        return bool(self.claims) and not self.claims[-1].job_id


def may_still_run(remains: Remains) -> str:
    """Why a job of the attempt may still run; "": none does."""
    attempt, folder = remains.attempt, remains.folder
    if not remains.claims:
        return f"attempt {attempt} may still run: {folder}/claim.1 cannot be read"
    if remains.is_void:
        return ""
    has_ended = remains.is_over
    if remains.task_ends:
        has_ended = all(remains.task_ends.values())
    if has_ended:
        return ""
    claim = remains.claims[-1]
    return (
        f"attempt {attempt} may still run: job {claim.job_id} claimed it on {claim.host}, and its "
        "end was not seen; when you have made sure that it does not run, delete "
        f"{folder}/claim.*"
    )


def end(
    folder: Path,
    attempt: int,
    before: Attempt | None,
    *,
    scheduler: str,
    lag_s: float,
    clock: Clock,
) -> str:
    """Take the next claim of the attempt in `folder`, so that no job of it can begin from now on.
    Returns why one may still run, "": none does or can.

    What is started again after all, or survives the failure of its node, finds the claim taken and
    ends at once. `before` is what the journal says of the attempt, None: nothing; `lag_s` is how
    many seconds it takes until the scheduler shows a job.

    Raises:
        HeldByAnotherError: its node was lost, and its heartbeat is fresh.
    """
    if not folder.is_dir() or void_claim(folder, scheduler=scheduler, clock=clock):
        return ""
    remains = _read_remains(folder, attempt, before, lag_s)
    reason = may_still_run(remains)
    if reason or remains.is_void:
        return reason
    parts = [folder / f"task-{number}" for number in remains.task_ends] or [folder]
    for part in parts:
        if not close_attempt(part, scheduler=scheduler, clock=clock):
            job_id = read_claims(part)[-1].job_id
            return f"attempt {attempt} was started again meanwhile: job {job_id}"
    return ""


def _read_remains(folder: Path, attempt: int, before: Attempt | None, lag_s: float) -> Remains:
    """What the attempt left.

    Raises:
        HeldByAnotherError: its node was lost, and its heartbeat is fresh.
    """
    claims = read_claims(folder)
    ends = read_task_ends(folder)
    remains = Remains(
        attempt=attempt,
        folder=folder,
        claims=claims,
        task_ends={number: end is not None for number, end in ends.items()},
    )
    if not claims or remains.is_void or ends:
        return remains
    return msgspec.structs.replace(remains, is_over=_is_over(folder, before, lag_s))


def _is_over(folder: Path, before: Attempt | None, lag_s: float) -> bool:
    """Whether the last execution of the attempt has ended: by its exit record, its process, or its
    scheduler.

    Raises:
        HeldByAnotherError: its node was lost, and its heartbeat is fresh.
    """
    claims = executions(folder)
    if last_end(folder) is not None or _is_dead(claims[-1]):
        return True
    state = _last_state(claims, before)
    longest_silence_s = stale_s(lag_s)
    if state not in _NODE_LOST:
        return state in TERMINAL
    if not longest_silence_s:
        return False
    try:
        silence_s = silent_s(folder)
    except OSError:
        silence_s = 0.0  # unknown for now: look again
    if silence_s <= longest_silence_s:
        raise HeldByAnotherError(None)
    return True


def _is_dead(claim: Claim) -> bool:
    """Whether a claim's wrapper ran on this host, and no longer does."""
    if claim.host != processes.host():
        return False
    return claim.boot_id != processes.boot_id() or processes.start_ticks(claim.pid) is None


def _last_state(claims: Sequence[Claim], before: Attempt | None) -> str:
    """What the scheduler last said of the execution with the last of these claims; "": nothing.
    What it said of an earlier one, or of another job, does not count.
    """
    if before is None or before.seen is None or number_of(before.seen.job_id) != claims[-1].job_id:
        return ""
    record = before.exit_record
    if record is not None and record.execution < len(claims):
        return ""
    return before.seen.facts.state
