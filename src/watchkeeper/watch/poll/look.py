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
    remote_shell,
)
from watchkeeper.schedulers.shell import Shell
from watchkeeper.schedulers.wrapper.claims import executions, last_end, read_task_ends
from watchkeeper.schedulers.wrapper.heartbeat import is_alive
from watchkeeper.watch.verdict.causes import cause_of
from watchkeeper.watch.verdict.endings import BLIND, End, end_of

_SOON = timedelta(minutes=1)  # a job that starts by then needs no word on why it waited
_MUCH = timedelta(minutes=10)
_GOES_ON = ("PENDING", "RUNNING")


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


def job_ids(experiment: Path, scheduler: Scheduler, attempts: Sequence[Attempt]) -> list[str]:
    """The jobs of these attempts that this scheduler has, as `look` would ask for them."""
    job_ids: list[str] = []
    for attempt in attempts:
        job_id = _job_to_follow(experiment, attempt)
        if attempt.submissions[job_id].scheduler == scheduler.name:
            job_ids.append(job_id)
    return job_ids


def look(
    experiment: Path,
    scheduler: Scheduler,
    ask: Callable[[Sequence[str]], Snapshot],
    attempts: Sequence[Attempt],
    overdue: Callable[[AttemptId], bool],
) -> Look:
    """Ask the scheduler about these attempts, once, by `ask`. A job that it does not know is what
    it was before, until `overdue` says that its absence counts.

    `experiment` is its folder. A job that waits or runs, and of which the scheduler says what it
    said before, is passed over without a look at its files.

    Raises:
        UnavailableError: it could not be asked.
    """
    jobs: dict[AttemptId, str] = {}
    asked: list[str] = []
    for attempt in attempts:
        job_id = _job_to_follow(experiment, attempt)
        jobs[attempt.id] = job_id
        if attempt.submissions[job_id].scheduler == scheduler.name:
            asked.append(job_id)
    snapshot = ask(asked)
    states: dict[AttemptId, str] = {}
    changes: list[Change] = []
    moved: dict[AttemptId, str] = {}
    shell = remote_shell(scheduler)
    for attempt in attempts:
        name = attempt.id
        job_id = jobs[name]
        facts = _facts(attempt, job_id, scheduler, snapshot)
        if _is_as_before(attempt, job_id, facts):
            states[name] = attempt.state
            continue
        folder = attempt_folder(experiment, *name)
        facts = _whole_array(facts, attempt, folder)
        owner = _owner_of_twin(facts, folder, job_id)
        if owner:
            moved[name] = owner
            continue
        sighting = _sighting(attempt, job_id, folder, facts, scheduler)
        if sighting.facts.state == UNKNOWN and sighting.record is None and not overdue(name):
            states[name] = attempt.state
            continue
        states[name] = sighting.state
        changes += _changes(sighting, shell)
    return Look(
        query=snapshot.query,
        states=states,
        changes=tuple(changes),
        moved=moved,
        silent=snapshot.silent,
    )


