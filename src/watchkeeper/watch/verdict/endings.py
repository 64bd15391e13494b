"""Whether and how a job ended: a pure function of what its sources say, each of which may know
nothing.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from watchkeeper.core.events import ExitRecord, SchedulerFacts
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN
from watchkeeper.schedulers.wrapper.claims import FINISHED, TWIN, WORDS

# The scheduler lost sight of the job: its heartbeat, and what the wrapper wrote as its last act,
# know better.
BLIND = ("NODE_FAIL", "BOOT_FAIL", UNKNOWN)
# The job was started again after its end, and ran nothing then: what the scheduler says is the
# second start's failure.
_RAN_NOTHING = (TWIN, FINISHED)
# By then the scheduler has killed what its signal had not ended: a script that ended with 0 earlier
# ended by itself. What was killed later is the wrapper, while it hashed the checkpoints.
_KILLED_AFTER = timedelta(minutes=2)


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. `state` has Slurm's names; `exit_code` is None where nobody saw it."""

    state: str
    exit_code: int | None
    why: str = ""


def end_of(facts: SchedulerFacts | None, record: ExitRecord | None) -> End | None:
    """The job's end; None while it has none that anybody saw. UNKNOWN is not an end.

        scheduler      exit record     the end
        COMPLETED      0               COMPLETED, 0
        NODE_FAIL      0               COMPLETED, 0: the record was the wrapper's last act
        TIMEOUT        0, much before  COMPLETED, 0: the script had ended by itself
        FAILED 211     1               FAILED, 1: a second start found the attempt taken
        RUNNING        none            none

    `facts` None: the scheduler said nothing. `record` None: the wrapper left none.
    """
    if record is not None and _knows_better(record, facts):
        return _recorded_end(record, facts)
    if facts is None or facts.state not in TERMINAL:
        return None
    why = facts.reason
    if why == "None":  # Slurm's word for no reason
        why = ""
    if record is not None:
        return End(state=facts.state, exit_code=record.exit_code, why=why)
    return End(state=facts.state, exit_code=facts.exit_code, why=_with_meaning(facts, why))


def _with_meaning(facts: SchedulerFacts, why: str) -> str:
    """Why the job ended, with what the exit code of a wrapper that ran nothing means (211 to 214).

    Any other code is the script's own, and means what the script says. `why` may be "".
    """
    meaning = WORDS.get(facts.exit_code or 0)
    if meaning is None:
        return why
    if not why:
        return meaning
    return f"{meaning}; {why}"


def _knows_better(record: ExitRecord, facts: SchedulerFacts | None) -> bool:
    """Whether the job's end is what the record says and not what the scheduler says.

    It is where the scheduler is blind or silent, where the script had ended well before the
    scheduler ended its job, and where the scheduler tells of a second start that ran nothing.
    """
    if facts is None or facts.state in BLIND:
        return True
    if _had_ended_well(record, facts):
        return True
    is_of_second_start = facts.state == "FAILED" and facts.exit_code in _RAN_NOTHING
    return is_of_second_start and record.exit_code not in _RAN_NOTHING


def _had_ended_well(record: ExitRecord, facts: SchedulerFacts) -> bool:
    """Whether the script had ended with 0 long before the scheduler ended its job.

        15:00:00    the script ends with 0; the wrapper hashes checkpoints
        15:04:00    the time limit is over, and the wrapper is killed: true
        15:00:20    the same, twenty seconds later: false, as the signal may have ended the script

    False as well where one of the two times is not known.
    """
    if record.exit_code or record.interrupted:
        return False
    if facts.state == "COMPLETED":
        return False
    if record.ended is None or facts.ended is None:
        return False
    return facts.ended - record.ended > _KILLED_AFTER


def _recorded_end(record: ExitRecord, facts: SchedulerFacts | None) -> End:
    """The end by the exit record, with what the scheduler says instead: `by its exit record; the
    scheduler says NODE_FAIL (node01 down)`.
    """
    state = "COMPLETED"
    if record.exit_code:
        state = "FAILED"
    said, reason = UNKNOWN, ""
    if facts is not None:
        said, reason = facts.state, facts.reason
    why = f"by its exit record; the scheduler says {said}"
    if reason:
        why += f" ({reason})"
    return End(state=state, exit_code=record.exit_code, why=why)
