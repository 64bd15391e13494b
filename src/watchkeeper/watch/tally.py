"""What became of the work that was asked for and was no job of this execution: refused, blocked,
there already, or not selected. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from watchkeeper.core.events import Decision, RunItem
from watchkeeper.core.state import Attempt, State
from watchkeeper.launch.plan import CONTROL, REFUSED, UNSELECTED
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.base import TERMINAL

NOT_SUBMITTED, BLOCKED, DONE_BEFORE = "not submitted", "blocked", "done before"


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `concluded` beside the counts: key → reason, and two numbers."""

    refused: dict[str, str] = {}
    blocked: dict[str, str] = {}
    done_before: int = 0
    unselected: int = 0


def rest_of(decisions: Iterable[Decision], watched: Collection[str], state: State) -> Rest:
    """Of these decisions, those that no job in `watched` (keys) answers. A refusal counts in any
    case.

    `done_before` counts what is there already, `unselected` what `--runs` or `--evals` left out; a
    control, which needs no job, is in neither.
    """
    refused: dict[str, str] = {}
    blocked: dict[str, str] = {}
    done_before = unselected = 0
    for decision in decisions:
        if decision.reason == REFUSED:
            refused[decision.key] = refusal(decision.key, state)
        elif decision.key in watched or decision.reason == CONTROL:
            continue
        elif decision.reason == UNSELECTED:
            unselected += 1
        elif decision.action == "skip":
            done_before += 1
        elif decision.action == "blocked":
            blocked[decision.key] = decision.reason
    return Rest(refused=refused, blocked=blocked, done_before=done_before, unselected=unselected)


def tasks_left(attempt: Attempt) -> int:
    """How many jobs an attempt under way counts as for its scheduler: of an array, its tasks that
    have not ended. Of an array of 8 with 3 that are COMPLETED: 5. At least 1, since the attempt is
    under way.
    """
    if not attempt.array:
        return 1
    ended = 0
    if attempt.facts is not None:
        for state, spec in attempt.facts.tasks.items():
            if state in TERMINAL:
                ended += arrays.count_of(spec)
    return max(arrays.count_of(attempt.array) - ended, 1)


def refusal(key: str, state: State) -> str:
    """Why its last submission was refused; "" where it was not."""
    latest = state.run(key).latest
    if latest is not None and latest.rejected is not None:
        return latest.rejected.message
    return ""


def label(item: RunItem, decision: Decision | None, state: State) -> tuple[str, str]:
    """How a piece of work stands, in the words of the logs, and why; ("", "") for one that waits
    for its first job. `decision` None: nothing was decided on it.

        a refused submission                  ("not submitted", "QOSMaxSubmitJobPerUserLimit")
        a job that runs                       ("RUNNING", "")
        its checkpoint is not there           ("blocked", the reason)
        its result was there before           ("done before", "")
    """
    action = reason = ""
    if decision is not None:
        action, reason = decision.action, decision.reason
    if reason == REFUSED:
        return NOT_SUBMITTED, refusal(item.key, state)
    latest = _state_of(state.run(item.key).latest)
    if latest:
        return latest, ""
    if action == "blocked":
        return BLOCKED, reason
    if action == "skip":
        return DONE_BEFORE, ""
    return "", ""


def _state_of(attempt: Attempt | None) -> str:
    """The attempt's state; INVALID where it left less than it promised, "" where it has none."""
    if attempt is None:
        return ""
    if attempt.judged is not None and attempt.judged.outcome == "invalid":
        return "INVALID"
    return attempt.state
