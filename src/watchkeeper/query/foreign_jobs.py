"""Jobs that other tools submitted for this experiment, by their logs: nobody here watches them, and
they may still run.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import Problem
from watchkeeper.core.state import State
from watchkeeper.report.actionlog.foreign import submitted

# Newer folders of other tools keep theirs in `logs`; what was set aside for ours has a longer name.
_PLACES = ("run-*.log*", "logs/run-*.log*")
_MOST_BYTES = 64 * 2**20
_MOST_TOLD = 20


def notes(folder: Path, state: State) -> list[Problem]:
    """What the logs in an experiment's folder say of jobs that its journal does not know: a warning
    for each that is not said to have ended, a note on the others of a log. What cannot be read says
    nothing.
    """
    ours = {
        job
        for run in state.runs.values()
        for attempt in run.attempts.values()
        for job in attempt.submissions
    }
    found: list[Problem] = []
    for pattern in _PLACES:
        for path in sorted(folder.glob(pattern)):
            found += _of_log(path, str(path.relative_to(folder)), ours)
    return found


def _of_log(path: Path, name: str, ours: Collection[str]) -> list[Problem]:
    try:
        with open_regular(path) as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    named = [one for one in submitted(text) if one.job_id not in ours]
    going = [one for one in named if not one.ended]
    hint = "its end is not logged: ask the scheduler for it, lest it be done twice"
    found = [
        Problem(
            where=f"{name}:{one.line}",
            message=(
                f"job {one.job_id} was submitted for {one.subject or 'a run'} by another tool; "
                "it is not watched"
            ),
            hint=hint,
            severity="warning",
        )
        for one in going[:_MOST_TOLD]
    ]
    if len(going) > _MOST_TOLD:
        line, more = going[_MOST_TOLD].line, len(going) - _MOST_TOLD
        message = f"{more} more jobs were submitted by another tool; they are not watched"
        found.append(
            Problem(where=f"{name}:{line}", message=message, hint=hint, severity="warning")
        )
    if ended := len(named) - len(going):
        message = (
            f"{ended} job{'s' if ended > 1 else ''} of another tool, which it says have ended; "
            "what they left counts"
        )
        found.append(Problem(where=name, message=message, severity="note"))
    return found
