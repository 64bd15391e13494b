"""What the gate refuses: work that uses a checkpoint from elsewhere that nobody has signed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from watchkeeper.core.errors import Problem, Severity, UnsignedError
from watchkeeper.core.events import Decision, RunItem
from watchkeeper.core.state import State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.experiment.scripts.call import ScriptCall
from watchkeeper.launch.plan import UNSIGNED, Plan, Selection
from watchkeeper.publish import gate
from watchkeeper.publish.elsewhere import Call
from watchkeeper.query.status import decide


def refused(plan: Plan) -> list[Decision]:
    """The decisions on what the gate refuses."""
    return [one for one in plan.decisions if one.action == "blocked" and one.reason == UNSIGNED]


def problems_of(plan: Plan, severity: Severity = "error") -> Iterator[Problem]:
    """A problem for each piece of work that the gate refuses."""
    for decision in refused(plan):
        yield Problem(
            where=decision.key,
            message=decision.detail,
            severity=severity,
            code=UnsignedError.code,
        )


def warnings(
    experiment: Experiment, state: State, selection: Selection, coming: Iterable[RunItem]
) -> list[Problem]:
    """What a watch that begins now would come to refuse, so that nobody hears of it only when all
    trainings have ended. `coming` is the work that may be submitted.
    """
    if selection.allows_unsigned:
        return []
    if not any(gate.from_elsewhere(experiment, item) for item in coming):
        return []
    plan, _ = decide(experiment, state, selection)
    return list(problems_of(plan, "warning"))


def refusal_of_script(folder: Path, call: ScriptCall, text: str) -> str:
    """Why a script would not be submitted; "": it uses no unsigned checkpoint from elsewhere."""
    started = Call(name=call.path.name, text=text, workdir=call.workdir, args=call.args)
    standing = gate.unsigned_of_call(folder, started)
    if standing is None:
        return ""
    return standing.refusal
