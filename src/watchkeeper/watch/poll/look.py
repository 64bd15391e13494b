"""One look at the scheduler: which attempts changed, and what is known of their jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from watchkeeper.core.events import Change, ExitRecord, SchedulerFacts
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, AttemptId
from watchkeeper.schedulers import arrays, remote_files, waiting
from watchkeeper.schedulers.base import (
    COMPLETING,
    TERMINAL,
    UNKNOWN,
    Scheduler,
    Snapshot,
    number_of,
)
from watchkeeper.schedulers.shell import Shell
from watchkeeper.schedulers.wrapper import render
from watchkeeper.watch.verdict.causes import cause_of
from watchkeeper.watch.verdict.endings import BLIND, End, end_of

_SOON = timedelta(minutes=1)  # a job that starts by then needs no word on why it waited
_MUCH = timedelta(minutes=10)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll found. `states`: attempt → what its sources say together; `moved`: attempts
    whose job was another's twin, with the id of the job that really runs them; `silent`: as in
    `Snapshot`.
    """

    query: str
    states: dict[AttemptId, str]
    changes: tuple[Change, ...]
    moved: dict[AttemptId, str]
    silent: str


def look(
    experiment: Path,
    scheduler: Scheduler,
    attempts: Sequence[Attempt],
    overdue: Callable[[AttemptId], bool],
) -> Look:
    """Ask the scheduler about these attempts, once. A job that it does not know is what it was
    before, until `overdue` says that its absence counts.

    Raises:
        UnavailableError: it could not be asked.
    """
    followed = {(a.key, a.number): _job_to_follow(experiment, a) for a in attempts}
    mine = [
        a for a in attempts if a.submissions[followed[a.key, a.number]].scheduler == scheduler.name
    ]
    snapshot = scheduler.poll([followed[a.key, a.number] for a in mine])
    states: dict[AttemptId, str] = {}
    changes: list[Change] = []
    moved: dict[AttemptId, str] = {}
    for attempt in attempts:
        name = (attempt.key, attempt.number)
        job_id = followed[name]
        found = _facts(attempt, job_id, scheduler, snapshot)
        folder = attempt_folder(experiment, *name)
        found = _whole_array(found, attempt, folder)
        ended = found.state in TERMINAL or found.state == UNKNOWN
        # A twin ends at once with a code of its own, which not every site's accounting keeps: the
        # claim tells.
        if ended and found.state != "COMPLETED":
            owner = _owner(folder)
        else:
            owner = ""
        if owner and owner != number_of(job_id):
            moved[name] = owner
            continue
        if ended:
            record = _exit_record(folder, attempt)
        else:
            record = None
        if (
            record is None
            and found.state in BLIND
            and render.is_alive(folder, scheduler.visibility_lag_s)
        ):
            found = _lives(attempt, folder, found)
        if found.state == UNKNOWN and record is None and not overdue(name):
            states[name] = attempt.state
            continue
        end = end_of(found, record)
        states[name] = end.state if end else found.state
        waits = _waits_otherwise(attempt, found, job_id)
        other_tasks = attempt.seen is not None and found.tasks != attempt.seen.facts.tasks
        unseen = _unseen(attempt, folder, states[name], found, record)
        if (
            states[name] != attempt.state
            or unseen
            or other_tasks
            or waits
            or (record is not None and attempt.exit_record is None)
        ):
            before = attempt.state
            for facts in unseen:
                changes.append(
                    _change(
                        attempt,
                        job_id,
                        before=before,
                        after=facts.state,
                        facts=facts,
                        inferred=True,
                    )
                )
                before = facts.state
            change = _change(
                attempt,
                job_id,
                before=before,
                after=states[name],
                facts=found,
                record=record,
                shell=scheduler.far,
            )
            changes.append(change)
    return Look(
        query=snapshot.query,
        states=states,
        changes=tuple(changes),
        moved=moved,
        silent=snapshot.silent,
    )


