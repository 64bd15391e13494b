"""How often a run was tried: the executions of a recorded run, the attempts of a job."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import filterfalse

import msgspec

from watchkeeper.core import journal
from watchkeeper.core.events import Judged, Opened, RunEnded, RunStarted, Vanished
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.state import Attempt
from watchkeeper.query.series.executions import RowedExecution, RunRows
from watchkeeper.query.series.track import At
from watchkeeper.query.views.pages import AttemptRow
from watchkeeper.query.views.run_page.numbers import plain
from watchkeeper.query.views.run_page.subject import RecordedFolder, Subject
from watchkeeper.query.views.shared import Standing

_ENDS: dict[str, Standing] = {
    "finished": "done",
    "failed": "failed",
    "interrupted": "failed",
    "died": "failed",
    "running": "running",
    "not ended": "unknown",
}
_OUTCOMES: dict[str, Standing] = {
    "done": "done",
    "failed but good": "done",
    "unknown": "unknown",
    "not run": "to do",
}


def attempts_of(subject: Subject, rows: RunRows) -> list[AttemptRow]:
    """The attempts, the oldest first; an execution of the same attempt has a row of its own.

    Of a job, an attempt that recorded nothing has a row by its verdict alone. `rows` are those of
    the subject's folders.
    """
    folders = {one.folder: one for one in subject.folders}
    recorded = [_recorded(folders[one.folder], one) for one in rows.executions]
    if subject.job is None:
        return recorded
    tried: list[AttemptRow] = []
    for number in sorted(subject.job.run.attempts):
        own = [row for row in recorded if row.n == number]
        tried += _of_attempt(subject.job.run.attempts[number], own)
    return tried


def state_of(folder: RecordedFolder, started: RunStarted | None) -> str:
    """How an execution ended: finished, failed, interrupted, died; running; or not ended, where
    that cannot be told from here.
    """
    if started is None:
        return "not ended"
    ended = end_of(folder, started)
    if ended is not None:
        return ended.status
    lives = journal.unsealed(folder.read).get(started.writer)
    if lives is None:
        return "not ended"
    if lives:
        return "running"
    return "died"


def end_of(folder: RecordedFolder, started: RunStarted) -> RunEnded | None:
    """The end that the execution itself wrote; None: it wrote none."""
    for event in folder.read.events.get(started.writer, []):
        if isinstance(event, RunEnded):
            return event
    return None


def death_of(folder: RecordedFolder, started: RunStarted) -> Vanished | None:
    """What the sidecar saw of the execution's death; None: it saw none."""
    opened = folder.read.events.get(started.writer, [None])[0]
    if not isinstance(opened, Opened):
        return None
    for event in of_kind(folder.read.events, Vanished):
        if event.pid == opened.pid and event.time >= started.time:
            return event
    return None


def opening_words(cause: str) -> str:
    """What a sentence says before it explains itself, at the first colon; all of it without one."""
    return cause.partition(":")[0]


def _recorded(folder: RecordedFolder, execution: RowedExecution) -> AttemptRow:
    """The row of a recorded execution: from its journal where that says something, else from its
    rows of metrics. One that runs has no end.
    """
    started = execution.started
    state = state_of(folder, started)
    steps = steps_of(execution)
    row = AttemptRow(
        n=execution.number,
        writer="",
        from_step=plain(min(steps, default=None)),
        last_step=plain(max(steps, default=None)),
        started=_time_of(execution.first_time),
        ended=_time_of(execution.last_time),
        end=state,
        standing=_ENDS[state],
        is_requeue=execution.is_requeue,
        superseded=_superseded(execution, steps),
    )
    if started is not None:
        row = msgspec.structs.replace(row, writer=started.writer, started=started.time)
        row = _with_end(row, folder, started)
    if state == "running":
        return msgspec.structs.replace(row, ended=None, end="")
    return row


def _with_end(row: AttemptRow, folder: RecordedFolder, started: RunStarted) -> AttemptRow:
    """The row with the end that the execution wrote, else with what its sidecar saw of its death;
    else its last row is the last that is known of it.
    """
    end = end_of(folder, started)
    if end is not None:
        return msgspec.structs.replace(row, ended=end.time)
    death = death_of(folder, started)
    if death is not None:
        return msgspec.structs.replace(row, ended=death.time, end=opening_words(death.cause))
    return row


def steps_of(execution: RowedExecution) -> list[float]:
    """The first and the last training step of each block of its metrics: among them are the least
    and the greatest of all. [] where no row has a step.
    """
    steps: list[float] = []
    for track in execution.tracks():
        steps += track.column(At.FIRST_STEP)
        steps += track.column(At.STEP)
    return list(filterfalse(math.isnan, steps))


def _time_of(second: float | None) -> datetime | None:
    """A second since 1970 as a time in UTC; None stays."""
    if second is None:
        return None
    return datetime.fromtimestamp(second, UTC)


def _superseded(execution: RowedExecution, steps: Sequence[float]) -> int:
    """How many of its training steps later executions did again: of one that reached step 500, and
    was resumed at 401, 100.
    """
    if not steps:
        return 0
    first = execution.cut.end
    if execution.cut.anew:
        first = min(steps)
    if first > max(steps):
        return 0
    return int(max(steps) - first) + 1


def _of_attempt(attempt: Attempt, recorded: Sequence[AttemptRow]) -> Iterator[AttemptRow]:
    """An attempt's executions, at least one; its verdict stands at the last of them."""
    resume_from = ""
    if attempt.intended is not None:
        resume_from = attempt.intended.resume_from
    rows = recorded or [_unrecorded(attempt)]
    for row in rows[:-1]:
        yield msgspec.structs.replace(row, resume_from=resume_from)
    last = msgspec.structs.replace(rows[-1], resume_from=resume_from)
    facts = attempt.facts
    if facts is not None and facts.ended is not None:
        last = msgspec.structs.replace(last, ended=facts.ended)
    if attempt.judged is not None or not recorded:
        end, standing = _verdict(attempt)
        last = msgspec.structs.replace(last, end=end, standing=standing)
    yield last


def _unrecorded(attempt: Attempt) -> AttemptRow:
    """An attempt of which no recorder says anything."""
    started = None
    if attempt.facts is not None:
        started = attempt.facts.started
    return AttemptRow(
        n=attempt.number,
        writer="",
        from_step=None,
        last_step=None,
        started=started,
        ended=None,
        end="",
        standing="to do",
    )


def _verdict(attempt: Attempt) -> tuple[str, Standing]:
    """How an attempt ended, "" while it has not, and where it stands."""
    judged = attempt.judged
    if judged is not None:
        return _words_of(judged), _OUTCOMES.get(judged.outcome, "failed")
    if attempt.rejected is not None and not attempt.submissions:
        return "refused", "failed"
    if attempt.state == "UNKNOWN":
        return "", "unknown"
    if attempt.state in ("", "PENDING"):
        return "", "to do"
    return "", "running"


def _words_of(judged: Judged) -> str:
    """How a job ended, in one word or two: `finished`, `invalid`, else Slurm's `TIMEOUT` and the
    like.
    """
    if judged.outcome == "invalid":
        return "invalid"
    if judged.outcome == "done":
        return "finished"
    return judged.state
