"""The watch: plan, submit, poll, judge, until everything has ended or somebody calls it off.

Each turn begins from the journal and the disk alone, so a first start, a start after a crash and a
re-attachment are the same code. Any number of keepers may watch one experiment: all of them submit
what they can hold; the one that leads polls, judges and keeps the logs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.errors import BusyError, StorageError, UnavailableError, UsageError
from watchkeeper.core.events import (
    PHASES,
    AnyEvent,
    Assessed,
    Concluded,
    Decided,
    Decision,
    Detached,
    Intended,
    Observed,
    Phase,
    Planned,
    Rejected,
    Unknown,
    Verified,
)
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.settings import Settings
from watchkeeper.core.state import Attempt
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import plan as planning
from watchkeeper.launch.hold import HeldByAnotherError
from watchkeeper.launch.plan import Facts, Plan, Selection
from watchkeeper.launch.submit import Submitter
from watchkeeper.schedulers.base import Scheduler
from watchkeeper.schedulers.site import Site
from watchkeeper.watch import tally
from watchkeeper.watch.health.judge import Limits
from watchkeeper.watch.health.rounds import Rounds
from watchkeeper.watch.logs.logbook import Logbook, Tell
from watchkeeper.watch.logs.run_logs import RunBook, Said
from watchkeeper.watch.poll.pace import Pace
from watchkeeper.watch.poll.poller import Poller
from watchkeeper.watch.tally import Rest, rest_of
from watchkeeper.watch.verdict import verified
from watchkeeper.watch.verdict.evidence import EvidenceBook

SENTINEL = ".detach"
_LONGEST_S = 300.0
_LOG_AT_LEAST_EVERY_S = (
    10.0  # while a long row of jobs is submitted: the run logs get their job ids
)


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how much: seconds, and jobs at a time (0: no cap), where an array is one.
    `most_tasks` is what the site lets this user have, where each task of an array counts (0: no
    limit). The scheduler is asked every `poll_s`, as often as every `soonest_s` when a job starts
    or ends, and as seldom as every `longest_s` when nothing moves; `limits` say when a job that
    runs is ill.
    """

    soonest_s: float
    poll_s: float
    longest_s: float
    stagger_s: float
    cap: int
    unknown_deadline_s: float
    most_tasks: int = 0
    limits: Limits = Limits()

    @classmethod
    def of(cls, settings: Settings, scheduler: Scheduler, site: Site) -> Manners:
        """The settings, with the scheduler's own defaults where nothing was set; a cluster is never
        asked more often than every 5 s, nor given more jobs than the site lets this user have.
        Without accounting it is asked twice at least before it forgets a job that has ended.
        """
        local = scheduler.visibility_lag_s == 0
        if settings.poll_s is not None:
            poll = settings.poll_s
        elif local:
            poll = 1.0
        else:
            poll = 60.0
        if settings.stagger_s is not None:
            stagger = settings.stagger_s
        elif local:
            stagger = 0.0
        else:
            stagger = 5.0
        if local:
            soonest = 0.05
        else:
            soonest = 5.0
        poll = max(poll, soonest)
        if local:
            longest = poll
        else:
            longest = max(poll, min(5 * poll, _LONGEST_S))
        if not site.accounting and site.forgets_s:
            longest = max(soonest, min(longest, site.forgets_s / 2))
            poll = min(poll, longest)
        if settings.cap is not None:
            cap = settings.cap
        elif local:
            cap = 0
        else:
            cap = 25
        return cls(
            soonest_s=soonest,
            poll_s=poll,
            longest_s=longest,
            stagger_s=stagger,
            cap=cap,
            unknown_deadline_s=settings.unknown_deadline_s,
            most_tasks=site.max_submit or 0,
            limits=Limits(silent_s=settings.silent_s, stall_s=settings.stall_s),
        )


def _hint_for(submitted: str, asked: str) -> str:
    """How to ask the scheduler that has a job, typing where another one was asked."""
    cluster = submitted.partition("@")[2]
    if submitted == "local":
        return "leave out --cluster"
    if cluster and asked.startswith("slurm"):
        return (
            f'write slurm_cluster = "{cluster}" into its profile, or set SLURM_CLUSTERS={cluster}'
        )
    if asked.startswith("slurm@"):
        return "unset SLURM_CLUSTERS and SBATCH_CLUSTERS, or name its cluster: --cluster NAME"
    return "name its cluster: --cluster NAME"


