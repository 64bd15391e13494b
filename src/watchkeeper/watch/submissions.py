"""Submitting what is ready, and settling what became of submissions that were interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from watchkeeper.core.errors import BusyError, UnavailableError
from watchkeeper.core.events import (
    AnyEvent,
    Decision,
    Intended,
    Observed,
    Rejected,
    RunItem,
    UnsignedAllowed,
)
from watchkeeper.core.state import Attempt, AttemptId
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import plan as planning
from watchkeeper.launch.hold import HeldByAnotherError
from watchkeeper.launch.plan import Plan
from watchkeeper.launch.submit import Submitter
from watchkeeper.publish import gate
from watchkeeper.schedulers.base import Scheduler, proves_claim
from watchkeeper.watch import tally
from watchkeeper.watch.leaving import Leaving
from watchkeeper.watch.logs.logbook import Logbook
from watchkeeper.watch.policy import WatchPolicy
from watchkeeper.watch.spending import Spending
from watchkeeper.watch.verdict.evidence import EvidenceBook

# A row of submissions is not broken off sooner than this, however often the scheduler is asked.
_LOOK_AFTER_S = 1.0


class Submissions:
    """The submissions of one watch.

    `held` are attempts that cannot be submitted at this turn: another process holds them, or it is
    not known yet whether the scheduler has their job. `refused` are the keys of what the scheduler,
    or a check before it, refused in this execution. `submitted` is called after each submission.
    `is_interrupted`: more is ready, and a look at what was submitted comes first.
    `allows_unsigned`: checkpoints from elsewhere are used though nobody has signed them.
    """

    def __init__(
        self,
        experiment: Experiment,
        scheduler: Scheduler,
        logbook: Logbook,
        book: EvidenceBook,
        submitter: Submitter,
        *,
        policy: WatchPolicy,
        allows_unsigned: bool,
        leaving: Leaving,
        spending: Spending,
        submitted: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.is_interrupted = False
        self.held: set[AttemptId] = set()
        self.refused: set[str] = set()
        self._experiment = experiment
        self._scheduler = scheduler
        self._logbook = logbook
        self._book = book
        self._submitter = submitter
        self._policy = policy
        self._allows_unsigned = allows_unsigned
        self._leaving = leaving
        self._spending = spending
        self._submitted = submitted
        self._monotonic = monotonic
        self._items = {item.key: item for item in experiment.items}
        self._allowed: set[tuple[str, int, Path]] = set()
        self._busy = ""
        self._unresolved_since: dict[tuple[str, int, int], float] = {}
        self._submitted_at: float | None = None

    # ── what was interrupted

    def resolve(self) -> None:
        """Settle attempts whose submitter died between its intent and the scheduler's answer."""
        self.held.clear()
        for attempt in self._logbook.state.unresolved:
            if attempt.may_have_job:
                self._resolve_attempt(attempt)
        if self._logbook.leads:
            self._adopt_late_jobs()
        self._logbook.sync()

    def _resolve_attempt(self, attempt: Attempt) -> None:
        """Find out what came of a submission that is in doubt. Its job is adopted; the attempt is
        held while another process has it, or the scheduler cannot be asked; where no job is shown,
        `_doubt` decides.
        """
        intended = attempt.intended
        if intended is None:
            return
        try:
            job = self._submitter.resolve(intended)
        except HeldByAnotherError:
            self.held.add(attempt.id)
        except UnavailableError as error:
            self._note_busy(str(error))
            self.held.add(attempt.id)
        else:
            if job is None:
                self._doubt(attempt, intended)

    def _doubt(self, attempt: Attempt, intended: Intended) -> None:
        """Decide on an attempt for which the scheduler shows no job: it may have taken one that it
        does not show yet.

        Only a lasting absence lets the attempt be submitted again, and only where the scheduler was
        not reached, or a second job is known to end at once. Elsewhere the attempt ends as unknown
        at the deadline.
        """
        submission = (attempt.key, attempt.number, attempt.asked)
        now = self._monotonic()
        waited = now - self._unresolved_since.setdefault(submission, now)
        lag = self._scheduler.visibility_lag_s
        unreached = attempt.doubted is not None and attempt.doubted.unreached
        if waited >= lag and (unreached or proves_claim(self._scheduler, self._experiment.folder)):
            return
        self.held.add(attempt.id)
        if waited >= max(lag, self._policy.unknown_deadline_s):
            self._submitter.leave_unknown(intended, waited)

    def _adopt_late_jobs(self) -> None:
        """Adopt jobs that appeared after their attempt had been given up."""
        for attempt in self._logbook.state.yielding:
            if attempt.intended is not None and not attempt.submissions:
                self._submitter.adopt_late(attempt.intended)

    def close_unneeded(self, plan: Plan) -> None:
        """Close attempts that never reached the scheduler and are no longer to be submitted: they
        end as not run.
        """
        for attempt in self._logbook.state.unresolved:
            is_held = attempt.id in self.held
            if attempt.intended is not None and attempt.key not in plan.coming and not is_held:
                self._submitter.close(attempt.intended, attempt.rejected)
        self._logbook.sync()

    # ── what is ready

    def submit_ready(self, plan: Plan) -> None:
        """Submit what the plan says is ready, as far as the limits on jobs under way allow, until
        the next look at the jobs is due.
        """
        began = self._monotonic()
        self.is_interrupted = False
        for decision in plan.ready:
            if self._monotonic() - began > max(self._policy.poll_s, _LOOK_AFTER_S):
                self.is_interrupted = True
                return
            if self._spending.spent(self._logbook.state):
                self.is_interrupted = self._logbook.leads  # who leads says so, and stops the rest
                return
            if self._leaving.is_requested() or not self._has_room(decision):
                return
            stagger = self._wait_for_turn()
            if self._leaving.is_requested():
                return
            self._submit(decision, stagger)

    def _has_room(self, decision: Decision) -> bool:
        """Whether one more job may be submitted: by the cap that a person set (0: none), then by
        the site.
        """
        cap = self._policy.cap
        if cap and len(self._logbook.state.active) >= cap:
            return False
        return self._site_has_room(decision)

    def _site_has_room(self, decision: Decision) -> bool:
        """Whether the site lets this user have the job's tasks besides those that wait or run. A
        job that is too large alone is submitted all the same: the scheduler decides.
        """
        most = self._policy.most_tasks
        if not most:
            return True
        tasks = sum(map(tally.tasks_left, self._logbook.state.active))
        if not tasks:
            return True
        array = planning.tasks_to_retry(self._logbook.state, decision)
        return tasks + self._submitter.tasks_of(self._items[decision.key], array) <= most

    def _wait_for_turn(self) -> float:
        """Wait until the last submission is `stagger_s` old; returns the seconds by which the job
        is to keep its distance too, 0 where none was needed.
        """
        if self._submitted_at is None:
            return 0.0
        left = self._policy.stagger_s - (self._monotonic() - self._submitted_at)
        if left <= 0:
            return 0.0
        self._leaving.wait(left)
        return self._policy.stagger_s

    def _submit(self, decision: Decision, stagger_s: float) -> None:
        """Submit one piece of work. Where another process holds it, or the scheduler takes nothing
        now, it is left for a later turn. What was written is on the disk when this returns.
        """
        try:
            event = self._hand_over(decision, stagger_s)
        except HeldByAnotherError:
            self.held.add((decision.key, decision.attempt))
            return
        except (BusyError, UnavailableError) as error:
            self._note_busy(str(error))
            return
        self._note_busy("")
        self._submitted_at = self._monotonic()
        if isinstance(event, Rejected):
            self.refused.add(decision.key)
        self._logbook.sync()
        self._submitted()

    def _hand_over(self, decision: Decision, stagger_s: float) -> AnyEvent:
        """Hand one piece of work to the submitter, with all that the attempt has to remember; the
        event that says what came of it. `stagger_s`: seconds between the starts of two jobs.
        """
        item = self._items[decision.key]
        state = self._logbook.state
        inputs = self._book.inputs(item, made_later=bool(decision.after))
        attempts = state.run(item.key).attempts
        after: list[Attempt] = []
        if decision.after:
            after = [attempt for attempt in state.active if attempt.key in decision.after]
        earlier_try = attempts.get(decision.attempt)
        return self._submitter.submit(
            item,
            decision.attempt,
            inputs,
            stagger_s,
            after=after,
            array=planning.tasks_to_retry(state, decision),
            again=decision if decision.action == "retry" else None,
            before=attempts.get(decision.attempt - 1),
            found=self._book.complete(item),
            passports=self._book.passports(item),
            promises=self._book.promises(item),
            refusals=earlier_try.refusals if earlier_try is not None else None,
            invocation=self._experiment.invocations.get(item.key),
            refusal=self._refusal(item, decision.attempt),
        )

    def _refusal(self, item: RunItem, attempt: int) -> str:
        """Why a piece of work is not submitted: it uses a checkpoint from elsewhere that nobody has
        signed. "": it uses none, or that is allowed, which is then in the journal.
        """
        roots = gate.from_elsewhere(self._experiment, item)
        made = gate.made_by(self._experiment, self._logbook.state) if roots else ()
        for root in roots:
            if root in made:
                continue
            standing = gate.standing_of(root)
            if standing.is_signed:
                continue
            if not self._allows_unsigned:
                return standing.refusal
            self._allow(item, attempt, standing)
        return ""

    def _allow(self, item: RunItem, attempt: int, standing: gate.Standing) -> None:
        """Write, once, that an attempt may use a checkpoint without a valid sign-off, since a
        person allowed that.
        """
        name = (item.key, attempt, standing.root)
        if name in self._allowed:
            return
        self._allowed.add(name)
        self._logbook.writer.write(
            UnsignedAllowed,
            key=item.key,
            phase=item.phase,
            attempt=attempt,
            path=str(standing.root),
            why=standing.why,
        )

    def _note_busy(self, why: str) -> None:
        """Log that the scheduler takes nothing more at present, once until the reason changes. ""
        means that it takes jobs again.
        """
        if why and why != self._busy and self._logbook.leads:
            self._logbook.write(Observed, what="scheduler busy", detail=why)
        self._busy = why
