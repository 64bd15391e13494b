"""What is wrong with a summary, collected while it is read: shared by its two formats."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.reading.yaml import listed, nearest

NO_RUN = "no run is left that could be planned"


class Faults:
    """The faults of one summary. `problems` are all of them, in the order met; `fatal` those that
    leave nothing to plan.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.fatal: list[Problem] = []
        self._left_out: dict[tuple[str, str], str] = {}  # ("run" or "task", name) → its place

    def keep(self, problem: Problem, *, is_fatal: bool = False) -> None:
        """Keep a problem; `is_fatal`: nothing can be planned because of it."""
        self.problems.append(problem)
        if is_fatal:
            self.fatal.append(problem)

    def leave_out(self, kind: str, name: str, where: str) -> None:
        """Note that a "run" or "task" is left out of the plan; `where` names its first place."""
        self._left_out.setdefault((kind, name), where)

    def describe_unknown(
        self, kind: str, name: str, known: Mapping[str, object], plan: str
    ) -> tuple[str, str]:
        """Message and hint for a plan that names a "run" or "task" which is not among the known."""
        if place := self._left_out.get((kind, name)):
            return f"{kind} {name!r} was left out, and so is its evaluation", f"fix {place}"
        hint = f"known: {listed(sorted(known)) or 'none'}"
        if near := nearest(name, sorted(known)):
            hint = f"did you mean {near!r}?"
        return f"{plan} names an unknown {kind} {name!r}", hint

    def raise_fatal(self, hint: str = "") -> None:
        """Stop the reading if there is a fatal fault.

        Raises:
            ExperimentError: there is one; `problems` holds all faults.
        """
        if not self.fatal:
            return
        first = self.fatal[0]
        errors = [problem for problem in self.problems if problem.severity == "error"]
        message = f"{first.where}: {first.message}"
        if len(errors) > 1:
            message += f" (and {len(errors) - 1} more)"
        raise ExperimentError(message, problems=tuple(self.problems), hint=hint)


def repeated(kind: str, name: str, line: int) -> str:
    """The message for two runs or tasks of one name, the first of which stands on `line`."""
    return f"two {kind}s are named {name!r}: the first stands on line {line}; both are left out"


def untrained_epoch(run: str, epoch: int, epochs: tuple[int, ...]) -> str:
    """The message for an epoch that is evaluated, and that a run of these epochs never trains."""
    return (
        f"epoch {epoch} of run {run!r} is evaluated, but it trains {len(epochs)}: the last is "
        f"epoch {epochs[-1]}"
    )