def _facts(
    attempt: Attempt, job_id: str, scheduler: Scheduler, snapshot: Snapshot
) -> SchedulerFacts:
    where = attempt.submissions[job_id].scheduler
    if attempt.intended:
        token = attempt.intended.token
    else:
        token = ""
    if where != scheduler.name:
        reason = f"it was submitted to {where}, and this is {scheduler.name}: look from there"
    elif job_id not in snapshot.facts:
        reason = f"{scheduler.name} knows no job {job_id}"
    elif token and snapshot.tokens.get(job_id, token) != token:
        reason = f"{scheduler.name} knows job {job_id} as another job than this one"
    else:
        return _with_all_tasks(snapshot.facts[job_id], attempt)
    return SchedulerFacts(state=UNKNOWN, reason=reason)


def _lives(attempt: Attempt, folder: Path, found: SchedulerFacts) -> SchedulerFacts:
    """The facts of a job that the scheduler has lost, and whose heartbeat is fresh: what was known
    of it stands.
    """
    if attempt.seen is not None and attempt.seen.state == "RUNNING":
        seen = attempt.seen.facts
    else:
        seen = None
    claim = render.executions(folder)[-1]
    known = seen or SchedulerFacts(state="RUNNING", started=claim.time, node=claim.host)
    if found.reason:
        said = f"{found.state} ({found.reason})"
    else:
        said = found.state
    return msgspec.structs.replace(
        known, state="RUNNING", reason=f"its heartbeat is fresh; the scheduler says {said}"
    )


def _with_all_tasks(facts: SchedulerFacts, attempt: Attempt) -> SchedulerFacts:
    """squeue forgets a task that has ended, while others go on: what was seen of it stands."""
    if not facts.tasks:
        return facts
    if attempt.seen:
        seen = arrays.by_task(attempt.seen.facts.tasks)
    else:
        seen = {}
    tasks = arrays.by_state(
        {number: state for number, state in seen.items() if state in TERMINAL}
        | arrays.by_task(facts.tasks)
    )
    well = set(tasks) <= {"COMPLETED", "RUNNING", "PENDING", "COMPLETING"}
    if well:
        reason = facts.reason
    else:
        reason = "; ".join(filter(None, [facts.reason, arrays.words(tasks)]))
    return msgspec.structs.replace(facts, tasks=tasks, reason=reason)


def _whole_array(facts: SchedulerFacts, attempt: Attempt, folder: Path) -> SchedulerFacts:
    """An array has ended when each of its tasks has: what the scheduler does not tell of one, its
    exit record may.
    """
    if attempt.intended:
        spec = attempt.intended.array
    else:
        spec = ""
    if not spec or facts.state not in TERMINAL:
        return facts
    told, ends = arrays.by_task(facts.tasks), render.read_task_ends(folder)
    for number in arrays.numbers_of(spec):
        if number not in told and (end := ends.get(number)) is not None:
            told[number] = "FAILED" if end.exit_code else "COMPLETED"
    missing = [number for number in arrays.numbers_of(spec) if number not in told]
    if facts.state == "COMPLETED" and "FAILED" in told.values():
        state = "FAILED"
    else:
        state = facts.state
    facts = msgspec.structs.replace(facts, state=state, tasks=arrays.by_state(told))
    if not missing:
        return facts
    return msgspec.structs.replace(
        facts, state=UNKNOWN, reason=f"nothing is known of tasks {arrays.spec_of(missing)}"
    )


def _unseen(
    attempt: Attempt, folder: Path, after: str, facts: SchedulerFacts, record: ExitRecord | None
) -> list[SchedulerFacts]:
    """What would have been seen of a job between two polls, as what is known now shows: that it
    ran, or that it waited for another execution since it was seen to run.
    """
    if attempt.seen:
        seen = attempt.seen.facts.started
    else:
        seen = None
    waits = SchedulerFacts(state="PENDING", submitted=facts.submitted)
    runs = SchedulerFacts(
        state="RUNNING", submitted=facts.submitted, started=facts.started, node=facts.node
    )
    if attempt.state in ("RUNNING", COMPLETING):
        # A job that waits for its nodes' boot is given a later start too: only a second claim tells
        # of a second execution.
        if seen and facts.started and facts.started > seen and len(render.executions(folder)) > 1:
            if after == "RUNNING":
                return [waits]
            return [waits, runs]
    elif (
        attempt.state == "PENDING"
        and (after in TERMINAL or after == COMPLETING)
        and (facts.started or record)
    ):
        if facts.started is None and (claims := render.executions(folder)):
            runs = msgspec.structs.replace(runs, started=claims[-1].time)
        return [runs]
    return []