class Keeper:
    """One process's watch over one experiment. `submits=False` only watches; `stays=False` only
    submits what is ready.

    `tell` is shown every event that anybody writes meanwhile, `turned` the keeper after each turn;
    `why` says why it left. `run_logs` is the setting of that name, `said` what a person said of the
    runs, `cluster` the name of the cluster's profile ("": none).
    """

    def __init__(
        self,
        experiment: Experiment,
        scheduler: Scheduler,
        manners: Manners,
        selection: Selection,
        *,
        purpose: str = "run",
        submits: bool = True,
        stays: bool = True,
        tell: Tell = lambda event: None,
        turned: Callable[[Keeper], None] = lambda keeper: None,
        run_logs: str | None = None,
        said: Said | None = None,
        cluster: str = "",
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.experiment = experiment
        self.plan = Plan(decisions=())
        self._scheduler = scheduler
        self._manners = manners
        self._selection = selection
        self._submits = submits
        self._stays = stays
        self._monotonic = monotonic
        self._turned = turned
        self._items = {item.key: item for item in experiment.items}
        self.logbook = Logbook(experiment.folder, purpose, self._hear, clock, monotonic)
        self._tell = tell
        self.runbook = RunBook(experiment, self.logbook, run_logs, said)
        self.book = EvidenceBook(experiment)
        self._submitter = Submitter(
            experiment.folder,
            scheduler,
            self.logbook.writer,
            clock,
            monotonic,
            gap_s=manners.stagger_s,
            intended=self.runbook.open,
            rules=selection.rules,
            cluster=cluster,
        )
        self._poller = Poller(
            experiment,
            scheduler,
            self.logbook,
            self.book,
            pace=Pace(
                soonest_s=manners.soonest_s, usual_s=manners.poll_s, longest_s=manners.longest_s
            ),
            unknown_deadline_s=manners.unknown_deadline_s,
        )
        self._rounds = Rounds(
            experiment.folder, manners.limits, self._assess, monotonic, shell=scheduler.far
        )
        self._leave = threading.Event()
        self.why = ""
        self._failed: frozenset[tuple[str, int]] = frozenset()
        self._busy = ""
        self._looked: set[tuple[str, int]] = set()
        self._unresolved_since: dict[tuple[str, int, int], float] = {}
        self._given_up: set[str] = set()
        self._held: set[tuple[str, int]] = set()
        self._opened: dict[Phase | None, float] = {}
        self._concluded: dict[Phase, int] = {}
        self._decided: dict[str, Decision] = {}
        self._submitted_at: float | None = None
        self._logged_at = 0.0

    def keep(self) -> bool:
        """Watch until everything selected has ended (True), or until told to leave while something
        is under way (False).

        Raises:
            UsageError: jobs of the experiment are under way elsewhere, where this process cannot
            see them.
            StorageError: the journal cannot be written; what was acknowledged is kept, and the same
            command goes on.
        """
        self._refuse_jobs_elsewhere()
        self._failed = planning.failed_attempts(self.logbook.state)
        self._looked = {(one.key, one.number) for one in self._judged()}
        self.book.look_at_all(self.logbook.state)
        removed = self._remove_sentinel()
        try:
            while True:
                if self.logbook.take_lead():
                    self._begin(removed)
                self._turn()
                if not self._under_way():
                    self._finish()
                    return True
                if self._left():
                    break
                if not self._stays:
                    self.why = "submitted what was ready; nobody watches"
                    break
                self._wait_for_news()
            if self.logbook.leads:
                self.logbook.write(Detached, why=self.why, active=len(self.logbook.state.active))
            return False
        finally:
            self.logbook.close()

    @property
    def refused(self) -> frozenset[str]:
        """The keys of what the scheduler, or a check before it, refused in this execution."""
        return frozenset(self._given_up)

    def ask_to_leave(self, why: str) -> None:
        """End the watch at the next opportunity; the jobs go on. Safe from a signal handler."""
        self.why = self.why or why
        self._leave.set()

    def _refuse_jobs_elsewhere(self) -> None:
        """Jobs that this scheduler cannot know must not become UNKNOWN only because the wrong one
        was asked.
        """
        for attempt in self.logbook.state.active:
            submitted = attempt.submissions[attempt.job_id]
            opened = self.logbook.fold.writers[submitted.writer].opened
            if opened:
                host = opened.host
            else:
                host = ""
            if submitted.scheduler != self._scheduler.name:
                hint = _hint_for(submitted.scheduler, self._scheduler.name)
                where = submitted.scheduler
            elif submitted.scheduler == "local" and host != processes.host():
                where, hint = f"the host {host}", "type the command there"
            else:
                continue
            raise UsageError(
                (
                    f"{attempt.key} is under way on {where} (job {attempt.job_id}), which "
                    "cannot be asked here"
                ),
                hint=hint,
            )

    def _hear(self, event: AnyEvent | Unknown) -> None:
        self.runbook.feed([event])
        self._tell(event)

    # ── one turn
    # ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        self.logbook.sync()
        if self.logbook.leads:
            self._poller.poll()
            self._rounds.make(self.logbook.state)
        self._resolve()
        self._look_again()
        self._plan()
        self._close_unneeded()
        if self.logbook.leads:
            self._conclude_phases()
            self._write_decisions()
        if self._submits:
            self._submit_ready()
        if self.logbook.leads:
            self._bring_up_logs()
        self.logbook.beat()
        self._turned(self)

    def _bring_up_logs(self) -> None:
        self.runbook.bring_up()
        self._logged_at = self._monotonic()

    def _assess(self, **fields: object) -> None:
        self.logbook.write(Assessed, **fields)

    def _under_way(self) -> bool:
        if self._submits:
            return self.plan.pending
        return bool(self.logbook.state.active)

    def _judged(self) -> list[Attempt]:
        latest = [run.latest for run in self.logbook.state.runs.values()]
        return [attempt for attempt in latest if attempt is not None and attempt.judged is not None]

    def _look_again(self) -> None:
        """See what ended attempts left, whoever judged them: the evidence must never be older than
        the state.
        """
        for attempt in self._judged():
            item = self._items.get(attempt.key)
            if item is not None and (attempt.key, attempt.number) not in self._looked:
                self.book.look_at(item, self.logbook.state)
            self._looked.add((attempt.key, attempt.number))

    def _resolve(self) -> None:
        """Find out what became of attempts that a dead submitter left in between."""
        self._held.clear()
        for attempt in self.logbook.state.unresolved:
            name = (attempt.key, attempt.number)
            if not attempt.may_have_job:
                continue
            try:
                if attempt.intended is not None:
                    found = self._submitter.resolve(attempt.intended)
                else:
                    found = None
            except HeldByAnotherError:
                self._held.add(name)
                continue
            except UnavailableError as error:
                self._is_busy(str(error))
                self._held.add(name)
                continue
            if found is None and attempt.intended is not None:
                self._doubt(attempt, attempt.intended)
        for attempt in self.logbook.state.yielding if self.logbook.leads else ():
            if attempt.intended is not None and not attempt.submissions:
                self._submitter.adopt_late(attempt.intended)
        self.logbook.sync()

    def _doubt(self, attempt: Attempt, intended: Intended) -> None:
        """A job may have been taken and not be shown yet. Only a lasting absence lets it be
        submitted again, and only where nobody was reached, or a second job is known to end at once;
        elsewhere the attempt ends as unknown at the deadline.
        """
        submission = (attempt.key, attempt.number, attempt.asked)
        now = self._monotonic()
        waited = now - self._unresolved_since.setdefault(submission, now)
        lag = self._scheduler.visibility_lag_s
        unreached = attempt.doubted is not None and attempt.doubted.unreached
        if waited >= lag and (unreached or self._scheduler.proves_claim(self.experiment.folder)):
            return
        self._held.add((attempt.key, attempt.number))
        if waited >= max(lag, self._manners.unknown_deadline_s):
            self._submitter.leave_unknown(intended, waited)

    def _close_unneeded(self) -> None:
        """An attempt that never reached the scheduler, and is not to be submitted any more, ends as
        not run.
        """
        coming = {
            decision.key
            for decision in self.plan.decisions
            if decision.action in planning.UNDER_WAY
        }
        for attempt in self.logbook.state.unresolved:
            held = (attempt.key, attempt.number) in self._held
            if attempt.intended is not None and attempt.key not in coming and not held:
                self._submitter.close(attempt.intended, attempt.rejected)
        self.logbook.sync()

    def _plan(self) -> None:
        facts = Facts(
            findings=self.book.findings,
            failed=self._failed,
            given_up=frozenset(self._given_up),
            held=frozenset(self._held),
            means=self.book.means(self.logbook.state, self._selection.rules),
        )
        self.plan = planning.make(self.experiment, self.logbook.state, facts, self._selection)

    def _write_decisions(self) -> None:
        for phase in PHASES if self._submits else ():
            decisions = self.plan.of(phase)
            if not decisions:
                continue
            opens = phase not in self._opened and self._may_open(phase, decisions)
            if opens:
                self._open(phase)
            told = tuple(decision for decision in decisions if opens or self._is_news(decision))
            if told:
                self.logbook.write(Decided, phase=phase, decisions=told, first=opens)
            self._decided |= {decision.key: decision for decision in told}

    def _is_news(self, decision: Decision) -> bool:
        """Whether a later decision is worth a line: that a result is stale must outlive us even
        before its phase opens; how a job of ours ended is told by its verdict.
        """
        if self._decided.get(decision.key) == decision or decision.action == "active":
            return False
        if decision.phase not in self._opened:
            return decision.stale
        if decision.advice:
            return True
        return decision.action not in ("skip", "blocked") or not self._watched(decision)

    def _watched(self, decision: Decision) -> bool:
        return any(key == decision.key for key, _ in self._poller.watched[decision.phase])

    def _may_open(self, phase: Phase, decisions: tuple[Decision, ...]) -> bool:
        """Evaluations begin, in the logs, when the gate first lets one through, or when none waits
        for it.
        """
        if phase == "preparation" or phase in self._opened:
            return True
        actions = {decision.action for decision in decisions}
        return "wait" not in actions or bool(actions & {"submit", "retry", "active"})

    def _submit_ready(self) -> None:
        for decision in self.plan.ready:
            cap = self._manners.cap
            if (
                self._left()
                or (cap and len(self.logbook.state.active) >= cap)
                or not self._site_has_room(decision)
            ):
                return
            if self._submitted_at is not None:
                since = self._monotonic() - self._submitted_at
            else:
                since = self._manners.stagger_s
            stagger = self._manners.stagger_s - since
            if stagger > 0:
                self._wait(stagger)
                if self._left():
                    return
            self._submit(decision, self._manners.stagger_s if stagger > 0 else 0.0)

    def _site_has_room(self, decision: Decision) -> bool:
        """Whether this user may have the job's tasks beside those that wait or run. A job that is
        too large alone is handed over all the same: the scheduler has the last word.
        """
        most = self._manners.most_tasks
        if most:
            tasks = sum(map(tally.tasks_left, self.logbook.state.active))
        else:
            tasks = 0
        if not tasks:
            return True
        array = planning.tasks_to_retry(self.logbook.state, decision)
        return tasks + self._submitter.tasks_of(self._items[decision.key], array) <= most

    def _submit(self, decision: Decision, stagger_s: float) -> None:
        item = self._items[decision.key]
        try:
            inputs = self.book.inputs(item, made_later=bool(decision.after))
            before = [one for one in self.logbook.state.active if one.key in decision.after]
            attempts = self.logbook.state.run(item.key).attempts
            same = attempts.get(decision.attempt)
            array = planning.tasks_to_retry(self.logbook.state, decision)
            event = self._submitter.submit(
                item,
                decision.attempt,
                inputs,
                stagger_s,
                after=before,
                array=array,
                again=decision if decision.action == "retry" else None,
                before=attempts.get(decision.attempt - 1),
                found=self.book.complete(item),
                promises=self.book.promises(item),
                refusals=same.refusals if same is not None else None,
            )
        except HeldByAnotherError:
            self._held.add((decision.key, decision.attempt))
            return
        except (BusyError, UnavailableError) as error:
            self._is_busy(str(error))
            return
        self._is_busy("")
        self._submitted_at = self._monotonic()
        if isinstance(event, Rejected):
            self._given_up.add(item.key)
        self.logbook.sync()
        if self.logbook.leads and self._monotonic() - self._logged_at >= _LOG_AT_LEAST_EVERY_S:
            self._bring_up_logs()

    def _is_busy(self, words: str) -> None:
        """The scheduler takes nothing more at present: said once until it says something else."""
        if words and words != self._busy and self.logbook.leads:
            self.logbook.write(Observed, what="scheduler busy", detail=words)
        self._busy = words

    # ── beginning, leaving, ending
    # ─────────────────────────────────────────────────────────────────────────────────

    def _begin(self, sentinel_removed: bool) -> None:
        """This process leads from now on: its execution begins in the logs."""
        self._opened.clear()
        self._concluded.clear()
        self._decided.clear()
        self._open(
            None, (f"{SENTINEL} was removed: the watch goes on",) if sentinel_removed else ()
        )

    def _open(self, phase: Phase | None, notes: tuple[str, ...] = ()) -> None:
        self._opened[phase] = self._monotonic()
        experiment = self.experiment
        self.logbook.write(
            Planned,
            phase=phase,
            experiment=experiment.name,
            folder=str(experiment.folder),
            summary=experiment.summary,
            summary_sha256=experiment.summary_sha256,
            items=tuple(item for item in experiment.items if phase in (None, item.phase)),
            notes=notes + (tuple(map(str, experiment.problems)) if phase is None else ()),
            gate=self._selection.gate,
            queue_ahead=self._selection.queue_ahead,
        )
        if phase == "evaluation":
            for fields in verified.verification(
                experiment, self.logbook.state, self.book, self._scheduler.name, self.plan
            ):
                self.logbook.write(Verified, **fields)

    def _conclude_phases(self) -> None:
        for phase in PHASES:
            rest = self._rest((phase,))
            jobs = len(self._poller.watched[phase]) + len(rest.refused)
            if not jobs or self._concluded.get(phase) == jobs:
                continue
            if self._submits and any(
                decision.action in planning.UNDER_WAY for decision in self.plan.of(phase)
            ):
                continue
            if any(attempt.phase == phase for attempt in self.logbook.state.active):
                continue
            self._concluded[phase] = jobs
            self._conclude(phase, self._poller.counts(phase), rest)

    def _rest(self, phases: tuple[Phase, ...]) -> Rest:
        """The work of these phases that had no job in this execution."""
        decisions = [decision for decision in self.plan.decisions if decision.phase in phases]
        watched = {key for phase in phases for key, _ in self._poller.watched[phase]}
        return rest_of(decisions, watched, self.logbook.state)

    def _conclude(self, phase: Phase | None, counts: dict[str, int], rest: Rest) -> None:
        began = self._opened.get(phase, self._opened.get(None, self._monotonic()))
        fields = msgspec.structs.asdict(rest)
        self.logbook.write(
            Concluded, phase=phase, counts=counts, duration_s=self._monotonic() - began, **fields
        )

    def _finish(self) -> None:
        """Everything has ended, or there was nothing to do: say what is there in the end."""
        if not self.logbook.leads:
            return
        self.logbook.write(
            Verified,
            **verified.validation(self.experiment, self.book, self.logbook.state, self.plan),
        )
        both: dict[str, int] = {}
        for phase in PHASES:
            for state, number in self._poller.counts(phase).items():
                both[state] = both.get(state, 0) + number
        rest = self._rest(PHASES)
        if both or rest.refused:
            self._conclude(None, both, rest)

    def _left(self) -> bool:
        if not self._leave.is_set() and (self.experiment.folder / SENTINEL).exists():
            self.ask_to_leave(f"sentinel {SENTINEL}")
        return self._leave.is_set()

    def _wait_for_news(self) -> None:
        """Wait until the next look is due: sooner when a job's own files say that it has started or
        ended.
        """
        if not self.logbook.leads:
            self._wait(self._manners.poll_s)
            return
        pace = self._poller.pace
        until = self._monotonic() + pace.seconds
        while (left := until - self._monotonic()) > 0 and not self._left():
            self._wait(min(left, pace.soonest_s))
            if left > pace.soonest_s and self._poller.stirs():
                return

    def _wait(self, seconds: float) -> None:
        """Wait, unless a signal comes or the sentinel appears."""
        until = self._monotonic() + seconds
        while (left := until - self._monotonic()) > 0 and not self._left():
            self._leave.wait(min(left, 1.0))

    def _remove_sentinel(self) -> bool:
        try:
            (self.experiment.folder / SENTINEL).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            hint = "remove it yourself"
            raise StorageError(
                f"cannot remove {self.experiment.folder / SENTINEL}: {error.strerror}", hint=hint
            ) from error
        return True
