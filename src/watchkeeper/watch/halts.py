"""A phase whose first jobs all fail by one cause, or whose budget is spent, is halted: nothing more
of it is submitted.

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
from watchkeeper.watch.spending import Spending

EventId = tuple[str, int]
SPENT = "the budget is spent"


class Halts:
    """The halts of one watch. With `is_bound` it keeps those that it finds when it begins: it only
    watches, or is started again by the cluster. With `keeps_going` it makes and heeds none for
    failures: a budget that is spent halts all the same.
    """

    def __init__(
        self, logbook: Logbook, spending: Spending, *, is_bound: bool, keeps_going: bool
    ) -> None:
        self._logbook = logbook
        self._spending = spending
        self._keeps_going = keeps_going
        state = logbook.state
        self._over: frozenset[EventId] = frozenset()
        if not is_bound:
            self._over = frozenset(map(_id_of, state.halted.values()))
        self._before: set[AttemptId] = set()
        for run in state.runs.values():
            for number, attempt in run.attempts.items():
                if attempt.closed:
                    self._before.add((run.key, number))

    @property
    def words(self) -> Mapping[Phase, str]:
        """Each halted phase → why."""
        words: dict[Phase, str] = {}
        for phase, one in self._logbook.state.halted.items():
            is_ignored = self._keeps_going and one.keys
            if _id_of(one) not in self._over and not is_ignored:
                words[phase] = one.why
        return words

    def decide(self, plan: Plan) -> bool:
        """Halt the phases that cannot work; whether there is one. A phase that is halted, or of
        which nothing is left to submit, is left as it is. A budget that is spent halts a phase even
        with `keeps_going`.
        """
        is_new = False
        spent = self._spending.spent(self._logbook.state)
        for phase in PHASES:
            left = sum(decision.action in TO_SUBMIT for decision in plan.of_phase(phase))
            if not left or phase in self.words:
                continue
            if spent:
                why = f"{SPENT}: {spent}"
                self._logbook.write(Halted, phase=phase, cause="", why=why, keys=(), left=left)
                is_new = True
            elif not self._keeps_going:
                is_new = self._halt_if_it_cannot_work(phase, left) or is_new
        return is_new

    def _halt_if_it_cannot_work(self, phase: Phase, left: int) -> bool:
        """Halt a phase whose first jobs failed by one cause; whether it was halted. `left`: how
        many of its runs are still to be submitted.
        """
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
        attempts: list[Attempt] = []
        for run in self._logbook.state.runs.values():
            for number, attempt in run.attempts.items():
                is_before = (run.key, number) in self._before
                if attempt.phase == phase and not is_before:
                    attempts.append(attempt)
        return attempts


def _id_of(event: Halted) -> EventId:
    """What tells an event from any other: its writer, and its number there."""
    return event.writer, event.seq


def _output_of(attempt: Attempt) -> str:
    """The file into which the job printed its error, or all that it printed; "": the scheduler did
    not name one.
    """
    if attempt.seen is None:
        return ""
    return attempt.seen.facts.error_output or attempt.seen.facts.output
