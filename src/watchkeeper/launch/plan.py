"""What would be submitted, and why each other thing is not: a pure function of the experiment, its
journal's state and what was found on disk.

The watcher asks it again at every turn, so a first start, a rerun after a crash and a re-attachment
take the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from msgspec.structs import replace

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import PHASES, Decision, Evidence, Judged, Phase, RunItem
from watchkeeper.core.state import Attempt, RunState, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import retries
from watchkeeper.launch.retries import Means, Retry, Rules
from watchkeeper.schedulers import arrays
from watchkeeper.tools.promise import Finding

Gate = Literal["all", "each"]
# A fine-tune with one of these actions will still change its checkpoints.
UNDER_WAY = ("submit", "retry", "active", "wait")
WELL = ("done", "failed but good")
# The reasons of decisions that others count by.
REFUSED, UNSELECTED, CONTROL = "submission refused", "not selected", "control run"
AGAIN = "once that is put right, `watchkeeper run` tries again"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for. `runs` and `evals` are globs over names and keys (None: all);
    `--runs` narrows a run's evaluations too. `gate`: evaluations wait for `all` fine-tunes, or
    `each` for its own checkpoint; with `queue_ahead` they wait in the scheduler's queue. `phases`:
    work outside them is left alone. `rules`: what may be tried again unasked.
    """

    runs: str | None = None
    evals: str | None = None
    retry_failed: bool = False
    gate: Gate = "all"
    queue_ahead: bool = False
    phases: tuple[Phase, ...] = PHASES
    rules: Rules = Rules()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the journal. `findings`: checkpoint's or evaluation's subject → what is
    on disk. `failed`: attempts that had ended badly before this execution began, which
    `--retry-failed` means. `given_up`: keys whose submission failed in this execution. `held`:
    attempts of which somebody else is about to tell what becomes of them: another living process
    submits them, or the scheduler may yet show their job.
    """

    findings: Mapping[str, Finding]
    failed: frozenset[tuple[str, int]] = frozenset()
    given_up: frozenset[str] = frozenset()
    held: frozenset[tuple[str, int]] = frozenset()
    means: Mapping[str, Means] = {}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One decision for each piece of work, in the experiment's order."""

    decisions: tuple[Decision, ...]

    def of(self, phase: Phase) -> tuple[Decision, ...]:
        """The decisions on one phase."""
        return tuple(decision for decision in self.decisions if decision.phase == phase)

    @property
    def ready(self) -> tuple[Decision, ...]:
        """What can be submitted now."""
        return tuple(
            decision for decision in self.decisions if decision.action in ("submit", "retry")
        )

    @property
    def pending(self) -> bool:
        """Whether anything is under way, or will be."""
        return any(decision.action in UNDER_WAY for decision in self.decisions)


def failed_attempts(state: State) -> frozenset[tuple[str, int]]:
    """The attempts that have ended badly: what `--retry-failed` means at the start of an execution."""
    return frozenset(
        (run.key, number)
        for run in state.runs.values()
        for number, attempt in run.attempts.items()
        if attempt.judged is not None and attempt.judged.outcome not in WELL
    )


def to_try(experiment: Experiment, state: State) -> list[RunItem]:
    """The work whose last attempt ended so that it may be tried again by itself: the plan asks for
    its means.
    """
    found = []
    for item in experiment.items:
        own = retries.chain(
            [attempt for _, attempt in sorted(state.run(item.key).attempts.items())]
        )
        if item.script and own and retries.may_be_tried(own[-1]):
            found.append(item)
    return found


def tasks_to_retry(state: State, decision: Decision) -> str:
    """Of an array that is tried again, the tasks that did not end well; "" for anything else, or
    for all.
    """
    latest = state.run(decision.key).latest
    if (
        decision.action != "retry"
        or latest is None
        or latest.seen is None
        or latest.intended is None
    ):
        return ""
    if not latest.intended.array:
        return ""
    states = arrays.by_task(latest.seen.facts.tasks)
    left = [
        number
        for number in arrays.numbers_of(latest.intended.array)
        if states.get(number) != "COMPLETED"
    ]
    limit = latest.intended.array.partition("%")[1:]
    if left:
        return arrays.spec_of(left) + "".join(limit)
    return ""


def check_selection(experiment: Experiment, selection: Selection) -> None:
    """A glob that selects nothing is a mistake worth a word.

    Raises:
        UsageError: it matches no run, or no evaluation; the names that there are follow.
    """
    runs = sorted({item.run for item in experiment.items})
    keys = [item.key for item in experiment.items if item.phase == "evaluation"]
    for option, glob, names in (
        ("--runs", selection.runs, runs),
        ("--evals", selection.evals, keys),
    ):
        if glob is not None and not any(fnmatchcase(name, glob) for name in names):
            shown = ", ".join(names[:8]) + (f", … ({len(names)} in all)" if len(names) > 8 else "")
            raise UsageError(
                f"{option} {glob!r} matches none of: {shown}",
                hint="quote the glob, so that no shell expands it",
            )


