"""The watch: plan, submit, poll, judge, until everything has ended or somebody ends the watch.

Each turn starts from the journal and the disk alone, so a first start, a start after a crash and a
re-attachment are the same code. Any number of keepers may watch one experiment: all of them submit
what they can hold; the leader polls, judges and keeps the logs.

The parts: `policy` (how often, how much), `submissions`, `phases` (what the logs show of them) and
`leaving`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from watchkeeper.core import criteria, processes
from watchkeeper.core.criteria import Criterion
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import AnyEvent, Assessed, Detached, Expected, Unknown
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.state import AttemptId, Replay, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import plan as planning
from watchkeeper.launch.plan import Facts, Plan, Planner, Selection
from watchkeeper.launch.submit import Submitter
from watchkeeper.schedulers.base import SubmitHost, remote_shell
from watchkeeper.watch.budget import Budget
from watchkeeper.watch.halts import Halts
from watchkeeper.watch.health.rounds import Rounds
from watchkeeper.watch.leaving import SENTINEL, Leaving
from watchkeeper.watch.logs.logbook import Logbook, Tell
from watchkeeper.watch.logs.run_logs import RunBook
from watchkeeper.watch.logs.said import Said
from watchkeeper.watch.phases import Phases
from watchkeeper.watch.policy import WatchPolicy
from watchkeeper.watch.poll.pace import Pace, longer
from watchkeeper.watch.poll.poller import Ask, Poller
from watchkeeper.watch.poll.releases import Releases
from watchkeeper.watch.spending import Spending
from watchkeeper.watch.submissions import Submissions
from watchkeeper.watch.trust.vouching import Vouching
from watchkeeper.watch.verdict.evidence import EvidenceBook

# While a long row of jobs is submitted, the run logs get their job ids this often.
_LOG_AT_LEAST_EVERY_S = 10.0
# A run log is brought up with all its news at once: the logs take no more than this share of a
# watch's time, and are late by no more than this many seconds for it.
_SHARE_OF_LOGS = 0.05
_LATEST_LOG_S = 60.0

Standing = Literal["waits", "goes on", "ended", "left"]
"""How a watch stands after a turn: it waits for news, has more to submit at once, has come to its
end, or has left while something is under way.
"""
OVER: tuple[Standing, ...] = ("ended", "left")


def _hint_for(submitted: str, asked: str) -> str:
    """Say how to ask the scheduler that has a job (`submitted`); `asked` was asked instead."""
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
    """One process's watch over one experiment. `submits=False`: only watch; `stays=False`: only
    submit what is ready.

    `restarted`: the cluster started this process again, and no person did. `tell` is called with
    every event that any process writes meanwhile, `turned` with the keeper after each turn; `why`
    is the reason for leaving. `run_logs` is the setting of that name, `said` what a person said of
    the runs, `cluster` the name of the cluster's profile ("": none), `budget` what may be used
    (None: any amount). `expect`: where criteria are stated → which. `ask` answers for the
    scheduler where several watches share its looks (None: it is asked itself). `replay`: the
    experiment's journal as it was read before (None: it was not).
    """

    def __init__(
        self,
        experiment: Experiment,
        scheduler: SubmitHost,
        policy: WatchPolicy,
        selection: Selection,
        *,
        purpose: str = "run",
        submits: bool = True,
        stays: bool = True,
        restarted: bool = False,
        tell: Tell = lambda event: None,
        turned: Callable[[Keeper], None] = lambda keeper: None,
        run_logs: str | None = None,
        said: Said | None = None,
        cluster: str = "",
        budget: Budget | None = None,
        expect: Mapping[str, Sequence[Criterion]] | None = None,
        ask: Ask | None = None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        replay: Replay | None = None,
    ) -> None:
        self.experiment = experiment
        self.plan = Plan(decisions=())
        self._scheduler = scheduler
        self._policy = policy
        self._selection = selection
        self._submits = submits
        self._stays = stays
        self._monotonic = monotonic
        self._turned = turned
        self._expect = expect or {}
        self._items = {item.key: item for item in experiment.items}
        self._failed: frozenset[AttemptId] = frozenset()
        self._looked: set[AttemptId] = set()
        self._planner = Planner(experiment, selection)
        self._planned_from: State | None = None
        self._basis: tuple[object, ...] = ()
        self._notes: tuple[str, ...] = ()
        self._logged_at = 0.0
        self._logs_rest_s = 0.0
        self.logbook = Logbook(
            experiment.folder, purpose, self._hear, clock, monotonic, replay=replay
        )
        self._tell = tell
        self.runbook = RunBook(experiment, self.logbook, run_logs, said)
        self.book = EvidenceBook(experiment)
        self.spending = Spending(experiment.folder, budget, policy.site_options, clock)
        self._halts = Halts(
            self.logbook,
            self.spending,
            is_bound=restarted or not submits,
            keeps_going=policy.keeps_going,
        )
        self._leaving = Leaving(experiment.folder, monotonic)
        submitter = Submitter(
            experiment.folder,
            scheduler,
            self.logbook.writer,
            clock,
            monotonic,
            gap_s=policy.stagger_s,
            intended=self.runbook.open,
            rules=selection.rules,
            cluster=cluster,
        )
        self._submissions = Submissions(
            experiment,
            scheduler,
            self.logbook,
            self.book,
            submitter,
            policy=policy,
            allows_unsigned=selection.allows_unsigned,
            leaving=self._leaving,
            spending=self.spending,
            submitted=self._bring_up_logs_if_due,
            monotonic=monotonic,
        )
        self._poller = Poller(
            experiment,
            scheduler,
            self.logbook,
            self.book,
            pace=Pace(
                soonest_s=policy.soonest_s, usual_s=policy.poll_s, longest_s=policy.longest_s
            ),
            unknown_deadline_s=policy.unknown_deadline_s,
            ask=ask,
        )
        self._releases = Releases(scheduler, self.logbook)
        self._rounds = Rounds(
            experiment.folder,
            policy.limits,
            self._assess,
            monotonic,
            lambda: clock().timestamp(),
            shell=remote_shell(scheduler),
        )
        self._vouching = Vouching(
            experiment,
            self.logbook,
            log_of=self.runbook.log_of,
            clock=clock,
            monotonic=monotonic,
        )
        self._phases = Phases(
            experiment,
            self.logbook,
            self.book,
            self._poller,
            selection,
            scheduler=scheduler.name,
            submits=submits,
            monotonic=monotonic,
        )

    def keep(self) -> bool:
        """Watch until everything selected has ended (True), or until asked to leave while something
        is under way (False).

        Raises:
            UsageError: jobs of the experiment are under way elsewhere, where this process cannot
                see them.
            StorageError: the journal cannot be written; what was acknowledged is kept, and the same
                command continues.
        """
        self.begin()
        try:
            while True:
                self.prepare()
                standing = self.turn()
                if standing in OVER:
                    return standing == "ended"
                if standing == "waits":
                    self._wait_for_news()
        finally:
            self.logbook.close()

    def begin(self) -> None:
        """Look at what is there, before the first turn. Raises as `keep`."""
        self._refuse_jobs_elsewhere()
        state = self.logbook.state
        self._failed = planning.failed_attempts(state)
        self._looked = {attempt.id for attempt in state.judged}
        self.book.look_at_all(state)
        if self._leaving.remove_sentinel():
            self._notes = (f"{SENTINEL} was removed: the watch goes on",)

    def prepare(self) -> None:
        """Begin a turn: take the lead where it is free, and read what anybody wrote."""
        if self.logbook.take_lead():
            self._phases.begin(self._notes, keeps_halts=bool(self._halts.words))
        self._state_criteria()
        self.logbook.sync()

    @property
    def job_ids(self) -> list[str]:
        """The jobs that the scheduler is asked about in this turn; none where another watcher
        leads.
        """
        if self.logbook.leads:
            return self._poller.job_ids
        return []

    def turn(self) -> Standing:
        """Poll, judge, plan, submit, and write it down. Raises as `keep`."""
        self._turn()
        if not self._is_under_way():
            if self.logbook.leads:
                self._vouch_for_the_rest()
                self._phases.finish(self.plan)
            return "ended"
        if self._leaving.is_requested():
            return self._leave()
        if self._submissions.is_interrupted:
            return "goes on"
        if not self._stays:
            self._leaving.why = "submitted what was ready; nobody watches"
            return self._leave()
        return "waits"

    def _leave(self) -> Standing:
        if self.logbook.leads:
            self._bring_up_logs()
            self.logbook.write(Detached, why=self.why, active=len(self.logbook.state.active))
        return "left"

    def _state_criteria(self) -> None:
        """Write down what is expected: before this process submits anything, and where it leads,
        after it began to, so that the logs show it.
        """
        expectations, self._expect = self._expect, {}
        for source, expected in expectations.items():
            for one in criteria.unstated(expected, self.logbook.journal.events):
                self.logbook.write(
                    Expected,
                    metric=one.metric,
                    relation=one.relation,
                    value=one.value,
                    source=source,
                )

    @property
    def refused(self) -> frozenset[str]:
        """The keys of what the scheduler, or a check before it, refused in this execution."""
        return frozenset(self._submissions.refused)

    @property
    def is_halted(self) -> bool:
        """Whether nothing more of a phase is submitted."""
        return bool(self._halts.words)

    @property
    def why(self) -> str:
        """Why the watch left; "": it did not."""
        return self._leaving.why

    @property
    def is_asked_to_leave(self) -> bool:
        """Whether the watch leaves after its next turn."""
        return self._leaving.is_requested()

    @property
    def soonest_s(self) -> float:
        """Seconds that lie between two looks at least."""
        return self._policy.soonest_s

    @property
    def rest_s(self) -> float:
        """Seconds until the next turn is due, unless there is news before."""
        if self.logbook.leads:
            return self._poller.pace.seconds
        return self._policy.poll_s

    def stirs(self) -> bool:
        """Whether a job's own files say that it has started or ended since the last look."""
        return self.logbook.leads and self._poller.stirs()

    def ask_to_leave(self, why: str) -> None:
        """End the watch at the next opportunity; the jobs continue. Safe from a signal handler."""
        self._leaving.request(why)

    def _refuse_jobs_elsewhere(self) -> None:
        """Refuse to watch jobs that this scheduler cannot know: they would become UNKNOWN only
        because the wrong scheduler was asked.
        """
        for attempt in self.logbook.state.active:
            submitted = attempt.submissions[attempt.job_id]
            opened = self.logbook.fold.writers[submitted.writer].opened
            host = opened.host if opened else ""
            if submitted.scheduler != self._scheduler.name:
                hint = _hint_for(submitted.scheduler, self._scheduler.name)
                where = submitted.scheduler
            elif submitted.scheduler == "local" and host != processes.host():
                where, hint = f"the host {host}", "type the command there"
            else:
                continue
            raise UsageError(
                f"{attempt.key} is under way on {where} (job {attempt.job_id}), which cannot be "
                "asked here",
                hint=hint,
            )

    def _hear(self, event: AnyEvent | Unknown) -> None:
        self.runbook.feed([event])
        self._tell(event)

    # ── one turn

    def _turn(self) -> None:
        if self.logbook.leads:
            self._poller.poll()
            self._rounds.make(self.logbook.state)
        self._submissions.resolve()
        self._look_again()
        self._make_plan()
        if self.logbook.leads and self._submits and self._halts.decide(self.plan):
            self._make_plan()
        self._submissions.close_unneeded(self.plan)
        if self.logbook.leads:
            self._phases.conclude_ended(self.plan)
            self._phases.write_decisions(self.plan)
            self._vouching.write(self.logbook.state.judged)
        if self._submits:
            self._submissions.submit_ready(self.plan)
        if self.logbook.leads and self._monotonic() - self._logged_at >= self._logs_rest_s:
            self._bring_up_logs()
        self.logbook.beat()
        if self.logbook.leads:
            self._releases.make()
        self._turned(self)

    def _vouch_for_the_rest(self) -> None:
        self._vouching.write(self.logbook.state.judged, all_of_them=True)
        self._bring_up_logs()

    def _bring_up_logs(self) -> None:
        began = self._monotonic()
        self.runbook.bring_up()
        self._logged_at = self._monotonic()
        self._logs_rest_s = min((self._logged_at - began) / _SHARE_OF_LOGS, _LATEST_LOG_S)

    def _bring_up_logs_if_due(self) -> None:
        if not self.logbook.leads:
            return
        if self._monotonic() - self._logged_at >= max(_LOG_AT_LEAST_EVERY_S, self._logs_rest_s):
            self._bring_up_logs()

    def _assess(self, **fields: object) -> None:
        self.logbook.write(Assessed, **fields)

    def _is_under_way(self) -> bool:
        if self._submits:
            return self.plan.is_pending(self._selection.keys)
        keys = self._selection.keys
        active = self.logbook.state.active
        return any(keys is None or attempt.key in keys for attempt in active)

    def _look_again(self) -> None:
        """Look at what ended attempts left, whoever judged them: the evidence must never be older
        than the state.
        """
        for attempt in self.logbook.state.judged:
            if attempt.id in self._looked:
                continue
            item = self._items.get(attempt.key)
            if item is not None:
                self.book.look_at(item, self.logbook.state)
            self._looked.add(attempt.id)

    def _make_plan(self) -> None:
        """Decide anew, unless nothing was read or seen since."""
        state = self.logbook.state
        facts = self._facts()
        basis = (self.book.looks, facts.given_up, facts.held, facts.means, facts.halted)
        if self._planned_from is state and self._basis == basis:
            return
        self.plan = self._planner.make(state, facts)
        self._planned_from, self._basis = state, basis

    def _facts(self) -> Facts:
        return Facts(
            findings=self.book.findings,
            failed=self._failed,
            given_up=frozenset(self._submissions.refused),
            held=frozenset(self._submissions.held),
            means=self.book.means(self.logbook.state, self._selection.rules),
            halted=self._halts.words,
        )

    def _wait_for_news(self) -> None:
        """Wait until the next look is due: sooner when a job's own files say that it has started or
        ended.
        """
        until = self._monotonic() + self.rest_s
        pause = self._policy.soonest_s
        while (left := until - self._monotonic()) > 0 and not self.is_asked_to_leave:
            self._leaving.wait(min(left, pause))
            self.logbook.show_life()
            if left > pause and self.stirs():
                return
            pause = longer(pause, self._policy.soonest_s)
