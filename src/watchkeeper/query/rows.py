"""Where an experiment stands, one row for each piece of work: what `run` ends with and `status`
shows. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN
from watchkeeper.core.events import Decision, Health, Judged, Number, Phase, RunItem
from watchkeeper.core.state import Attempt, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.plan import AGAIN, CONTROL, DONE, FOUND, UNSIGNED, Plan
from watchkeeper.report.compose import repeated
from watchkeeper.schedulers import waiting
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.outcome.array_tasks import Task
from watchkeeper.watch.tally import NOT_SUBMITTED
from watchkeeper.watch.verdict.judge import error_of

# Of what its scheduler answered "later" to.
NOT_TAKEN = "not taken yet"
# Of a submission without an answer.
IN_DOUBT = "not known yet whether it was taken"
Standing = Literal["done", "running", "to do", "failed", "blocked", "unknown", "not needed"]


class Place(msgspec.Struct, frozen=True):
    """Where one piece of work stands, its state as shown, and why ("": nothing explains it)."""

    standing: Standing
    state: str
    why: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work. `state` is Slurm's word where there was a job, else why there was none;
    `elapsed_s` is None where no scheduler said; `attempt` is 0 where none was made; `metrics` are
    the result's own figures; `progress` is how far its recorder says that it is, or its output.
    `health`, of a job that runs: the watcher's last word on it (None: there is none), and why. Of a
    further attempt, `reason`, `change` and `resume_from` are why it was made and what it was given,
    as in `intended`. `error`, of one that failed: the line of its output that says why, "" where
    none does. `array_task`: the number of the task of an array that this row is, below the
    array's own row and with its key (`train[3]`); None of a whole piece of work.
    """

    key: str
    phase: Phase
    run: str
    task: str
    epoch: int | None
    standing: Standing
    state: str
    attempt: int = 0
    job_id: str = ""
    elapsed_s: float | None = None
    metrics: Mapping[str, Number] = {}
    why: str = ""
    progress: str = ""
    health: Health | None = None
    health_why: str = ""
    reason: str = ""
    change: Mapping[str, str] = {}
    resume_from: str = ""
    error: str = ""
    array_task: int | None = None


def rows(
    experiment: Experiment,
    state: State,
    plan: Plan,
    findings: Mapping[str, Finding],
    progress: Mapping[str, str] | None = None,
) -> list[Row]:
    """The rows, in the experiment's order. `progress`: key → how far its job is, in words; None:
    nothing is known of any. `findings`: key → what was found of the promised result. The plan has a
    decision for each piece of work.

        r8                 done     COMPLETED
        r8/clean/epoch0    failed   OUT_OF_MEMORY   `attempt` is 2 after two attempts
        r8/noisy/epoch0    running  PENDING         `why` says what its scheduler waits for

    Here are its key, `standing` and `state`.
    """
    decisions = {decision.key: decision for decision in plan.decisions}
    progress = progress or {}
    found: list[Row] = []
    for item in experiment.items:
        row = _row(
            item,
            decisions[item.key],
            state.run(item.key).latest,
            findings.get(item.key),
            progress.get(item.key, ""),
        )
        found.append(row)
    return found


def with_tasks(row: Row, tasks: Sequence[Task]) -> list[Row]:
    """A row, and a row for each task of its array: `train`, `train[0]`, `train[1]`. The row alone
    of work that is no array.
    """
    return [row, *(_task_row(row, task) for task in tasks)]


def _task_row(row: Row, task: Task) -> Row:
    """The row of one task. What belongs to the work as a whole, such as metrics and health, stays
    with the array's own row.
    """
    return Row(
        key=f"{row.key}[{task.number}]",
        phase=row.phase,
        run=row.run,
        task=row.task,
        epoch=row.epoch,
        standing=_task_standing(row, task),
        state=task.state,
        attempt=task.attempt,
        job_id=task.job_id,
        elapsed_s=task.elapsed_s,
        progress=task.progress,
        array_task=task.number,
    )


def _task_standing(row: Row, task: Task) -> Standing:
    """Where a task stands; one that will be tried again is to do, as its array is."""
    if task.state == "COMPLETED":
        return "done"
    if task.state == UNKNOWN:
        return "unknown"
    if task.state not in TERMINAL:
        return "running"
    if row.standing == "to do":
        return "to do"
    return "failed"


def _row(
    item: RunItem,
    decision: Decision,
    latest: Attempt | None,
    result: Finding | None,
    progress: str,
) -> Row:
    """The row of one piece of work.

    `latest` is its last attempt, None where none was made; `result` is what was found of what it
    promised, None where nobody looked. Only a good result has figures that count.
    """
    place = _place(decision, latest)
    row = Row(
        key=item.key,
        phase=item.phase,
        run=item.run,
        task=item.task,
        epoch=item.epoch,
        standing=place.standing,
        state=place.state,
        why=place.why,
        progress=progress,
    )
    if result is not None and result.state == "good":
        row = msgspec.structs.replace(row, metrics=result.metrics)
    if latest is not None:
        row = _with_attempt(row, latest)
    return row


