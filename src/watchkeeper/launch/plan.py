"""What would be submitted, and why the rest would not: a pure function of the experiment, its
journal's state and what is on disk.

The watcher makes it anew at every poll, so that a first start, a rerun after a crash and a
re-attachment take the same path.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal

import msgspec
from msgspec.structs import replace

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import PHASES, Decision, Evidence, Intended, Judged, Phase, RunItem
from watchkeeper.core.state import Attempt, RunState, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.experiment.needs import in_order
from watchkeeper.experiment.tree import FINETUNE
from watchkeeper.launch import retries
from watchkeeper.launch.retries import Means, Refusal, Retry, Rules
from watchkeeper.schedulers import arrays
from watchkeeper.tools.promise import Finding

Gate = Literal["all", "each"]
# A fine-tune with one of these actions will still change its checkpoints.
UNDER_WAY = ("submit", "retry", "active", "wait")
# Work with one of these actions gets a job, now or later.
TO_SUBMIT = ("submit", "retry", "wait")
WELL = ("done", "failed but good")
# The reasons of decisions that others count by.
REFUSED, UNSELECTED, CONTROL = "submission refused", "not selected", "control run"
FAILED_BEFORE = "failed before"
NEED_FAILED = "what it needs failed"
FOUND = ("result exists", "checkpoint exists", "output exists")
DONE = (*FOUND, "finished before")
HALTED = "halted"
UNSIGNED = "unsigned checkpoint"
AGAIN = "once that is put right, `watchkeeper run` tries again"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for.

    - `runs` and `evals` are globs over names and keys (None: all); `--runs` narrows a run's
      evaluations too.
    - `keys` are the only runs that are meant (None: all).
    - `retry_failed`: what had failed before is tried again.
    - `gate`: evaluations wait for `all` fine-tunes, or `each` for its own checkpoint; with
      `queue_ahead` they wait in the scheduler's queue.
    - `phases`: work outside them is left alone.
    - `rules`: what may be tried again unasked.
    - `allows_unsigned`: checkpoints from elsewhere are used though nobody has signed them.
    """

    runs: str | None = None
    evals: str | None = None
    keys: frozenset[str] | None = None
    retry_failed: bool = False
    gate: Gate = "all"
    queue_ahead: bool = False
    phases: tuple[Phase, ...] = PHASES
    rules: Rules = Rules()
    allows_unsigned: bool = False

    def has(self, phase: Phase, run: str, key: str) -> bool:
        """Whether this piece of work is among what was asked for."""
        if phase not in self.phases:
            return False
        if self.keys is not None and key not in self.keys:
            return False
        if self.runs is not None and not fnmatchcase(run, self.runs):
            return False
        if phase == "preparation" or self.evals is None:
            return True
        return fnmatchcase(key, self.evals)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the journal.

    - `findings`: checkpoint's or evaluation's subject → what is on disk.
    - `failed`: attempts (key, number) that had ended badly before this execution began, which
      `--retry-failed` means.
    - `given_up`: keys whose submission failed in this execution.
    - `held`: attempts (key, number) that are not settled: another living process submits them, or
      the scheduler may yet show their job.
    - `means`: key → what a retry could do differently, and from which checkpoint it could continue.
    - `halted`: phases of which nothing more is submitted → why.
    - `unsigned`: the keys of the work that uses a checkpoint from elsewhere that nobody has signed
      → why it is refused.
    """

    findings: Mapping[str, Finding]
    failed: frozenset[tuple[str, int]] = frozenset()
    given_up: frozenset[str] = frozenset()
    held: frozenset[tuple[str, int]] = frozenset()
    means: Mapping[str, Means] = {}
    halted: Mapping[Phase, str] = {}
    unsigned: Mapping[str, str] = {}


class Plan(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One decision for each piece of work, in the experiment's order."""

    decisions: tuple[Decision, ...]

    def of_phase(self, phase: Phase) -> tuple[Decision, ...]:
        """The decisions on one phase."""
        return self._by_phase.get(phase, ())

    @cached_property
    def _by_phase(self) -> dict[Phase, tuple[Decision, ...]]:
        phases: dict[Phase, list[Decision]] = {}
        for decision in self.decisions:
            phases.setdefault(decision.phase, []).append(decision)
        return {phase: tuple(decisions) for phase, decisions in phases.items()}

    @cached_property
    def coming(self) -> frozenset[str]:
        """The keys of what is under way, or will be."""
        return frozenset(one.key for one in self.decisions if one.action in UNDER_WAY)

    @cached_property
    def ready(self) -> tuple[Decision, ...]:
        """What can be submitted now."""
        return tuple(
            decision for decision in self.decisions if decision.action in ("submit", "retry")
        )

    def is_pending(self, keys: Collection[str] | None = None) -> bool:
        """Whether anything is under way, or will be; of these `keys` only, None: of all."""
        if keys is None:
            return bool(self.coming)
        return any(key in keys for key in self.coming)


