"""Where an experiment stands, one row for each piece of work: what `run` ends with and `status`
shows. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN
from watchkeeper.core.events import Decision, Health, Number, Phase
from watchkeeper.core.state import Attempt, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.plan import AGAIN, CONTROL, Plan
from watchkeeper.report.compose import repeated
from watchkeeper.schedulers import waiting
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.tally import NOT_SUBMITTED

# Of what its scheduler answered "later" to.
NOT_TAKEN = "not taken yet"
# Of a submission without an answer.
IN_DOUBT = "not known yet whether it was taken"
Standing = Literal["done", "running", "to do", "failed", "blocked", "unknown", "not needed"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work. `state` is Slurm's word where there was a job, else why there was none;
    `elapsed_s` is None where no scheduler said; `attempt` is 0 where none was made; `metrics` are
    the result's own figures; `progress` is how far its recorder says that it is, or its output.
    `health`, of a job that runs: the watcher's last word on it (None: there is none), and why. Of a
    further attempt, `reason`, `change` and `resume_from` are why it was made and what it was given,
    as in `intended`.
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


def rows(
    experiment: Experiment,
    state: State,
    plan: Plan,
    findings: Mapping[str, Finding],
    progress: Mapping[str, str] | None = None,
) -> list[Row]:
    """The rows, in the experiment's order. `progress`: key → how far its job is."""
    decided = {decision.key: decision for decision in plan.decisions}
    found: list[Row] = []
    for item in experiment.items:
        decision = decided[item.key]
        latest = state.run(item.key).latest
        result = findings.get(item.key)
        standing, shown, why = _standing(decision, latest)
        if latest:
            judged = latest.judged
        else:
            judged = None
        if latest and latest.active and latest.state == "RUNNING":
            assessed = latest.assessed
        else:
            assessed = None
        if latest:
            intended = latest.intended
        else:
            intended = None
        found.append(
            Row(
                key=item.key,
                phase=item.phase,
                run=item.run,
                task=item.task,
                epoch=item.epoch,
                standing=standing,
                state=shown,
                attempt=latest.number if latest else 0,
                job_id=latest.job_id if latest else "",
                elapsed_s=judged.elapsed_s if judged else None,
                metrics=result.metrics if result and result.state == "good" else {},
                why=why,
                progress=(progress or {}).get(item.key, ""),
                health=assessed.health if assessed else None,
                health_why=assessed.why if assessed else "",
                reason=intended.reason if intended else "",
                change=intended.change if intended else {},
                resume_from=intended.resume_from if intended else "",
            )
        )
    return found


def _standing(decision: Decision, latest: Attempt | None) -> tuple[Standing, str, str]:
    """Where it stands, its state as shown, and why."""
    if decision.reason == CONTROL:
        return "not needed", CONTROL, decision.detail
    if latest is not None and latest.active:
        if latest.seen is not None:
            facts = latest.seen.facts
        else:
            facts = None
        if facts is not None and latest.state == "PENDING":
            waits = waiting.words(facts, latest.job_id)
        else:
            waits = ""
        return ("unknown" if latest.state == "UNKNOWN" else "running"), latest.state, waits
    if latest is not None and latest.judged is not None:
        return _ended(decision, latest)
    if latest is not None and latest.unresolved and (waits := _not_taken(latest)):
        return "to do", decision.reason, waits
    if latest is not None and latest.closed:
        refused = latest.rejected
    else:
        refused = None
    if refused is not None and decision.action != "skip":
        return "failed", NOT_SUBMITTED, f"{refused.message}; {AGAIN}"
    return _undone(decision.action, decision.reason), decision.reason, decision.detail


def _not_taken(latest: Attempt) -> str:
    """Why the scheduler has not taken an attempt so far; "" where it was not asked yet."""
    doubt = latest.doubted
    if doubt is not None and not doubt.unreached:
        return f"{IN_DOUBT}: {doubt.message}"
    put_off = latest.put_off or doubt
    if put_off is not None:
        return f"{NOT_TAKEN}: {put_off.message}"
    return ""


def _ended(decision: Decision, latest: Attempt) -> tuple[Standing, str, str]:
    standing, shown, why = _judged(latest)
    if decision.action in ("submit", "wait", "retry"):
        return "to do", shown, decision.detail or decision.reason
    if standing == "failed" and decision.reason in ("result exists", "checkpoint exists"):
        return "done", shown, why
    return standing, shown, "; ".join(filter(None, [why, decision.advice]))


def _judged(latest: Attempt) -> tuple[Standing, str, str]:
    judged = latest.judged
    assert judged is not None
    if judged.outcome == "done":
        return "done", judged.state, repeated.describe(judged.learned)
    if judged.outcome == "failed but good":
        return "done", f"{judged.state}, but good", judged.why
    if judged.outcome == "unknown":
        return "unknown", judged.state, judged.why
    return "failed", "INVALID" if judged.outcome == "invalid" else judged.state, judged.why


def _undone(action: str, reason: str) -> Standing:
    if reason in ("result exists", "checkpoint exists", "finished before"):
        return "done"
    if action == "blocked":
        return "blocked"
    if action == "active":
        return "running"
    return "to do"


def exit_code(found: Sequence[Row], *, selected: Sequence[str], problems: bool) -> int:
    """0 if everything selected is done; 4 if the state of something is unknown; 1 if something
    failed or is blocked, or an error in the experiment kept work out of the plan.
    """
    standings = {row.standing for row in found if row.key in selected}
    if standings & {"failed", "blocked"} or problems:
        return EXIT_FAILED
    if "unknown" in standings:
        return EXIT_UNKNOWN
    return EXIT_OK