def _change(
    attempt: Attempt,
    job_id: str,
    *,
    before: str,
    after: str,
    facts: SchedulerFacts,
    record: ExitRecord | None = None,
    inferred: bool = False,
    shell: Shell | None = None,
) -> Change:
    failed = after in TERMINAL and after != "COMPLETED"
    if failed:
        output = remote_files.last_output(facts.error_output or facts.output, shell)
    else:
        output = ""
    end = End(state=after, exit_code=record.exit_code if record is not None else facts.exit_code)
    return Change(
        key=attempt.key,
        phase=attempt.phase,
        attempt=attempt.number,
        job_id=job_id,
        before=before,
        after=after,
        facts=facts,
        exit_record=record,
        last_line=last_line(output),
        cause=cause_of(end, output, reason=facts.reason) if failed else "",
        inferred=inferred,
        stuck=waiting.stuck(facts, job_id),
    )


def _waits_otherwise(attempt: Attempt, found: SchedulerFacts, job_id: str) -> bool:
    """Whether there is news of a job that waits: that it does not start by itself, or may again;
    after a minute why it waits; then another reason, or a guess of its start that has moved by
    much.
    """
    if found.state != "PENDING" or attempt.state != "PENDING":
        return False
    if attempt.seen is not None:
        seen = attempt.seen.facts
    else:
        seen = None
    stuck = waiting.stuck(found, job_id)
    if stuck or (seen is not None and waiting.stuck(seen, job_id)):
        return seen is None or stuck != waiting.stuck(seen, job_id)
    now = datetime.now(UTC)
    if seen is None:
        return found.submitted is not None and now - found.submitted >= _SOON
    if found.reason != seen.reason or (found.expected is None) != (seen.expected is None):
        return True
    if found.expected is None or seen.expected is None:
        return False
    return abs(found.expected - seen.expected) > max(_MUCH, (found.expected - now) / 4)


def _job_to_follow(experiment: Path, attempt: Attempt) -> str:
    """Of several jobs of one attempt, the one that holds the claim; before there is a claim, the
    newest.
    """
    if len(attempt.submissions) == 1:
        return next(iter(attempt.submissions))
    owner = _owner(attempt_folder(experiment, attempt.key, attempt.number))
    owned = (job_id for job_id in attempt.submissions if number_of(job_id) == owner)
    return next(owned, next(reversed(attempt.submissions)))


def _owner(folder: Path) -> str:
    claims = render.executions(folder)
    if claims:
        return claims[-1].job_id
    return ""


def _exit_record(folder: Path, attempt: Attempt) -> ExitRecord | None:
    """How the last execution ended; an earlier one's record says nothing of a job that was started
    again. Of an array, when each of its tasks has ended: with the code of the first that was not 0.
    """
    if (
        attempt.intended is not None
        and attempt.intended.array
        and (ends := render.read_task_ends(folder))
    ):
        numbers = arrays.numbers_of(attempt.intended.array)
        ended = [record for number in numbers if (record := ends.get(number)) is not None]
        if len(ended) < len(numbers):
            return None
        worst = next((record for record in ended if record.exit_code), ended[0])
        return msgspec.structs.replace(worst, job_id=worst.job_id.partition("_")[0], execution=1)
    return render.last_end(folder)


def last_line(output: str) -> str:
    """The last line that says anything, bounded; "" if none does."""
    return next((line.strip()[:400] for line in reversed(output.split("\n")) if line.strip()), "")