def make(experiment: Experiment, state: State, facts: Facts, selection: Selection) -> Plan:
    """Decide on every piece of work. Nothing is read or written."""
    decisions: dict[str, Decision] = {}
    for item in experiment.items:
        if item.phase == "preparation":
            decisions[item.key] = _Chooser(experiment, item, state, facts, selection).fine_tune()
    under_way = [key for key, decision in decisions.items() if decision.action in UNDER_WAY]
    for item in experiment.items:
        if item.phase == "evaluation":
            chooser = _Chooser(experiment, item, state, facts, selection)
            decisions[item.key] = chooser.evaluation(decisions.get(item.run), under_way)
    return Plan(decisions=tuple(decisions[item.key] for item in experiment.items))


class _Chooser:
    """The decision on one piece of work."""

    def __init__(
        self,
        experiment: Experiment,
        item: RunItem,
        state: State,
        facts: Facts,
        selection: Selection,
    ) -> None:
        self.experiment = experiment
        self.item = item
        self.state = state
        self.run: RunState = state.run(item.key)
        self.latest: Attempt | None = self.run.latest
        self.facts = facts
        self.selection = selection

    def fine_tune(self) -> Decision:
        if self.item.control:
            return self._decide("skip", CONTROL, "it is not trained")
        early = self._before_evidence()
        if early is not None:
            return early
        promises = self.experiment.checkpoints_of(self.item.run)
        findings = [
            self.facts.findings[promise.subject]
            for promise in promises
            if promise.subject in self.facts.findings
        ]
        if (
            findings
            and all(finding.state == "good" for finding in findings)
            and not self._lacks_tasks()
        ):
            return self._decide("skip", "checkpoint exists", evidence=_evidence(findings))
        lacking = [
            f"{finding.subject.rpartition('/')[2]}: {finding.why or finding.state}"
            for finding in findings
            if finding.state != "good"
        ]
        return self._from_attempts(
            "checkpoint missing", ", ".join(lacking), promised=bool(findings)
        )

    def evaluation(self, training: Decision | None, under_way: Sequence[str]) -> Decision:
        early = self._before_evidence()
        if early is not None:
            return early
        needs = self.experiment.checkpoint_for(self.item)
        if needs:
            checkpoint = self.facts.findings.get(needs)
        else:
            checkpoint = None
        good = needs is None or (checkpoint is not None and checkpoint.state == "good")
        comes = training is not None and training.action in UNDER_WAY
        result = self.facts.findings.get(self.item.key)
        redo = self.run.stale
        if result is not None and result.state == "good" and not redo and not self._lacks_tasks():
            why = self._outdated(checkpoint, comes=comes, good=good)
            if not why:
                return self._decide("skip", "result exists", evidence=_evidence([result]))
            redo = True
        if not good and not comes:
            if checkpoint:
                detail = f"{needs} {checkpoint.why or checkpoint.state}"
            else:
                detail = f"{needs} is not promised by any run"
            return self._decide("blocked", "checkpoint missing", detail)
        if checkpoint is not None and good:
            caution = checkpoint.caution
        else:
            caution = ""
        chosen = self._from_attempts(
            "result missing", caution, promised=result is not None, redo=redo
        )
        if chosen.action not in ("submit", "retry"):
            return chosen
        if self.selection.gate == "all":
            before = list(under_way)
        elif comes:
            before = [self.item.run]
        else:
            before = []
        if not before:
            return chosen
        if self.selection.queue_ahead and all(self._has_job(key) for key in before):
            return replace(chosen, detail=f"queued behind {_named(before)}", after=tuple(before))
        if self.selection.gate == "all":
            return self._wait(
                chosen, f"gate all: {len(under_way)} fine-tuning jobs have not ended", redo
            )
        return self._wait(chosen, f"waits for {self.item.run}", redo)

    def _has_job(self, key: str) -> bool:
        latest = self.state.run(key).latest
        return latest is not None and latest.active

    def _lacks_tasks(self) -> bool:
        """Whether its last attempt is an array of which not every task ended well: files of other
        tasks do not stand for that one's.
        """
        latest = self.latest
        if (
            latest is None
            or latest.intended is None
            or not latest.intended.array
            or latest.judged is None
        ):
            return False
        return latest.judged.outcome not in WELL

    def _outdated(self, checkpoint: Finding | None, *, comes: bool, good: bool) -> str:
        """Why a result that is there must be made again; "" if it stands."""
        if checkpoint is None:
            return ""
        if not good:
            if comes:
                return "its checkpoint is being made again"
            return ""
        made_by = next(
            (
                a
                for _, a in sorted(self.run.attempts.items(), reverse=True)
                if a.submissions and a.intended
            ),
            None,
        )
        if made_by and made_by.intended:
            inputs = dict(made_by.intended.inputs)
        else:
            inputs = {}
        if made_by and isinstance(made_by.judged, Judged):
            inputs |= made_by.judged.inputs
        used = inputs.get(checkpoint.subject)
        if used and used != checkpoint.fingerprint:
            return "its checkpoint has changed since"
        return ""

    def _before_evidence(self) -> Decision | None:
        """What holds whatever is on disk: under way, not asked for, given up."""
        if self.latest is not None and self.latest.active:
            job = f"job {self.latest.job_id}, {self.latest.state}"
            return self._decide("active", "already running", job, attempt=self.latest.number)
        number = self._next_number()
        if (self.item.key, number) in self.facts.held:
            return self._decide(
                "active", "already running", "its submission is not settled", attempt=number
            )
        if not self._selected():
            return self._decide("skip", UNSELECTED)
        if self.item.key in self.facts.given_up:
            if self.latest is not None:
                refused = self.latest.rejected
            else:
                refused = None
            return self._decide(
                "blocked", REFUSED, f"{refused.message if refused else ''}; {AGAIN}".lstrip("; ")
            )
        return None

    def _selected(self) -> bool:
        runs, evals = self.selection.runs, self.selection.evals
        if self.item.phase not in self.selection.phases:
            return False
        if runs is not None and not fnmatchcase(self.item.run, runs):
            return False
        return (
            self.item.phase == "preparation" or evals is None or fnmatchcase(self.item.key, evals)
        )

    def _next_number(self) -> int:
        if self.latest is None:
            return 1
        if self.latest.closed:
            return self.latest.number + 1
        return self.latest.number

    def _from_attempts(
        self, reason: str, detail: str = "", *, promised: bool, redo: bool = False
    ) -> Decision:
        """Submit, unless the attempts so far say otherwise. `promised`: there is evidence on disk
        to go by.
        """
        number = self._next_number()
        if not self.item.script:
            return self._decide("blocked", "no script", detail)
        if self.latest is not None and not self.latest.closed:
            begun = self.latest.intended
        else:
            begun = None
        if begun is not None and begun.reason:
            again = Retry(
                reason=begun.reason,
                detail=detail,
                change=begun.change,
                resume_from=begun.resume_from,
            )
            return self._again(again, number, redo, automatic=begun.automatic)
        if self.latest is not None and self.latest.closed:
            told = self._last_told()
        else:
            told = None
        if told is not None:
            judged = told.judged
        else:
            judged = None
        if told is None or judged is None:
            return self._decide("submit", reason, detail, attempt=number, stale=redo)
        if judged.outcome in WELL:
            if not promised and not redo:
                return self._decide(
                    "skip", "finished before", f"attempt {judged.attempt}, {judged.state}"
                )
            return self._decide("submit", reason, detail, attempt=number, stale=redo)
        end = f"attempt {judged.attempt} {judged.state}" + (f": {judged.why}" if judged.why else "")
        attempts = [attempt for _, attempt in sorted(self.run.attempts.items())]
        means = self.facts.means.get(self.item.key, Means())
        if self.selection.retry_failed and (self.item.key, told.number) in self.facts.failed:
            asked = retries.asked_for(attempts, means)
            asked = replace(
                asked, reason="failed before", detail="; ".join(filter(None, [end, asked.detail]))
            )
            return self._again(asked, number, redo, automatic=False)
        found = retries.decide(attempts, means, self.selection.rules)
        if isinstance(found, Retry):
            return self._again(
                replace(found, detail=f"{end}; {found.detail}"), number, redo, automatic=True
            )
        if found.why:
            advice = f"not tried again by itself: {found.why}"
        else:
            advice = ""
        words = "; ".join(filter(None, [end, advice, "--retry-failed tries again"]))
        return replace(self._decide("blocked", "failed before", words), advice=advice)

    def _last_told(self) -> Attempt | None:
        """The last attempt that ran and has a verdict: one that was refused, or not needed, says
        nothing of the work.
        """
        attempts = [attempt for _, attempt in sorted(self.run.attempts.items(), reverse=True)]
        return next(
            (one for one in attempts if one.judged is not None and one.judged.outcome != "not run"),
            None,
        )

    def _again(self, retry: Retry, number: int, redo: bool, *, automatic: bool) -> Decision:
        decision = self._decide("retry", retry.reason, retry.detail, attempt=number, stale=redo)
        return replace(
            decision, automatic=automatic, change=retry.change, resume_from=retry.resume_from
        )

    def _wait(self, chosen: Decision, why: str, redo: bool) -> Decision:
        return self._decide("wait", chosen.reason, why, attempt=chosen.attempt, stale=redo)

    def _decide(
        self,
        action: Literal["submit", "retry", "wait", "active", "skip", "blocked"],
        reason: str,
        detail: str = "",
        *,
        attempt: int = 0,
        stale: bool = False,
        evidence: tuple[Evidence, ...] = (),
    ) -> Decision:
        return Decision(
            key=self.item.key,
            phase=self.item.phase,
            action=action,
            reason=reason,
            detail=detail,
            attempt=attempt,
            stale=stale,
            evidence=evidence,
        )


def _named(keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return keys[0]
    return f"{len(keys)} fine-tuning jobs"


def _evidence(findings: Sequence[Finding]) -> tuple[Evidence, ...]:
    return tuple(evidence for finding in findings for evidence in finding.evidence[:1])