def _with_attempt(row: Row, latest: Attempt) -> Row:
    """The row with what its latest attempt was given, how it runs, and how long it took.

    A verdict adds the time, of failed work the line of its output that says why, and of a training
    its figures: an evaluation has them in its result. Health is that of a job that runs now.
    """
    row = msgspec.structs.replace(row, attempt=latest.number, job_id=latest.job_id)
    judged = latest.judged
    if judged is not None:
        row = msgspec.structs.replace(row, elapsed_s=judged.elapsed_s)
        if row.standing == "failed":
            row = msgspec.structs.replace(row, error=error_of(judged))
        if row.phase == "preparation" and row.standing == "done":
            row = msgspec.structs.replace(row, metrics=judged.metrics)
    assessed = latest.assessed
    is_running = latest.active and latest.state == "RUNNING"
    if assessed is not None and is_running:
        row = msgspec.structs.replace(row, health=assessed.health, health_why=assessed.why)
    intended = latest.intended
    if intended is not None:
        row = msgspec.structs.replace(
            row,
            reason=intended.reason,
            change=intended.change,
            resume_from=intended.resume_from,
        )
    return row


def _place(decision: Decision, latest: Attempt | None) -> Place:
    """Where one piece of work stands: by its latest attempt, as far as that got; else by what the
    plan decided. `latest` None: no attempt was made.
    """
    if decision.reason == CONTROL:
        return Place("not needed", CONTROL, decision.detail)
    if latest is not None and latest.active:
        return _under_way(latest)
    if latest is not None and latest.judged is not None:
        return _ended(decision, latest.judged)
    place = _not_taken(decision, latest)
    if place is not None:
        return place
    standing = _undone(decision.action, decision.reason)
    return Place(standing, decision.reason, decision.detail)


def _under_way(latest: Attempt) -> Place:
    """The place of a job that its scheduler has; one that waits is explained."""
    if latest.state == "UNKNOWN":
        return Place("unknown", latest.state)
    seen = latest.seen
    if latest.state != "PENDING" or seen is None or seen.facts is None:
        return Place("running", latest.state)
    return Place("running", latest.state, waiting.words(seen.facts, latest.job_id))


def _not_taken(decision: Decision, latest: Attempt | None) -> Place | None:
    """The place of an attempt that its scheduler has not taken, or has refused; None if neither, or
    if the gate says what is missing now.

        put off for later → to do: `not taken yet: sbatch: error: …`
        refused           → failed: `sbatch: error: …; once that is put right, …`

    What was refused and is skipped now, because its result is there, has not failed.
    """
    if latest is None or decision.reason == UNSIGNED:
        return None
    if latest.unresolved:
        why = _why_not_taken(latest)
        if why:
            return Place("to do", decision.reason, why)
    rejected = latest.rejected
    is_left = latest.closed and decision.action != "skip"
    if is_left and rejected is not None:
        return Place("failed", NOT_SUBMITTED, f"{rejected.message}; {AGAIN}")
    return None


def _why_not_taken(latest: Attempt) -> str:
    """Why the scheduler has not taken an attempt so far; "" where it was not asked yet.

    Where the answer is in doubt, a job may exist all the same; where the submitting command says
    that it reached nobody, none does.
    """
    doubt = latest.doubted
    if doubt is not None and not doubt.unreached:
        return f"{IN_DOUBT}: {doubt.message}"
    put_off = latest.put_off or doubt
    if put_off is not None:
        return f"{NOT_TAKEN}: {put_off.message}"
    return ""


def _ended(decision: Decision, judged: Judged) -> Place:
    """The place of work whose latest attempt has its verdict, and what the plan makes of that.

        failed, and the plan retries it        → to do, and why it is tried again
        failed, but its result was found since → done
        failed, and the plan leaves it alone   → failed, and why it is not tried again

    Also what was done may be to do: where its checkpoint or its result is gone since.
    """
    place = _judged(judged)
    if decision.action in ("submit", "wait", "retry"):
        return Place("to do", place.state, decision.detail or decision.reason)
    if place.standing == "failed" and decision.reason in FOUND:
        return Place("done", place.state, place.why)
    why = "; ".join(filter(None, [place.why, decision.advice]))
    return Place(place.standing, place.state, why)


def _judged(judged: Judged) -> Place:
    """The place that a verdict alone gives. COMPLETED without what was promised is `INVALID`; of
    work that is done, `why` names the training steps that were done twice ("": none).
    """
    if judged.outcome == "done":
        return Place("done", judged.state, repeated.describe(judged.learned))
    if judged.outcome == "failed but good":
        return Place("done", f"{judged.state}, but good", judged.why)
    if judged.outcome == "unknown":
        return Place("unknown", judged.state, judged.why)
    if judged.outcome == "invalid":
        return Place("failed", "INVALID", judged.why)
    return Place("failed", judged.state, judged.why)


def _undone(action: str, reason: str) -> Standing:
    """Where work stands of which there is no job, by the plan's decision: its action (`blocked`,
    `active` …) and its reason.
    """
    if reason in DONE:
        return "done"
    if action == "blocked":
        return "blocked"
    if action == "active":
        return "running"
    return "to do"


def exit_code(found: Sequence[Row], *, selected: Sequence[str], problems: bool) -> int:
    """0 if everything selected is done; 4 if the state of something is unknown; 1 if something
    failed or is blocked, or an error in the experiment kept work out of the plan.

    `selected` are keys. The tasks of an array do not count by themselves: the array's own row says
    what became of them. `problems`: there was such an error.
    """
    keys = frozenset(selected)
    standings: set[Standing] = set()
    for row in found:
        if row.key in keys and row.array_task is None:
            standings.add(row.standing)
    if standings & {"failed", "blocked"} or problems:
        return EXIT_FAILED
    if "unknown" in standings:
        return EXIT_UNKNOWN
    return EXIT_OK
