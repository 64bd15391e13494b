"""Attempts as a journal would have them, for tests of what they asked for and used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from watchkeeper.core.events import ExitRecord, Intended, Judged, SchedulerFacts, Submitted
from watchkeeper.core.state import Attempt, RunState, Seen, State

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
_STAMP: dict[str, Any] = {"time": NOW, "writer": "w", "seq": 0}


def attempt(
    key: str = "r8",
    number: int = 1,
    *,
    asked: Mapping[str, str] | None = None,
    outcome: str = "done",
    state: str = "COMPLETED",
    cause: str = "",
    node: str = "n1",
    scheduler: str = "slurm",
    by: str = "",
    elapsed_s: float | None = None,
    resume_from: str = "",
    array: str = "",
    execution: int = 1,
) -> Attempt:
    """One attempt that has ended."""
    work: dict[str, Any] = {"key": key, "phase": "preparation", "attempt": number, **_STAMP}
    intended = Intended(
        token="t",
        script="s",
        script_sha256="",
        asked=dict(asked or {}),
        resume_from=resume_from,
        array=array,
        **work,
    )
    judged = Judged(outcome=outcome, state=state, cause=cause, elapsed_s=elapsed_s, **work)
    submitted = Submitted(job_id="1", scheduler=scheduler, command="", by=by, **work)
    facts = SchedulerFacts(state=state, node=node)
    record = ExitRecord(job_id="1", exit_code=0, execution=execution)
    return Attempt(
        key,
        number,
        "preparation",
        intended=intended,
        submissions={"1": submitted},
        seen=Seen("w", 0, "1", state, facts, record),
        exit_record=record,
        judged=judged,
    )


def state_of(attempts: Sequence[Attempt]) -> State:
    """The state that these attempts make together."""
    runs: dict[str, RunState] = {}
    for one in attempts:
        runs.setdefault(one.key, RunState(one.key, {})).attempts[one.number] = one
    return State(runs=runs)
