"""The phases of a watch as the logs show them: begun, decided, concluded.

Only the leading watcher writes these events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from watchkeeper.core import criteria
from watchkeeper.core.events import (
    PHASES,
    Concluded,
    Decided,
    Decision,
    Phase,
    Planned,
    Verified,
)
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import plan as planning
from watchkeeper.launch.plan import Plan, Selection
from watchkeeper.watch.logs import action_logs
from watchkeeper.watch.logs.logbook import Logbook
from watchkeeper.watch.poll.poller import Poller
from watchkeeper.watch.tally import Rest, rest_of
from watchkeeper.watch.verdict import verified
from watchkeeper.watch.verdict.evidence import EvidenceBook


class Phases:
    """What this execution of the watch has written of each phase. `submits=False`: nothing is
    decided, jobs are only watched.
    """

    def __init__(
        self,
        experiment: Experiment,
        logbook: Logbook,
        book: EvidenceBook,
        poller: Poller,
        selection: Selection,
        *,
        scheduler: str,
        submits: bool,
        monotonic: Callable[[], float],
    ) -> None:
        self._experiment = experiment
        self._logbook = logbook
        self._book = book
        self._poller = poller
        self._selection = selection
        self._scheduler = scheduler
        self._submits = submits
        self._monotonic = monotonic
        self._opened: dict[Phase | None, float] = {}
        self._concluded: dict[Phase, int] = {}
        self._decided: dict[str, Decision] = {}

    def begin(self, notes: tuple[str, ...], *, keeps_halts: bool = False) -> None:
        """Begin an execution in the logs: this process leads from now on. `keeps_halts`: a phase
        that was halted before stays so.
        """
        self._opened.clear()
        self._concluded.clear()
        self._decided.clear()
        problems = tuple(map(str, self._experiment.problems))
        self._write_planned(None, (*notes, *problems), keeps_halts=keeps_halts)

    def write_decisions(self, plan: Plan) -> None:
        """Write the decisions that are news, phase by phase."""
        if not self._submits:
            return
        for phase in PHASES:
            decisions = plan.of_phase(phase)
            if decisions:
                self._write_decisions_of(phase, decisions, plan)

    def conclude_ended(self, plan: Plan) -> None:
        """Conclude each phase in which nothing is under way any more."""
        for phase in PHASES:
            rest = self._rest_of(plan, (phase,))
            jobs = len(self._poller.watched[phase]) + len(rest.refused)
            if not jobs or self._concluded.get(phase) == jobs:
                continue
            if self._is_under_way(phase, plan):
                continue
            self._concluded[phase] = jobs
            self._conclude(phase, self._poller.counts(phase), rest)

    def finish(self, plan: Plan) -> None:
        """Conclude the whole experiment: everything has ended, or there was nothing to do."""
        expected = criteria.standings(self._logbook.journal.events)
        validation = verified.validation(
            self._experiment, self._book, self._logbook.state, plan, expected
        )
        self._logbook.write(Verified, **validation)
        counts: Counter[str] = Counter()
        for phase in PHASES:
            counts.update(self._poller.counts(phase))
        rest = self._rest_of(plan, PHASES)
        if counts or rest.refused:
            self._conclude(None, dict(counts), rest)

    def _write_decisions_of(
        self, phase: Phase, decisions: tuple[Decision, ...], plan: Plan
    ) -> None:
        """Write the decisions on a phase that are news; all of them, with what was planned, when it
        begins in the logs.
        """
        opens = phase not in self._opened and self._may_open(phase, decisions)
        if opens:
            self._open(phase, plan)
            news = decisions
        else:
            news = tuple(filter(self._is_news, decisions))
        if news:
            self._logbook.write(Decided, phase=phase, decisions=news, first=opens)
        self._decided |= {decision.key: decision for decision in news}

    def _is_news(self, decision: Decision) -> bool:
        """Whether a later decision is worth a line."""
        if self._decided.get(decision.key) == decision or decision.action == "active":
            return False
        if decision.phase not in self._opened:
            # That a result is stale must outlive this process, even before its phase opens.
            return decision.stale
        if decision.advice or decision.action not in ("skip", "blocked"):
            return True
        # How a job of this execution ended is in its verdict.
        return not self._was_watched(decision)

    def _was_watched(self, decision: Decision) -> bool:
        """Whether a job of this piece of work was watched in this execution."""
        watched = self._poller.watched[decision.phase]
        attempts = self._logbook.state.run(decision.key).attempts
        return any((decision.key, number) in watched for number in attempts)

    def _may_open(self, phase: Phase, decisions: tuple[Decision, ...]) -> bool:
        """Whether a phase begins in the logs: evaluations do when the gate first lets one through,
        or when none waits for it.
        """
        if phase == "preparation":
            return True
        actions = {decision.action for decision in decisions}
        return "wait" not in actions or bool(actions & {"submit", "retry", "active"})

    def _open(self, phase: Phase, plan: Plan) -> None:
        """Begin a phase in the logs. Before evaluations that is also what was verified of the
        trainings.
        """
        self._write_planned(phase, ())
        if phase != "evaluation":
            return
        for fields in verified.verification(
            self._experiment, self._logbook.state, self._book, self._scheduler, plan
        ):
            self._logbook.write(Verified, **fields)

    def _write_planned(
        self, phase: Phase | None, notes: tuple[str, ...], *, keeps_halts: bool = False
    ) -> None:
        """Write what is planned for a phase (None: for all of it), and begin to measure how long it
        takes.
        """
        self._opened[phase] = self._monotonic()
        experiment = self._experiment
        self._logbook.write(
            Planned,
            phase=phase,
            experiment=experiment.name,
            folder=str(experiment.folder),
            summary=experiment.summary,
            summary_sha256=experiment.summary_sha256,
            items=tuple(item for item in experiment.items if phase in (None, item.phase)),
            notes=notes,
            gate=self._selection.gate,
            queue_ahead=self._selection.queue_ahead,
            allows_unsigned=self._selection.allows_unsigned,
            keeps_halts=keeps_halts,
            logs=self._names_of_logs(),
        )

    def _names_of_logs(self) -> dict[str, str]:
        """The names of the logs of the phases that have work: those that were chosen before, else
        what suits the phase's tool.
        """
        tools = {
            "preparation": self._experiment.tools.preparation,
            "evaluation": self._experiment.tools.evaluation,
        }
        names: dict[str, str] = {str(key): name for key, name in self._logbook.log_names.items()}
        for phase in PHASES:
            has_work = any(item.phase == phase for item in self._experiment.items)
            if phase not in names and has_work:
                names[phase] = action_logs.choose_name(phase, tools[phase], self._experiment.folder)
        return names

    def _is_under_way(self, phase: Phase, plan: Plan) -> bool:
        """Whether a job of the phase may still run, or is still to be submitted."""
        actions = {decision.action for decision in plan.of_phase(phase)}
        if self._submits and not actions.isdisjoint(planning.UNDER_WAY):
            return True
        return any(attempt.phase == phase for attempt in self._logbook.state.active)

    def _rest_of(self, plan: Plan, phases: tuple[Phase, ...]) -> Rest:
        """The work of these phases that had no job in this execution."""
        decisions = [decision for decision in plan.decisions if decision.phase in phases]
        watched: set[str] = set()
        for phase in phases:
            watched.update(key for key, _ in self._poller.watched[phase])
        return rest_of(decisions, watched, self._logbook.state)

    def _conclude(self, phase: Phase | None, counts: dict[str, int], rest: Rest) -> None:
        """Write that a phase (None: all of it) has ended: how its jobs ended, and how many seconds
        it took. One that never began in the logs began with the execution.
        """
        now = self._monotonic()
        began = self._opened.get(phase, self._opened.get(None, now))
        self._logbook.write(
            Concluded,
            phase=phase,
            counts=counts,
            duration_s=now - began,
            **msgspec.structs.asdict(rest),
        )
