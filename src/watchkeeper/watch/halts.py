"""A phase whose first jobs all fail by one cause is halted: nothing more of it is submitted.

The decision is an event. It holds for every watcher that was there, or that the cluster starts
again, until a person begins the next execution.
"""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.core.events import PHASES, Halted, Phase
from watchkeeper.core.state import Attempt, AttemptId
from watchkeeper.launch.plan import TO_SUBMIT, Plan
from watchkeeper.watch import trial
from watchkeeper.watch.logs.logbook import Logbook

EventId = tuple[str, int]


class Halts:
    """The halts of one watch. With `is_bound` it keeps those that it finds when it begins: it only
    watches, or is started again by the cluster. With `keeps_going` it makes and heeds none.
    """

    def __init__(self, logbook: Logbook, *, is_bound: bool, keeps_going: bool) -> None:
        self._logbook = logbook
        self._keeps_going = keeps_going
        state = logbook.state
        self._over: frozenset[EventId] = frozenset()
        if not is_bound:
            self._over = frozenset(map(_id_of, state.halted.values()))
        self._before: frozenset[AttemptId] = frozenset(
            (run.key, number)
            for run in state.runs.values()
            for number, attempt in run.attempts.items()
            if attempt.closed
        )

    @property
    def words(self) -> Mapping[Phase, str]:
        """Each halted phase → why."""
        if self._keeps_going:
            return {}
        halted = self._logbook.state.halted.items()
        return {phase: one.why for phase, one in halted if _id_of(one) not in self._over}

    def decide(self, plan: Plan) -> bool:
        """Halt the phases that cannot work; whether there is one."""
        if self._keeps_going:
            return False
        phases = [phase for phase in PHASES if phase not in self.words]
        return any([self._decide_on(phase, plan) for phase in phases])

    def _decide_on(self, phase: Phase, plan: Plan) -> bool:
        left = sum(decision.action in TO_SUBMIT for decision in plan.of_phase(phase))
        first = trial.first_failures(self._attempts_of(phase), left)
        if not first:
            return False
        last = first[-1]
        assert last.judged is not None
        self._logbook.write(
            Halted,
            phase=phase,
            cause=last.judged.cause,
            why=trial.error_of(last.judged.why),
            keys=tuple(attempt.key for attempt in first),
            output=_output_of(last),
            left=left,
        )
        return True

    def _attempts_of(self, phase: Phase) -> list[Attempt]:
        """The phase's attempts that had not ended when this execution began."""
        return [
            attempt
            for run in self._logbook.state.runs.values()
            for number, attempt in run.attempts.items()
            if attempt.phase == phase and (run.key, number) not in self._before
        ]


def _id_of(event: Halted) -> EventId:
    return event.writer, event.seq


def _output_of(attempt: Attempt) -> str:
    """The file into which the job printed its error; "": nobody said."""
    if attempt.seen is None:
        return ""
    return attempt.seen.facts.error_output or attempt.seen.facts.output
