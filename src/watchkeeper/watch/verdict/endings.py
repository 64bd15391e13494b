"""Whether and how a job ended: a pure function of what its sources say, each of which may know
nothing.
"""

from __future__ import annotations

import msgspec

from watchkeeper.core.events import ExitRecord, SchedulerFacts
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN
from watchkeeper.schedulers.wrapper.claims import FINISHED, TWIN

# The scheduler lost sight of the job: its heartbeat, and what the wrapper wrote as its last act,
# know better.
BLIND = ("NODE_FAIL", "BOOT_FAIL", UNKNOWN)
# The job was started again after its end, and ran nothing then: what the scheduler says is the
# second start's failure.
_RAN_NOTHING = (TWIN, FINISHED)


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. `state` has Slurm's names; `exit_code` is None where nobody saw it."""

    state: str
    exit_code: int | None
    why: str = ""


def end_of(facts: SchedulerFacts | None, record: ExitRecord | None) -> End | None:
    """The job's end; None while it has none that anybody saw. UNKNOWN is not an end."""
    if facts:
        state = facts.state
    else:
        state = UNKNOWN
    again = facts is not None and state == "FAILED" and facts.exit_code in _RAN_NOTHING
    if record is not None and (state in BLIND or (again and record.exit_code not in _RAN_NOTHING)):
        if record.exit_code == 0:
            verdict = "COMPLETED"
        else:
            verdict = "FAILED"
        why = f"by its exit record; the scheduler says {state}" + (
            f" ({facts.reason})" if facts and facts.reason else ""
        )
        return End(state=verdict, exit_code=record.exit_code, why=why)
    if facts is None or state not in TERMINAL:
        return None
    exit_code = record.exit_code if record is not None else facts.exit_code
    return End(state=state, exit_code=exit_code, why=facts.reason if facts.reason != "None" else "")