def failed_attempts(state: State) -> frozenset[tuple[str, int]]:
    """The attempts that ended badly: what `--retry-failed` means as an execution starts."""
    return frozenset(
        (run.key, number)
        for run in state.runs.values()
        for number, attempt in run.attempts.items()
        if attempt.judged is not None and attempt.judged.outcome not in WELL
    )


def to_try(experiment: Experiment, state: State, *, resumes: bool = False) -> list[RunItem]:
    """The work whose last attempt ended so that it may be tried again automatically, or however it
    ended where a person `resumes` it: the plan needs its means.
    """
    return [
        item for item in experiment.items if may_try(item, state.run(item.key), resumes=resumes)
    ]


def may_try(item: RunItem, run: RunState, *, resumes: bool) -> bool:
    """Whether a piece of work is among those of `to_try`."""
    chain = retries.chain(_in_order(run))
    if not item.script or not chain:
        return False
    return resumes or retries.may_be_tried(chain[-1])


def _in_order(run: RunState) -> list[Attempt]:
    """A run's attempts, the first one first."""
    return [attempt for _, attempt in sorted(run.attempts.items())]


def tasks_to_retry(state: State, decision: Decision) -> str:
    """The tasks of an array that did not end well, where it is tried again; "": all, or it is not
    an array.

    Of `--array=0-3%2`, whose task 1 alone failed, these are `1%2`: the limit of jobs at a time
    stays.
    """
    latest = state.run(decision.key).latest
    if decision.action != "retry" or latest is None:
        return ""
    if latest.seen is None or latest.intended is None or not latest.intended.array:
        return ""
    array = latest.intended.array
    states = arrays.by_task(latest.seen.facts.tasks)
    left = [number for number in arrays.numbers_of(array) if states.get(number) != "COMPLETED"]
    if not left:
        return ""
    _, percent, limit = array.partition("%")
    return arrays.spec_of(left) + percent + limit


def check_selection(experiment: Experiment, selection: Selection) -> None:
    """Refuse a glob that selects nothing: it is a mistake.

    Raises:
        UsageError: it matches no run, or no evaluation; the message lists the names.
    """
    runs = sorted({item.run for item in experiment.items})
    keys = [item.key for item in experiment.items if item.phase == "evaluation"]
    for option, glob, names in (
        ("--runs", selection.runs, runs),
        ("--evals", selection.evals, keys),
    ):
        if glob is None or any(fnmatchcase(name, glob) for name in names):
            continue
        shown = ", ".join(names[:8])
        if len(names) > 8:
            shown += f", … ({len(names)} in all)"
        raise UsageError(
            f"{option} {glob!r} matches none of: {shown}",
            hint="quote the glob, so that no shell expands it",
        )


def make(experiment: Experiment, state: State, facts: Facts, selection: Selection) -> Plan:
    """Decide on every piece of work. Nothing is read or written.

    Runs come first, each after those that it needs, because the decision on an evaluation depends
    on that of its run. The plan has the experiment's order all the same.
    """
    return Planner(experiment, selection).make(state, facts)