class _Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one job at one look. `record` is its exit record, None: none that counts;
    `state` is what the facts and the record say together.
    """

    attempt: Attempt
    job_id: str
    folder: Path
    facts: SchedulerFacts
    record: ExitRecord | None
    state: str


def _is_as_before(attempt: Attempt, job_id: str, facts: SchedulerFacts) -> bool:
    """Whether the scheduler says of a job that waits or runs what it said at the look before: then
    there is nothing to write down.
    """
    seen = attempt.seen
    if seen is None or seen.job_id != job_id or seen.exit_record is not None:
        return False
    if seen.state not in _GOES_ON or facts.state != seen.state:
        return False
    return facts == seen.facts and attempt.judged is None


def _has_ended(facts: SchedulerFacts) -> bool:
    """Whether the job has ended, or may have."""
    return facts.state in TERMINAL or facts.state == UNKNOWN


def _owner_of_twin(facts: SchedulerFacts, folder: Path, job_id: str) -> str:
    """The id of the job that runs the attempt in place of this one; "": this is no twin.

    A twin ends at once with a code that not every site's accounting keeps: the claim shows it.
    """
    if not _has_ended(facts) or facts.state == "COMPLETED":
        return ""
    owner = _owner(folder)
    if owner == number_of(job_id):
        return ""
    return owner


def _sighting(
    attempt: Attempt, job_id: str, folder: Path, facts: SchedulerFacts, scheduler: Scheduler
) -> _Sighting:
    """What is known of a job at this look: its facts, and its exit record once it may have ended. A
    job that the scheduler has lost, and that gives a sign of life, runs.
    """
    record = None
    if _has_ended(facts):
        record = _exit_record(folder, attempt)
    is_blind = record is None and facts.state in BLIND
    if is_blind and is_alive(folder, scheduler.visibility_lag_s):
        facts = _lives(attempt, folder, facts)
    state = facts.state
    end = end_of(facts, record)
    if end is not None:
        state = end.state
    return _Sighting(
        attempt=attempt,
        job_id=job_id,
        folder=folder,
        facts=facts,
        record=record,
        state=state,
    )


def _changes(sighting: _Sighting, shell: Shell | None) -> list[Change]:
    """The changes since the look before: first what nobody saw in between, then the present one."""
    unseen = _unseen(sighting)
    if not unseen and not _is_news(sighting):
        return []
    changes: list[Change] = []
    before = sighting.attempt.state
    for facts in unseen:
        change = _change(sighting, before=before, after=facts.state, facts=facts, inferred=True)
        changes.append(change)
        before = facts.state
    last = _change(
        sighting,
        before=before,
        after=sighting.state,
        facts=sighting.facts,
        record=sighting.record,
        shell=shell,
    )
    return [*changes, last]


def _is_news(sighting: _Sighting) -> bool:
    """Whether something else is known of the job than at the look before."""
    attempt, facts = sighting.attempt, sighting.facts
    if sighting.state != attempt.state:
        return True
    if attempt.facts is not None and facts.tasks != attempt.facts.tasks:
        return True
    if sighting.record is not None and attempt.exit_record is None:
        return True
    return _waits_otherwise(attempt, facts, sighting.job_id)


def _facts(
    attempt: Attempt, job_id: str, scheduler: Scheduler, snapshot: Snapshot
) -> SchedulerFacts:
    """What the scheduler says of a job; UNKNOWN, with the reason, of a job that was submitted to
    another scheduler, that this one does not know, or whose id it has given to another job since.
    """
    where = attempt.submissions[job_id].scheduler
    token = ""
    if attempt.intended is not None:
        token = attempt.intended.token
    if where != scheduler.name:
        reason = f"it was submitted to {where}, and this is {scheduler.name}: look from there"
    elif job_id not in snapshot.facts:
        reason = f"{scheduler.name} knows no job {job_id}"
    elif token and snapshot.tokens.get(job_id, token) != token:
        reason = f"{scheduler.name} knows job {job_id} as another job than this one"
    else:
        return _with_all_tasks(snapshot.facts[job_id], attempt)
    return SchedulerFacts(state=UNKNOWN, reason=reason)


def _lives(attempt: Attempt, folder: Path, facts: SchedulerFacts) -> SchedulerFacts:
    """The facts of a job that the scheduler has lost, and whose heartbeat is fresh: what was known
    of it stands.
    """
    claim = executions(folder)[-1]
    known = SchedulerFacts(state="RUNNING", started=claim.time, node=claim.host)
    if attempt.seen is not None and attempt.seen.state == "RUNNING":
        known = attempt.seen.facts
    said = facts.state
    if facts.reason:
        said += f" ({facts.reason})"
    return msgspec.structs.replace(
        known, state="RUNNING", reason=f"its heartbeat is fresh; the scheduler says {said}"
    )


def _with_all_tasks(facts: SchedulerFacts, attempt: Attempt) -> SchedulerFacts:
    """The facts of an array with all of its tasks: squeue forgets a task that has ended while
    others run, and what was seen of it stands. Tasks 0 to 2 seen COMPLETED, and now `3-7 RUNNING`:
    all eight. `reason` then counts the tasks, where one of them went wrong.
    """
    if not facts.tasks:
        return facts
    ended: dict[int, str] = {}
    if attempt.facts is not None:
        for number, state in arrays.by_task(attempt.facts.tasks).items():
            if state in TERMINAL:
                ended[number] = state
    tasks = arrays.by_state(ended | arrays.by_task(facts.tasks))
    reason = facts.reason
    if not set(tasks) <= {"COMPLETED", "RUNNING", "PENDING", "COMPLETING"}:
        reason = "; ".join(filter(None, [facts.reason, arrays.words(tasks)]))
    return msgspec.structs.replace(facts, tasks=tasks, reason=reason)


def _whole_array(facts: SchedulerFacts, attempt: Attempt, folder: Path) -> SchedulerFacts:
    """The facts of an array as a whole. It has ended when each of its tasks has: what the scheduler
    does not know of a task, its exit record may. UNKNOWN, with the tasks' numbers: neither knows.
    """
    if not attempt.array or facts.state not in TERMINAL:
        return facts
    numbers = arrays.numbers_of(attempt.array)
    tasks = arrays.by_task(facts.tasks)
    for number, ended_as in _recorded_states(folder, numbers).items():
        tasks.setdefault(number, ended_as)
    state = facts.state
    if state == "COMPLETED" and "FAILED" in tasks.values():
        state = "FAILED"
    facts = msgspec.structs.replace(facts, state=state, tasks=arrays.by_state(tasks))
    missing = [number for number in numbers if number not in tasks]
    if not missing:
        return facts
    reason = f"nothing is known of tasks {arrays.spec_of(missing)}"
    return msgspec.structs.replace(facts, state=UNKNOWN, reason=reason)


def _recorded_states(folder: Path, numbers: list[int]) -> dict[int, str]:
    """The states of these tasks of an array by their exit records, of those that have one."""
    states: dict[int, str] = {}
    ends = read_task_ends(folder)
    for number in numbers:
        end = ends.get(number)
        if end is None:
            continue
        states[number] = "COMPLETED"
        if end.exit_code:
            states[number] = "FAILED"
    return states


def _unseen(sighting: _Sighting) -> list[SchedulerFacts]:
    """What would have been seen of a job between two looks, as what is known now shows: that it
    ran, or that it waited for another execution since it was seen to run.
    """
    state = sighting.attempt.state
    if state in ("RUNNING", COMPLETING):
        return _unseen_restart(sighting)
    if state == "PENDING":
        return _unseen_start(sighting)
    return []


def _unseen_restart(sighting: _Sighting) -> list[SchedulerFacts]:
    """That a job waited, and maybe ran, since it was seen to run: it has a later start now, and a
    second claim. [] where it is the same execution.
    """
    seen, facts = sighting.attempt.facts, sighting.facts
    if seen is None or not seen.started or not facts.started:
        return []
    # A job that waits for its nodes to boot is given a later start too: only a second claim shows a
    # second execution.
    if facts.started <= seen.started or len(executions(sighting.folder)) < 2:
        return []
    waits = SchedulerFacts(state="PENDING", submitted=facts.submitted)
    if sighting.state == "RUNNING":
        return [waits]
    return [waits, _running(facts, facts.started)]


def _unseen_start(sighting: _Sighting) -> list[SchedulerFacts]:
    """That a job ran which was seen to wait, and has ended since; [] where nothing shows that it
    ever started. Its start is the scheduler's, else the claim's.
    """
    facts = sighting.facts
    has_ended = sighting.state in TERMINAL or sighting.state == COMPLETING
    if not has_ended or not (facts.started or sighting.record):
        return []
    started = facts.started
    if started is None:
        claims = executions(sighting.folder)
        if claims:
            started = claims[-1].time
    return [_running(facts, started)]


def _running(facts: SchedulerFacts, started: datetime | None) -> SchedulerFacts:
    """The facts of a job that ran and was not seen to. `started` None: since when is not known."""
    return SchedulerFacts(
        state="RUNNING", submitted=facts.submitted, started=started, node=facts.node
    )


def _change(
    sighting: _Sighting,
    *,
    before: str,
    after: str,
    facts: SchedulerFacts,
    record: ExitRecord | None = None,
    inferred: bool = False,
    shell: Shell | None = None,
) -> Change:
    """A change as it is written down. Of a job that ended otherwise than COMPLETED the end of its
    output is read, through `shell` where that is not here: its last line, and the cause that it
    shows. `inferred`: no look saw this state.
    """
    attempt = sighting.attempt
    output = cause = ""
    if after in TERMINAL and after != "COMPLETED":
        output = remote_files.last_output(facts.error_output or facts.output, shell)
        exit_code = record.exit_code if record is not None else facts.exit_code
        cause = cause_of(End(state=after, exit_code=exit_code), output, reason=facts.reason)
    return Change(
        key=attempt.key,
        phase=attempt.phase,
        attempt=attempt.number,
        job_id=sighting.job_id,
        before=before,
        after=after,
        facts=facts,
        exit_record=record,
        last_line=last_line(output),
        cause=cause,
        inferred=inferred,
        stuck=waiting.stuck(facts, sighting.job_id),
    )


def _waits_otherwise(attempt: Attempt, facts: SchedulerFacts, job_id: str) -> bool:
    """Whether there is news of a job that waits.

    News is that it does not start by itself, or may again; after a minute, why it waits; then
    another reason, or an expected start that has moved by much.
    """
    if facts.state != "PENDING" or attempt.state != "PENDING":
        return False
    now = datetime.now(UTC)
    stuck = waiting.stuck(facts, job_id)
    if attempt.seen is None:
        is_late = facts.submitted is not None and now - facts.submitted >= _SOON
        return bool(stuck) or is_late
    seen = attempt.seen.facts
    stuck_before = waiting.stuck(seen, job_id)
    if stuck or stuck_before:
        return stuck != stuck_before
    if facts.reason != seen.reason:
        return True
    if facts.expected is None or seen.expected is None:
        return (facts.expected is None) != (seen.expected is None)
    return abs(facts.expected - seen.expected) > max(_MUCH, (facts.expected - now) / 4)


def _job_to_follow(experiment: Path, attempt: Attempt) -> str:
    """Of several jobs of one attempt, the one that holds the claim; before there is a claim, the
    newest.
    """
    if len(attempt.submissions) == 1:
        return next(iter(attempt.submissions))
    owner = _owner(attempt_folder(experiment, *attempt.id))
    owned = (job_id for job_id in attempt.submissions if number_of(job_id) == owner)
    return next(owned, next(reversed(attempt.submissions)))


def _owner(folder: Path) -> str:
    """The job that made the last claim of an attempt; "" before there is one."""
    claims = executions(folder)
    if claims:
        return claims[-1].job_id
    return ""


def _exit_record(folder: Path, attempt: Attempt) -> ExitRecord | None:
    """How the last execution ended; an earlier one's record is not about a job that was started
    again. Of an array, when each of its tasks has ended: with the code of the first that was not 0.
    """
    ends: dict[int, ExitRecord | None] = {}
    if attempt.array:
        ends = read_task_ends(folder)
    if not ends:
        return last_end(folder)
    ended: list[ExitRecord] = []
    for number in arrays.numbers_of(attempt.array):
        record = ends.get(number)
        if record is None:
            return None
        ended.append(record)
    worst = next((record for record in ended if record.exit_code), ended[0])
    # The record of a task names it, `17_3`: the whole array is job 17.
    return msgspec.structs.replace(worst, job_id=worst.job_id.partition("_")[0], execution=1)


def last_line(output: str) -> str:
    """The last line that says anything, at most 400 letters of it; "" if none does."""
    for line in reversed(output.split("\n")):
        words = line.strip()
        if words:
            return words[:400]
    return ""
