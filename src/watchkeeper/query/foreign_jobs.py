"""Jobs that other tools submitted for this experiment, by their logs: nobody here watches them, and
they may still run.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.errors import Problem
from watchkeeper.core.state import State
from watchkeeper.report.actionlog.foreign import Named, submitted

# Newer folders of other tools keep theirs in `logs`; what was set aside for ours has a longer name.
_PLACES = ("run-*.log*", "logs/run-*.log*")
_MOST_BYTES = 64 * 2**20
_MOST_SHOWN = 20
_CHECK_FIRST = "its end is not logged: ask the scheduler for it, or the work may run twice"


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
    """What one log says of jobs that are not `ours`, which are job ids. `name` is the log's path
    from the experiment's folder. Empty: it names none, or cannot be read.

    A warning is given for each of the first twenty jobs without an end, and one for the rest.
    """
    try:
        with open_regular(path) as file:
            text = read_most(file, _MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    foreign = [job for job in submitted(text) if job.job_id not in ours]
    going = [job for job in foreign if not job.ended]
    problems = [_going(name, job) for job in going[:_MOST_SHOWN]]
    if len(going) > _MOST_SHOWN:
        problems.append(_more_going(name, going[_MOST_SHOWN].line, len(going) - _MOST_SHOWN))
    ended = len(foreign) - len(going)
    if ended:
        problems.append(_ended(name, ended))
    return problems


def _going(name: str, job: Named) -> Problem:
    """The warning on a job that may still run, at the line of the log that names it."""
    message = (
        f"job {job.job_id} was submitted for {job.subject or 'a run'} by another tool; "
        "it is not watched"
    )
    return Problem(
        where=f"{name}:{job.line}",
        message=message,
        hint=_CHECK_FIRST,
        severity="warning",
        code="foreign-job",
    )


def _more_going(name: str, line: int, number: int) -> Problem:
    """The warning on this number of further jobs; `line` names the first of them."""
    message = f"{number} more jobs were submitted by another tool; they are not watched"
    return Problem(
        where=f"{name}:{line}",
        message=message,
        hint=_CHECK_FIRST,
        severity="warning",
        code="foreign-job",
    )


def _ended(name: str, number: int) -> Problem:
    """The note on this number of jobs, which the log says have ended."""
    jobs = "job"
    if number > 1:
        jobs = "jobs"
    message = f"{number} {jobs} of another tool, which it says have ended; what they left counts"
    return Problem(where=name, message=message, severity="note", code="foreign-job")