class _Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What one decision rests on, beside the experiment and the selection. `run`: None, where the
    journal does not know it; it is compared by identity, since its attempts may be changed in
    place. `rest`: what is known of it beside the journal, and what was decided on other work.
    """

    run: RunState | None
    rest: tuple[object, ...]

    def is_that_of(self, other: _Basis) -> bool:
        """Whether both make the same decision."""
        return self.run is other.run and self.rest == other.rest


class Planner:
    """Makes the plans of one experiment for one selection, one after the other: a decision is made
    again only where what it rests on has changed. Nothing is read or written.
    """

    def __init__(self, experiment: Experiment, selection: Selection) -> None:
        self._experiment = experiment
        self._selection = selection
        self._runs = _by_needs(experiment.items)
        self._evaluations = [item for item in experiment.items if item.phase == "evaluation"]
        self._subjects = {item.key: _subjects_of(experiment, item) for item in experiment.items}
        self._kept: dict[str, tuple[_Basis, Decision]] = {}
        self._under_way: list[str] = []

    def make(self, state: State, facts: Facts) -> Plan:
        """Decide on every piece of work."""
        held = {key for key, _ in facts.held}
        decisions: dict[str, Decision] = {}
        for item in self._runs:
            decision = self._kept_decision(item, basis := self._basis(item, state, facts, held))
            if decision is None:
                chooser = _Chooser(self._experiment, item, state, facts, self._selection)
                decision = chooser.fine_tune(decisions)
                self._kept[item.key] = basis, decision
            decisions[item.key] = _unless_barred(decision, facts)
        under_way = [key for key, decision in decisions.items() if decision.action in UNDER_WAY]
        if under_way != self._under_way:  # else the same list, which is compared at a glance
            self._under_way = under_way
        for item in self._evaluations:
            training = decisions.get(item.run)
            is_coming = training is not None and training.action in UNDER_WAY
            basis = self._basis(item, state, facts, held, is_coming, self._under_way)
            decision = self._kept_decision(item, basis)
            if decision is None:
                chooser = _Chooser(self._experiment, item, state, facts, self._selection)
                decision = chooser.evaluation(training, self._under_way)
                self._kept[item.key] = basis, decision
            decisions[item.key] = _unless_barred(decision, facts)
        return Plan(decisions=tuple(decisions[item.key] for item in self._experiment.items))

    def _basis(
        self, item: RunItem, state: State, facts: Facts, held: Collection[str], *others: object
    ) -> _Basis:
        return _Basis(
            run=state.runs.get(item.key),
            rest=(
                *map(facts.findings.get, self._subjects[item.key]),
                item.key in facts.given_up,
                facts.held if item.key in held else None,
                facts.failed,
                facts.means.get(item.key),
                *others,
            ),
        )

    def _kept_decision(self, item: RunItem, basis: _Basis) -> Decision | None:
        """The decision that was made before, where it rests on the same; None: there is none, or it
        looked at the state of other work too.
        """
        kept = self._kept.get(item.key)
        if kept is None or item.needs or self._selection.queue_ahead:
            return None
        return kept[1] if kept[0].is_that_of(basis) else None


def _subjects_of(experiment: Experiment, item: RunItem) -> tuple[str, ...]:
    """What on the disk bears on a piece of work: what it promises, and the checkpoint it needs."""
    if item.phase == "preparation":
        return tuple(promise.subject for promise in experiment.promises_of(item.run))
    needed = experiment.checkpoint_for(item)
    if needed is None:
        return (item.key,)
    return item.key, needed


def _by_needs(items: Sequence[RunItem]) -> list[RunItem]:
    """The runs, each after those that it needs."""
    runs = {item.key: item for item in items if item.phase == "preparation"}
    if not any(run.needs for run in runs.values()):
        return list(runs.values())
    order = in_order({key: run.needs for key, run in runs.items()})
    return [runs[key] for key in order]


def is_done(decision: Decision) -> bool:
    """Whether a piece of work needs nothing more: it was done before, or is there."""
    return decision.reason in DONE


def _unless_barred(decision: Decision, facts: Facts) -> Decision:
    """The decision; of a phase that is halted, and of what uses an unsigned checkpoint, that
    nothing is submitted.
    """
    if decision.action not in TO_SUBMIT:
        return decision
    if decision.key in facts.unsigned:
        return _barred(decision, UNSIGNED, facts.unsigned[decision.key])
    if decision.phase in facts.halted:
        return _barred(decision, HALTED, facts.halted[decision.phase])
    return decision


def _barred(decision: Decision, reason: str, why: str) -> Decision:
    """The decision that this work is blocked; it keeps that its results are stale."""
    return Decision(
        key=decision.key,
        phase=decision.phase,
        action="blocked",
        reason=reason,
        detail=why,
        stale=decision.stale,
    )


class _NeededCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint that an evaluation needs. `subject` None: it needs none. `finding`: what is on
    disk (None: nobody looked). `is_coming`: a training will still write it.
    """

    subject: str | None
    finding: Finding | None
    is_coming: bool

    @property
    def is_good(self) -> bool:
        """Whether the evaluation can run with what is on disk."""
        if self.subject is None:
            return True
        return self.finding is not None and self.finding.state == "good"

    @property
    def lack(self) -> str:
        """Why it cannot be used, in words."""
        if self.finding is None:
            return f"{self.subject} is not promised by any run"
        return f"{self.subject} {self.finding.why or self.finding.state}"

    @property
    def caution(self) -> str:
        """What is remarkable about a good one; "": nothing."""
        if self.finding is None or not self.is_good:
            return ""
        return self.finding.caution


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

    def fine_tune(self, needs: Mapping[str, Decision]) -> Decision:
        """The decision on a training, or another run. `needs`: what was decided on the runs that it
        needs.
        """
        if self.item.control:
            return self._decide("skip", CONTROL, "it is not trained")
        early = self._before_evidence()
        if early is not None:
            return early
        findings = self._promised_findings()
        lacking = [finding for finding in findings if finding.state != "good"]
        has_outputs = self.item.run in self.experiment.outputs
        promised = "output" if has_outputs else "checkpoint"
        if findings and not lacking and not self._lacks_tasks():
            return self._decide("skip", f"{promised} exists", evidence=_evidence(findings))
        detail = ", ".join(map(_lack_of, lacking))
        reason = f"{promised} missing"
        if not findings:
            # It promises nothing, or nobody has looked yet.
            reason = "not run yet"
            if self.item.script.endswith(FINETUNE):
                reason = "checkpoint missing"
        decision = self._from_attempts(reason, detail, promised=bool(findings))
        return self._behind_needs(decision, needs)

    def _behind_needs(self, decision: Decision, needs: Mapping[str, Decision]) -> Decision:
        """The decision to submit a run, or to wait for the runs that it needs, or never to.

        A need that is done asks for nothing. One that will still run is waited for, here or with
        `queue_ahead` in the scheduler's queue. One that failed blocks this run, and is named.
        """
        if decision.action not in ("submit", "retry"):
            return decision
        coming: list[str] = []
        for key in self.item.needs:
            need = needs[key]
            if need.reason == UNSELECTED:
                need = self._unselected(key, needs)
            if need.action in UNDER_WAY:
                coming.append(key)
            elif not is_done(need):
                why = f"needs {key}: {need.reason}"
                return self._decide("blocked", NEED_FAILED, why)
        if not coming:
            return decision
        if self.selection.queue_ahead and all(map(self._has_job, coming)):
            detail = f"queued behind {', '.join(coming)}"
            return replace(decision, detail=detail, after=tuple(coming))
        return self._wait(decision, f"waits for {', '.join(coming)}", redo=False)

    def _unselected(self, key: str, needs: Mapping[str, Decision]) -> Decision:
        """The decision on a run that nobody selected: it may be done, or under way all the same."""
        item = next(item for item in self.experiment.items if item.key == key)
        selection = Selection(rules=self.selection.rules)
        chooser = _Chooser(self.experiment, item, self.state, self.facts, selection)
        decision = chooser.fine_tune(needs)
        if is_done(decision) or decision.action == "active":
            return decision
        return needs[key]

    def _promised_findings(self) -> list[Finding]:
        """What is on disk of what this run promises."""
        promises = self.experiment.promises_of(self.item.run)
        looks = [self.facts.findings.get(promise.subject) for promise in promises]
        return [finding for finding in looks if finding is not None]

    def evaluation(self, training: Decision | None, under_way: Sequence[str]) -> Decision:
        """The decision on an evaluation. `training` decided on its run (None: there is none),
        `under_way` are the trainings that will still change their checkpoints.
        """
        early = self._before_evidence()
        if early is not None:
            return early
        checkpoint = self._needed(training)
        result = self.facts.findings.get(self.item.key)
        redo = self.run.stale
        if result is not None and self._holds(result) and not redo:
            redo = self._is_outdated(checkpoint)
            if not redo:
                return self._decide("skip", "result exists", evidence=_evidence([result]))
        if not checkpoint.is_good and not checkpoint.is_coming:
            return self._decide("blocked", "checkpoint missing", checkpoint.lack)
        decision = self._from_attempts(
            "result missing", checkpoint.caution, promised=result is not None, redo=redo
        )
        if decision.action not in ("submit", "retry"):
            return decision
        return self._behind_trainings(
            decision, under_way, is_coming=checkpoint.is_coming, redo=redo
        )

    def _needed(self, training: Decision | None) -> _NeededCheckpoint:
        """This evaluation's checkpoint. `training`: what was decided on the run that makes it."""
        subject = self.experiment.checkpoint_for(self.item)
        finding = None
        if subject:
            finding = self.facts.findings.get(subject)
        is_coming = training is not None and training.action in UNDER_WAY
        return _NeededCheckpoint(subject=subject, finding=finding, is_coming=is_coming)

    def _holds(self, result: Finding) -> bool:
        """Whether a result is there, of all the tasks where its evaluation is an array."""
        return result.state == "good" and not self._lacks_tasks()

    def _behind_trainings(
        self, decision: Decision, under_way: Sequence[str], *, is_coming: bool, redo: bool
    ) -> Decision:
        """The decision to submit an evaluation, or to wait for the trainings of the gate.
        `is_coming`: its own training will still write its checkpoint. `redo`: it has a result,
        which is stale.
        """
        waits_for_all = self.selection.gate == "all"
        before: list[str] = []
        if waits_for_all:
            before = list(under_way)
        elif is_coming:
            before = [self.item.run]
        if not before:
            return decision
        if self.selection.queue_ahead and all(self._has_job(key) for key in before):
            detail = f"queued behind {_names_of_jobs(before)}"
            return replace(decision, detail=detail, after=tuple(before))
        why = f"waits for {self.item.run}"
        if waits_for_all:
            why = f"gate all: {len(under_way)} fine-tuning jobs have not ended"
        return self._wait(decision, why, redo)

    def _has_job(self, key: str) -> bool:
        """Whether a job of this run is queued or running: another can be queued behind it."""
        latest = self.state.run(key).latest
        return latest is not None and latest.active

    def _lacks_tasks(self) -> bool:
        """Whether its last attempt is an array of which not every task ended well: the files of
        other tasks prove nothing for that one.
        """
        latest = self.latest
        if latest is None or latest.intended is None or latest.judged is None:
            return False
        return bool(latest.intended.array) and latest.judged.outcome not in WELL

    def _is_outdated(self, checkpoint: _NeededCheckpoint) -> bool:
        """Whether a result that is there must be made again: its checkpoint has changed since, or
        is being made again.
        """
        if checkpoint.finding is None:
            return False
        if not checkpoint.is_good:
            return checkpoint.is_coming
        used = self._inputs().get(checkpoint.finding.subject)
        return bool(used) and used != checkpoint.finding.fingerprint

    def _inputs(self) -> Mapping[str, str]:
        """Checkpoint → its fingerprint, as the last submitted attempt used it."""
        for attempt in reversed(_in_order(self.run)):
            if not attempt.submissions or not attempt.intended:
                continue
            inputs = dict(attempt.intended.inputs)
            if isinstance(attempt.judged, Judged):
                inputs |= attempt.judged.inputs
            return inputs
        return {}

    def _before_evidence(self) -> Decision | None:
        """What is decided whatever is on disk: under way, not selected, given up. None: the disk
        and the attempts so far decide.
        """
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
        if self.item.key not in self.facts.given_up:
            return None
        return self._decide("blocked", REFUSED, self._refusal())

    def _refusal(self) -> str:
        """Why the scheduler refused the last submission, if it said so, and what to do."""
        refused = None
        if self.latest is not None:
            refused = self.latest.rejected
        if refused is None or not refused.message:
            return AGAIN
        return f"{refused.message}; {AGAIN}"

    def _selected(self) -> bool:
        """Whether a person asked for this piece of work."""
        return self.selection.has(self.item.phase, self.item.run, self.item.key)

    def _next_number(self) -> int:
        """The number of the attempt that a submission now would be: a new one, or the last one
        where that was never settled.
        """
        if self.latest is None:
            return 1
        if self.latest.closed:
            return self.latest.number + 1
        return self.latest.number

    def _from_attempts(
        self, reason: str, detail: str = "", *, promised: bool, redo: bool = False
    ) -> Decision:
        """Submit, unless the attempts so far say otherwise. `promised`: there is evidence on disk
        to go by. `redo`: there is a result, and it is stale.

        Without evidence to go by, a script that ended well is finished: its verdict is all there
        is.
        """
        number = self._next_number()
        if not self.item.script:
            return self._decide("blocked", "no script", detail)
        begun = self._begun_retry()
        if begun is not None:
            retry = Retry(
                reason=begun.reason,
                detail=detail,
                change=begun.change,
                resume_from=begun.resume_from,
            )
            return self._again(retry, number, redo, automatic=begun.automatic)
        submit = self._decide("submit", reason, detail, attempt=number, stale=redo)
        judged = self._last_verdict()
        if judged is None:
            return submit
        if judged.outcome not in WELL:
            return self._after_failure(judged, number, redo)
        if promised or redo:
            return submit
        end = f"attempt {judged.attempt}, {judged.state}"
        return self._decide("skip", "finished before", end)

    def _begun_retry(self) -> Intended | None:
        """The retry that somebody meant to submit and that has no end yet; None: there is none."""
        if self.latest is None or self.latest.closed or self.latest.intended is None:
            return None
        if not self.latest.intended.reason:
            return None  # a first submission
        return self.latest.intended

    def _after_failure(self, judged: Judged, number: int, redo: bool) -> Decision:
        """Try again, where a person asked for it or the rules allow it; else leave it failed, and
        say why it is not tried again.
        """
        end = f"attempt {judged.attempt} {judged.state}"
        if judged.why:
            end += f": {judged.why}"
        attempts = _in_order(self.run)
        means = self.facts.means.get(self.item.key, Means())
        if self.selection.retry_failed and (self.item.key, judged.attempt) in self.facts.failed:
            resumes = self.selection.rules.resumes
            retry = retries.asked_for(attempts, means, resumes=resumes)
            if isinstance(retry, Refusal):
                return self._decide("blocked", FAILED_BEFORE, f"{end}; {retry.why}")
            detail = "; ".join(filter(None, [end, retry.detail]))
            retry = replace(retry, reason=FAILED_BEFORE, detail=detail)
            return self._again(retry, number, redo, automatic=False)
        automatic = retries.decide(attempts, means, self.selection.rules)
        if isinstance(automatic, Retry):
            automatic = replace(automatic, detail=f"{end}; {automatic.detail}")
            return self._again(automatic, number, redo, automatic=True)
        advice = ""
        if automatic.why:
            advice = f"not tried again by itself: {automatic.why}"
        detail = "; ".join(filter(None, [end, advice, "--retry-failed tries again"]))
        return replace(self._decide("blocked", FAILED_BEFORE, detail), advice=advice)

    def _last_verdict(self) -> Judged | None:
        """The verdict on the last attempt that ran; None: none has run, or one is still open. An
        attempt that was refused or not needed does not count.
        """
        if self.latest is None or not self.latest.closed:
            return None
        for attempt in reversed(_in_order(self.run)):
            if attempt.judged is not None and attempt.judged.outcome != "not run":
                return attempt.judged
        return None

    def _again(self, retry: Retry, number: int, redo: bool, *, automatic: bool) -> Decision:
        """The decision to try again as attempt `number`; `automatic`: nobody asked for it."""
        decision = self._decide("retry", retry.reason, retry.detail, attempt=number, stale=redo)
        return replace(
            decision, automatic=automatic, change=retry.change, resume_from=retry.resume_from
        )

    def _wait(self, chosen: Decision, why: str, redo: bool) -> Decision:
        """The decision to submit this later; `why` says what it waits for."""
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


def _lack_of(finding: Finding) -> str:
    """What is wrong with one checkpoint, by its last name."""
    return f"{finding.subject.rpartition('/')[2]}: {finding.why or finding.state}"


def _names_of_jobs(keys: Sequence[str]) -> str:
    """What an evaluation is queued behind: `r8`, or `12 fine-tuning jobs`."""
    if len(keys) == 1:
        return keys[0]
    return f"{len(keys)} fine-tuning jobs"


def _evidence(findings: Sequence[Finding]) -> tuple[Evidence, ...]:
    """The first evidence of each finding: enough for a plan to name."""
    first: list[Evidence] = []
    for finding in findings:
        first += finding.evidence[:1]
    return tuple(first)
